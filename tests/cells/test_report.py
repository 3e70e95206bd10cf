import json

import numpy as np
import pytest

from cellprism.cells.read import read_cells
from cellprism.cells.report import cells_report
from cellprism.errors import CellsError

from .conftest import SYMBOLS


@pytest.fixture
def read(cells, table):
    cells.var_names = ["MALAT1", "XIST", "P24", "CD3D", *SYMBOLS[4:]]
    cells.X[:, 0] = 9
    return read_cells(cells, genes=table, labels="louvain")


def test_the_report_reads_as_words(read):
    lines = str(cells_report(read)).split("\n")
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
    assert len(lines) == 7


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
