import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.read import check_cells, read_cells
from cellprism.cells.report import cells_report
from cellprism.errors import CellsError

from .conftest import SYMBOLS


@pytest.fixture
def read(cells, table):
    cells.var_names = ["MALAT1", "XIST", "P24", "CD3D", *SYMBOLS[4:]]
    cells.X[:, 0] = 9
    return read_cells(cells, genes=table, labels="louvain")


def test_the_report_reads_as_words(read):
    report = cells_report(read)
    lines = str(report).split("\n")
    total = int(read.uns["cellprism"]["umi"])
    assert lines[0].startswith(
        f"the AnnData in memory: 17 cells x 29 genes, {total:,} counts in X; median total of a cell"
    )
    assert lines[1].startswith("genes of the model: 26 of 29 measured (89.7%); ")
    assert lines[2] == "  matched  0 by ensembl, 26 by symbol, 1 by alias"
    assert lines[3] == "  summed   1 genes of the model from several of the data: CD3D"
    assert lines[4].startswith(f"  dropped  2 of the data's genes; largest: MALAT1 153 ({153 / total:.1%}), XIST ")
    assert lines[5] == "  absent   3 genes of the model were not measured: CD8A, CD4, CD3E"
    assert lines[6] == "cell types (obs['louvain']): B cells 5, CD4 T cells 4, CD8 T cells 4, NK cells 4"
    share = report.mapping.umi_share_kept
    assert lines[7] == f"verdict: fits with losses: only {share:.0%} of the counts are kept"
    assert len(lines) == 8


def test_the_report_is_the_same_after_a_file(read, tmp_path):
    import anndata

    read.write_h5ad(tmp_path / "cells.h5ad")
    assert cells_report(anndata.read_h5ad(tmp_path / "cells.h5ad")) == cells_report(read)


def test_the_report_is_plain_json(read):
    values = json.loads(json.dumps(cells_report(read).to_json()))
    assert values["mapping"]["matched_by"] == {"ensembl": 0, "symbol": 26, "alias": 1}
    assert values["mapping"]["largest_dropped"][0] == ["MALAT1", 153.0]
    assert values["labels"]["B cells"] == 5


def test_the_report_without_model_or_labels_has_one_line_and_its_notes(cells):
    said = str(cells_report(read_cells(cells)))
    assert said.count("\n") == 1
    assert "note: no cell types" in said


def test_share_of_counts_is_of_all_counts(read):
    m = cells_report(read).mapping
    assert m.umi_share_kept == pytest.approx(np.asarray(read.X.sum()) / read.uns["cellprism"]["umi"])


def test_cells_not_read_by_us_have_no_report(cells):
    with pytest.raises(
        CellsError, match=r"uns\['cellprism'\] is missing or incomplete; read the cells with read_cells"
    ):
        cells_report(cells)


def tissue(names: list[str], share: float) -> AnnData:
    """Cells with the genes of the table and others, which hold ``share`` of the counts; depths differ."""
    rng = np.random.default_rng(5)
    known = rng.poisson(20, size=(31, len(SYMBOLS)))
    other = rng.poisson(20 * len(SYMBOLS) / len(names) * share / (1 - share), size=(31, len(names)))
    counts = np.hstack([known, other]) * rng.integers(1, 9, size=(31, 1))
    counts[:, 0] += 1
    return AnnData(sp.csr_matrix(counts + rng.poisson(1, counts.shape)), var=pd.DataFrame(index=[*SYMBOLS, *names]))


def test_another_tissue_fits_with_losses_that_are_named(table):
    report = check_cells(tissue(["INS", "GCG", "SST", "MALAT1"], 0.59), genes=table)
    assert 0.38 < report.mapping.umi_share_kept < 0.44
    share = f"{report.mapping.umi_share_kept:.0%}"
    assert report.verdict.startswith(f"fits with losses: only {share} of the counts are kept; the model does not know ")
    for gene in ("INS (beta cells)", "GCG (alpha cells)", "SST (delta cells)"):
        assert gene in report.verdict
    assert str(report).endswith(f"verdict: {report.verdict}")
    assert report.to_json()["verdict"] == report.verdict


def test_one_famous_gene_is_a_loss_where_most_counts_are_kept(table):
    report = check_cells(tissue(["INS", "Q1"], 0.02), genes=table)
    assert report.verdict == "fits with losses: the model does not know INS (beta cells)"


def test_cells_whose_counts_are_kept_fit(table, cells):
    assert check_cells(cells, genes=table).verdict == "fits"
    assert str(check_cells(cells, genes=table)).endswith("verdict: fits")
    assert check_cells(cells).verdict == ""


def test_cells_that_cannot_be_read_do_not_fit(table, cells):
    cells.var_names = [f"Q{i}" for i in range(29)]
    with pytest.raises(CellsError, match=r"no gene of the data is among the model's.*\n  - verdict: does not fit$"):
        check_cells(cells, genes=table)
