"""What ``read_cells`` returns, and everything it refuses."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.cells.genes import GeneTable
from cellprism.cells.read import check_cells, read_cells
from cellprism.errors import CellsError, ModelError

from .conftest import CELLS, IDS, SYMBOLS


class Model:
    """All that reading asks of a model."""

    def __init__(self, gene_table):
        self.gene_table = gene_table


class Embedding(Model):
    """A model that reads an embedding."""

    key = "X_mine"


def refused(source, *arguments, **options) -> str:
    with pytest.raises(CellsError) as error:
        read_cells(source, *arguments, **options)
    return str(error.value)


def test_columns_are_the_models_genes_in_the_models_order(cells, table, counts):
    read = read_cells(cells, Model(table), labels="louvain")
    assert tuple(read.var_names) == table.symbol
    assert isinstance(read.X, sp.csr_matrix)
    assert read.X.dtype == np.float32
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])
    assert read.obs_names.tolist() == cells.obs_names.tolist()
    np.testing.assert_array_equal(read.obs["total_counts"], counts.sum(1))
    assert read.obs["cell_type"].tolist() == cells.obs["louvain"].tolist()
    assert read.obs["age"].tolist() == cells.obs["age"].tolist()


def test_the_order_of_the_datas_genes_does_not_matter(cells, table):
    order = np.random.default_rng(5).permutation(29)
    first, second = read_cells(cells, genes=table), read_cells(cells[:, order].copy(), genes=table)
    np.testing.assert_array_equal(first.X.toarray(), second.X.toarray())
    assert first.var_names.tolist() == second.var_names.tolist()


def test_only_measured_genes_become_columns_and_totals_count_the_dropped_ones(cells, table, counts):
    cells.var_names = ["MALAT1", *SYMBOLS[1:]]
    read = read_cells(cells, genes=table)
    assert read.var_names.tolist() == list(table.symbol[:-1])
    np.testing.assert_array_equal(read.obs["total_counts"], counts.sum(1))
    record = read.uns["cellprism"]["mapping"]
    assert record["dropped_genes"].tolist() == ["MALAT1"]
    assert record["absent_genes"].tolist() == ["CD3D"]
    assert record["umi_share_kept"] == pytest.approx(counts[:, 1:].sum() / counts.sum())


def test_rows_that_hit_one_gene_are_summed_and_named(cells, table, counts):
    cells.var_names = ["P24", "CD3D", *SYMBOLS[2:]]
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read[:, "CD3D"].X.toarray()[:, 0], counts[:, 0] + counts[:, 1])
    assert read.var.loc["CD3D", "names_in_data"] == "P24|CD3D"
    assert read.var.loc["CD3D", "ensembl"] == IDS[0]
    assert read.uns["cellprism"]["mapping"]["matched_by"] == {"ensembl": 0, "symbol": 28, "alias": 1}


def test_the_users_object_is_left_as_it_is(cells, table):
    before = cells.copy()
    read = read_cells(cells, genes=table, labels="donor")
    read.X.data[:] = -1
    read.obs["donor"] = "changed"
    np.testing.assert_array_equal(cells.X.toarray(), before.X.toarray())
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    whole = read_cells(cells)
    whole.X.data[:] = -1
    np.testing.assert_array_equal(cells.X.toarray(), before.X.toarray())


@pytest.mark.parametrize(
    "convert",
    [np.asarray, sp.csc_matrix, sp.csr_array, lambda x: sp.csr_matrix(x).astype(np.int64), np.asfortranarray],
    ids=["dense", "by column", "sparse array", "int64", "fortran"],
)
def test_any_kind_of_matrix_gives_the_same_cells(counts, table, convert):
    data = anndata.AnnData(convert(counts), var=pd.DataFrame(index=SYMBOLS))
    np.testing.assert_array_equal(read_cells(data, genes=table).X.toarray(), counts[:, ::-1])


def test_a_view_and_a_backed_object_are_read(cells, table, counts, tmp_path):
    np.testing.assert_array_equal(read_cells(cells[3:11], genes=table).X.toarray(), counts[3:11, ::-1])
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(read_cells(backed, genes=table).X.toarray(), counts[:, ::-1])
    backed.file.close()


def test_entries_stored_twice_are_added_up(counts, table):
    matrix = sp.csr_matrix(counts)
    double = sp.csr_matrix(
        (np.repeat(matrix.data, 2), np.repeat(matrix.indices, 2), matrix.indptr * 2), shape=matrix.shape
    )
    data = anndata.AnnData(double, var=pd.DataFrame(index=SYMBOLS))
    np.testing.assert_array_equal(read_cells(data, genes=table).X.toarray(), 2 * counts[:, ::-1])
    np.testing.assert_array_equal(read_cells(data).X.toarray(), 2 * counts)


def test_without_a_model_all_genes_are_kept_under_their_own_names(cells, counts):
    read = read_cells(cells)
    assert read.var_names.tolist() == SYMBOLS
    np.testing.assert_array_equal(read.X.toarray(), counts)
    assert "mapping" not in read.uns["cellprism"]


def test_a_model_without_genes_is_named(cells):
    with pytest.raises(ModelError, match=r"came without a gene list; load it with genes=FILE"):
        read_cells(cells, Model(None))


def test_the_embedding_that_a_model_reads_goes_on_and_no_other(cells, table, tmp_path):
    mine = np.random.default_rng(0).normal(size=(cells.n_obs, 3))
    cells.obsm["X_mine"], cells.obsm["X_other"] = mine, mine + 1
    cells.write_h5ad(tmp_path / "cells.h5ad")
    for source in (cells, tmp_path / "cells.h5ad"):
        read = read_cells(source, Embedding(None))
        assert read.var_names.tolist() == SYMBOLS
        assert list(read.obsm) == ["X_mine"]
        np.testing.assert_array_equal(read.obsm["X_mine"], mine)
        assert list(read_cells(source, Embedding(table)).obsm) == ["X_mine"]
        assert list(read_cells(source, Model(table)).obsm) == []


def test_an_embedding_that_is_not_there_is_named_beside_those_that_are(cells, tmp_path):
    cells.obsm["X_mina"] = np.zeros((cells.n_obs, 3))
    cells.obsm["X_flat"] = np.zeros((cells.n_obs, 3, 2))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    for source in (cells, tmp_path / "cells.h5ad"):
        assert "no embedding 'X_mine' in obsm; did you mean 'X_mina'?" in refused(source, Embedding(None))
    flat = Embedding(None)
    flat.key = "X_flat"
    assert f"obsm['X_flat'] has shape ({cells.n_obs}, 3, 2); expected one row of numbers" in refused(cells, flat)
    assert "there is no embedding 'X_mine' in obsm; there are none" in refused("bundled:pbmc68k", Embedding(None))


def test_without_a_gene_list_a_repeated_id_stands_once(cells):
    cells.var_names = [f"ENSG{i:011d}" for i in range(1, cells.n_vars)] + ["ENSG00000000001_PAR_Y"]
    ids = read_cells(cells).var["ensembl"]
    assert ids.iloc[0] == "ENSG00000000001"
    assert ids.iloc[-1] == ""


def test_cells_go_through_a_file_and_are_read_again_the_same(cells, table, tmp_path):
    cells.var_names = ["MALAT1", *SYMBOLS[1:]]
    first = read_cells(cells, genes=table, labels="louvain")
    first.write_h5ad(tmp_path / "cells.h5ad")
    second = read_cells(tmp_path / "cells.h5ad", genes=table)
    np.testing.assert_array_equal(first.X.toarray(), second.X.toarray())
    np.testing.assert_array_equal(first.obs["total_counts"], second.obs["total_counts"])
    assert second.obs["cell_type"].tolist() == first.obs["cell_type"].tolist()
    assert len(second.uns["cellprism"]["sha256"]) == 64


def test_everything_that_is_wrong_is_listed_at_once(cells, table, counts):
    counts[0, 0], counts[1, 1], counts[2] = np.nan, -2, 0
    cells.X = sp.csr_matrix(counts)
    cells.var_names = [s.capitalize() for s in SYMBOLS[:28]] + [SYMBOLS[0].capitalize()]
    said = refused(cells, genes=table, labels="luovain", totals="depht")
    assert said.startswith("the AnnData in memory cannot be used:\n  - ")
    for part in ("are NaN", "are negative", "1 of 17 cells have no counts", "gene names occur more than once",
                 "no gene of", "mouse",
                 "obs has no column 'luovain' to take cell types from; did you mean 'louvain'?",
                 "obs has no column 'depht' to take totals from"):  # fmt: skip
        assert part in said
    assert said.count("\n  - ") == 7


def test_repeated_gene_names_without_ids_are_refused_with_a_fix_that_works(cells, table, counts):
    cells.var_names = ["CD4", "CD4", *SYMBOLS[2:]]
    said = refused(cells, genes=table)
    assert "1 gene names occur more than once, such as 'CD4' (3 times): no Ensembl id tells them apart" in said
    cells.var_names_make_unique()
    cells.var["feature_types"] = "Gene Expression"
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read[:, "CD4"].X.toarray()[:, 0], counts[:, :3].sum(1))


def test_repeated_symbols_with_different_ids_are_told_apart(cells, table, counts):
    cells.var_names = ["CD4"] * 3 + SYMBOLS[3:]
    cells.var["gene_ids"] = IDS
    np.testing.assert_array_equal(read_cells(cells, genes=table).X.toarray(), counts[:, ::-1])
    assert read_cells(cells).var_names[:3].tolist() == ["CD4", "CD4-1", "CD4-2"]


def test_a_repeated_id_is_refused(cells, table):
    cells.var["gene_ids"] = [IDS[0], IDS[0], *IDS[2:]]
    said = refused(cells, genes=table)
    assert f"1 Ensembl ids occur more than once, such as '{IDS[0]}' (2 times): keep one row of each, or add" in said


def test_the_pseudo_autosomal_copy_of_a_gene_is_added_to_it(cells, table, counts):
    cells.var["gene_ids"] = [f"{IDS[0]}.4", f"{IDS[0]}.4_PAR_Y", *IDS[2:]]
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read[:, "CD3D"].X.toarray()[:, 0], counts[:, :2].sum(1))


def test_repeated_cell_names_are_made_unique_and_said(cells, table):
    cells.obs_names = ["a", "a", *cells.obs_names[2:]]
    read = read_cells(cells, genes=table)
    assert read.obs_names[:2].tolist() == ["a", "a-1"]
    assert any("1 cell names repeat an earlier one, such as 'a'" in note for note in read.uns["cellprism"]["notes"])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (
            [s.capitalize() for s in SYMBOLS],
            "the genes look like mouse or rat ('Cd3d', 'Cd3e', 'Cd4'), the model's like human",
        ),
        ([i.replace("ENSG", "ENSMUSG") for i in IDS], "the genes look like mouse ('ENSMUSG00000000001'"),
        ([i.replace("ENSG", "ENSDARG") for i in IDS], "the genes look like zebrafish"),
        ([i.replace("ENSG", "ENSXXXG") for i in IDS], "the genes look like another species (ENSXXXG)"),
        (
            [str(900 + i) for i in range(29)],
            "the genes are named by numbers ('900', '901', '902'), perhaps Entrez ids",
        ),
        (
            [f"QQ{i}" for i in range(29)],
            "the genes are named 'QQ0', 'QQ1', 'QQ2'; the model knows them as 'LST1'",
        ),
    ],
    ids=["mouse symbols", "mouse ids", "zebrafish ids", "unknown ids", "numbers", "other names"],
)
def test_no_overlap_names_the_likeliest_reason(cells, table, names, reason):
    cells.var_names = names
    said = refused(cells, genes=table)
    assert "no gene of the data is among the model's 29 (expected at least 30% of the smaller list)" in said
    assert reason in said


def test_a_model_of_mouse_cells_takes_mouse_ids_but_not_human_cells(cells):
    mouse = GeneTable.of([s.capitalize() for s in SYMBOLS], [i.replace("ENSG", "ENSMUSG") for i in IDS])
    assert "the genes look like human ('CD3D', 'CD3E', 'CD4'), the model's like mouse" in refused(cells, genes=mouse)
    cells.var_names = [i.replace("ENSG", "ENSMUSG") for i in IDS]
    assert read_cells(cells, genes=mouse).var_names[0] == "Cd3d"
    by_symbol = GeneTable.of(mouse.symbol)
    assert "the data names genes by Ensembl id ('ENSMUSG00000000001'" in refused(cells, genes=by_symbol)


def test_too_little_overlap_is_counted(cells, table):
    cells.var_names = SYMBOLS[:8] + [f"QQ{i}" for i in range(21)]
    assert "only 8 of the model's 29 genes are among the data's 29 (expected at least 30%" in refused(
        cells, genes=table
    )
    assert read_cells(cells, genes=table, least_overlap=0.2).n_vars == 8


def test_a_small_panel_is_enough_when_the_model_knows_it(cells):
    large = GeneTable.of(SYMBOLS + [f"QQ{i}" for i in range(997)])
    assert read_cells(cells[:, :11].copy(), genes=large).n_vars == 11


def test_a_transposed_matrix_is_recognised(cells, table, counts):
    counts[0] = 1
    cells.X = sp.csr_matrix(counts)
    assert "the cells are named like genes, so the matrix is transposed; pass adata.T" in refused(cells.T, genes=table)


def test_ids_alone_do_not_fit_a_model_without_ids(cells):
    cells.var_names = IDS
    said = refused(cells, genes=GeneTable.of(SYMBOLS))
    assert "the data names genes by Ensembl id ('ENSG00000000001'" in said
    assert "add symbols as var['gene_symbols']" in said


def test_too_few_counts_in_common_genes_are_an_error_that_can_be_lifted(cells, table):
    cells.X[:, 0] = 5000 + 997 * np.arange(CELLS)[:, None]
    cells.var_names = ["MALAT1", *SYMBOLS[1:]]
    said = refused(cells, genes=table)
    assert "of the counts (expected at least 10%): too much would be dropped" in said
    assert read_cells(cells, genes=table, least_umi=0.0).n_vars == 28


def test_mouse_cells_without_a_model_are_pointed_out(cells):
    cells.var_names = [s.capitalize() for s in SYMBOLS]
    notes = read_cells(cells).uns["cellprism"]["notes"]
    assert any(
        "the genes look like mouse or rat; the bundled and published models are of human cells" in n for n in notes
    )


def test_cells_that_lose_all_counts_are_refused_and_counted(cells, table, counts):
    counts[4, 1:] = 0
    cells.X = sp.csr_matrix(counts)
    cells.var_names = ["MALAT1", *SYMBOLS[1:]]
    said = refused(cells, genes=table)
    assert "1 of 17 cells have no counts in the model's genes, such as 'cell4': empty barcodes, or cells of" in said


def test_rounded_values_are_pointed_out(cells, table, counts):
    cells.X.data[0] += 5e-4
    read = read_cells(cells, genes=table)
    assert any("up to 0.0005 from whole numbers and were rounded" in n for n in read.uns["cellprism"]["notes"])
    np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])


def test_declared_totals_replace_the_sums(cells, table, counts):
    cells.obs["n_counts"] = counts.sum(1) * 2
    hinted = read_cells(cells, genes=table)
    np.testing.assert_array_equal(hinted.obs["total_counts"], counts.sum(1))
    assert any(
        'totals = "n_counts" (on the command line: --totals n_counts)' in n for n in hinted.uns["cellprism"]["notes"]
    )
    read = read_cells(cells, genes=table, totals="n_counts")
    np.testing.assert_array_equal(read.obs["total_counts"], counts.sum(1) * 2)


def test_totals_that_cannot_be_totals_are_refused(cells, table, counts):
    cells.obs["n_counts"] = counts.sum(1) - np.eye(CELLS)[3]
    assert "obs['n_counts'] is below the sum of the matrix in 1 cells" in refused(cells, genes=table, totals="n_counts")
    assert "obs['donor'] is not numeric, so it holds no totals" in refused(cells, genes=table, totals="donor")


def test_antibodies_and_peaks_are_left_out_and_counted(cells, table, counts):
    cells.var["feature_types"] = ["Gene Expression"] * 26 + ["Antibody Capture", "Antibody Capture", "Peaks"]
    read = read_cells(cells, genes=table)
    np.testing.assert_array_equal(read.X.toarray(), counts[:, 25::-1])
    np.testing.assert_array_equal(read.obs["total_counts"], counts[:, :26].sum(1))
    assert "3 rows are no genes and were left out (Antibody Capture, Peaks)" in read.uns["cellprism"]["notes"]


def test_a_column_of_types_without_genes_is_not_acted_on(cells, table):
    cells.var["feature_types"] = "gene"
    assert read_cells(cells, genes=table).n_vars == 29


def test_an_unknown_kind_of_matrix_is_named(cells, table, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = cells.X.toarray()
        data = anndata.AnnData(file["x"], obs=cells.obs, var=cells.var)
        assert "X is a Dataset; expected a SciPy sparse matrix or a NumPy array" in refused(data, genes=table)


def test_checking_returns_the_report_of_reading(cells, table):
    report = check_cells(cells, Model(table), labels="louvain")
    assert (report.n_cells, report.n_read, report.counts_from) == (17, 29, "X")
    assert report.labels == {"B cells": 5, "CD4 T cells": 4, "CD8 T cells": 4, "NK cells": 4}
