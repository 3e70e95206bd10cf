"""A panel cut out of a data set, with the cells' totals, is the data set at these genes."""

import anndata
import numpy as np
import pytest
import torch

import cellprism as cp
from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.totals import totals_of
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.settings import AidoConfig


@pytest.fixture(scope="module")
def whole() -> anndata.AnnData:
    """The 700 bundled cells as somebody might keep them: 765 genes, totals over all genes in ``n_counts``."""
    read = cp.read_cells("bundled:pbmc68k")
    return anndata.AnnData(read.X, obs=read.obs[["n_counts", "bulk_labels"]].copy(), var=read.var[[]].copy())


@pytest.fixture(scope="module")
def panel(whole) -> anndata.AnnData:
    """200 of the genes, in another order, of the cells that have counts in them."""
    some = np.random.default_rng(11).permutation(765)[:200]
    cut = whole[:, some].copy()
    return cut[np.asarray(cut.X.sum(axis=1)).ravel() > 0].copy()


def at(cells: anndata.AnnData, like: anndata.AnnData) -> anndata.AnnData:
    return cells[like.obs_names, like.var_names]


def inputs(model, cells: anndata.AnnData) -> torch.Tensor:
    """What a model reads of each measured gene: values [cell, gene], in the order of the columns."""
    rows = []
    for batch in model.batches(cells, 64):
        gene = batch.gene if batch.gene.ndim == 1 else batch.gene[0]
        place = {int(g): i for i, g in enumerate(gene) if g >= 0}
        rows.append(batch.values[:, [place[model.genes.index(g)] for g in cells.var_names]])
    return torch.cat(rows)


def test_normalised_values_of_a_panel_are_exactly_those_of_the_whole(whole, panel):
    all_genes = cp.read_cells(whole, totals="n_counts")
    few = cp.read_cells(panel, totals="n_counts")
    np.testing.assert_array_equal(log1p_cp10k(few).toarray(), log1p_cp10k(at(all_genes, few)).toarray())
    np.testing.assert_array_equal(few.obs["total_counts"], panel.obs["n_counts"])
    unscaled = log1p_cp10k(cp.read_cells(panel)).toarray()
    assert (unscaled[unscaled > 0] > log1p_cp10k(few).toarray()[unscaled > 0] + 0.5).mean() > 0.9


def test_the_bundled_model_reads_the_same_of_a_panel(whole, panel):
    model = cp.load_model("mini")
    few = cp.read_cells(panel, model, totals="n_counts")
    for cells in (cp.read_cells(whole, model, totals="n_counts"), cp.read_cells("bundled:pbmc68k", model)):
        assert torch.equal(inputs(model, few), inputs(model, at(cells, few)))
    assert not torch.allclose(inputs(model, few), inputs(model, cp.read_cells(panel, model)))


def test_a_model_that_divides_by_its_own_genes_uses_declared_totals(whole, panel):
    mini = cp.load_model("mini")
    table = mini.gene_table
    model = AidoCell(AidoConfig(len(table), 8, 1, 2, 16, gene_subset=False, total="aligned"), table).eval()
    few = cp.read_cells(panel, model, totals="n_counts")
    cells = cp.read_cells(whole, model, totals="n_counts")
    assert torch.equal(inputs(model, few), inputs(model, at(cells, few)))
    undeclared = cp.read_cells(whole, model)
    sums = np.asarray(undeclared.X.sum(axis=1)).ravel()
    np.testing.assert_array_equal(totals_of(undeclared, undeclared.X, own_genes=True), sums)


def test_declared_totals_outlive_a_file(panel, tmp_path):
    first = cp.read_cells(panel, totals="n_counts")
    first.write_h5ad(tmp_path / "cells.h5ad")
    for again in (cp.read_cells(tmp_path / "cells.h5ad"), cp.read_cells(first)):
        assert again.uns["cellprism"]["totals"] == "n_counts"
        np.testing.assert_array_equal(again.obs["total_counts"], panel.obs["n_counts"])
        np.testing.assert_array_equal(totals_of(again, again.X, own_genes=True), panel.obs["n_counts"])


def test_sums_that_were_not_declared_stay_undeclared_through_a_file(whole, tmp_path):
    cp.read_cells(whole).write_h5ad(tmp_path / "cells.h5ad")
    assert cp.read_cells(tmp_path / "cells.h5ad").uns["cellprism"]["totals"] == ""


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("n_count", "obs has no column 'n_count' to take totals from; did you mean 'n_counts'"),
        ("bulk_labels", r"obs\['bulk_labels'\] is not numeric, so it holds no totals"),
        ("gaps", r"obs\['gaps'\] is missing or infinite in 2 cells; totals are numbers"),
        ("small", r"obs\['small'\] is below the sum of the matrix in 1 cells; totals count all genes of a cell"),
    ],
)
def test_columns_that_hold_no_totals_are_named(whole, column, said):
    cells = whole.copy()
    cells.obs["gaps"] = cells.obs["n_counts"]
    cells.obs.iloc[[3, 5], cells.obs.columns.get_loc("gaps")] = [np.nan, np.inf]
    cells.obs["small"] = np.asarray(cells.X.sum(axis=1)).ravel() - (np.arange(700) == 7)
    with pytest.raises(cp.errors.CellsError, match=said):
        cp.read_cells(cells, totals=column)
