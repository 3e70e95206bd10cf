"""Whole numbers that are no counts are told from counts."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.cells.read import read_cells
from cellprism.cells.whole import whole_problem
from cellprism.errors import CellsError


def simulated(n_cells=97, n_genes=499, depth=3000, seed=0) -> np.ndarray:
    """Counts as droplets give them: few genes often, most rarely, depths that differ fivefold."""
    rng = np.random.default_rng(seed)
    share = rng.lognormal(0, 1.8, n_genes)
    depths = rng.lognormal(np.log(depth), 0.4, n_cells)
    return rng.poisson(depths[:, None] * share / share.sum()).astype(np.float64)


def found(values) -> str:
    return whole_problem(sp.csr_matrix(values))


def binned(counts, bins=51):
    out = np.zeros_like(counts)
    for cell, row in zip(out, counts, strict=True):
        seen = row > 0
        edges = np.quantile(row[seen], np.linspace(0, 1, bins - 1))
        cell[seen] = np.digitize(row[seen], edges)
    return out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("depth", [300, 3000, 30000])
def test_simulated_counts_are_counts(seed, depth):
    counts = simulated(depth=depth, seed=seed)
    assert found(counts) == ""
    assert found(counts[:, ::7]) == ""


def test_a_small_panel_of_abundant_genes_is_counts():
    rng = np.random.default_rng(5)
    assert found(rng.poisson(20, (31, 33)) * 1.0 + rng.poisson(30, (31, 1))) == ""
    assert found(rng.poisson(rng.lognormal(3, 1, 37), (97, 37)) * rng.integers(1, 3, (97, 1)) * 1.0) == ""


def test_real_counts_are_counts(test_data: Path):
    for name in ("pbmc3k_raw_labelled", "pbmc4k_raw_labelled", "citeseq_pbmc10k_200cells", "citeseq_pbmc5k_200cells"):
        assert whole_problem(sp.csr_matrix(anndata.read_h5ad(test_data / f"{name}.h5ad").X)) == ""


def test_the_bundled_counts_and_panels_of_them_are_counts():
    x = sp.csr_matrix(read_cells("bundled:pbmc68k").X)
    assert whole_problem(x) == ""
    assert whole_problem(x[:, ::5]) == ""


def test_presence_is_no_counts():
    assert found(simulated() > 0).startswith("the largest value is 1 everywhere (of counts, ")
    assert found(np.eye(17)) == ""


@pytest.mark.parametrize("bins", [6, 51, 101])
def test_bins_are_no_counts(bins):
    assert "as in values put into bins" in found(binned(simulated(), bins))


@pytest.mark.parametrize("depth", [1e4, 1e6])
@pytest.mark.parametrize("genes", [slice(None), slice(None, None, 3)], ids=["all genes", "some genes"])
def test_rounded_normalised_values_are_no_counts(depth, genes):
    counts = simulated()
    said = found(np.rint(counts / counts.sum(1, keepdims=True) * depth)[:, genes])
    assert "lack the first counts" in said


def test_equal_totals_without_gaps_are_no_counts():
    counts = simulated(depth=20000)
    said = found(np.rint(counts / counts.sum(1, keepdims=True) * 1e4))
    assert "the cells' totals are nearly equal (" in said


def test_cells_sampled_down_to_one_depth_are_counts():
    rng = np.random.default_rng(3)
    counts = simulated(depth=5000)
    down = np.array([rng.multivariate_hypergeometric(c.astype(int), 1000) for c in counts])
    assert found(down) == ""


def test_a_message_never_recommends_what_is_no_counts():
    counts = simulated()
    genes = pd.DataFrame(index=[f"G{i}" for i in range(499)])
    cells = anndata.AnnData(np.log1p(counts / counts.sum(1, keepdims=True) * 1e4), var=genes)
    cells.layers["X_binned"], cells.layers["seen"] = binned(counts), (counts > 0).astype(float)
    cells.layers["cp10k"] = np.rint(counts / counts.sum(1, keepdims=True) * 1e4)
    with pytest.raises(CellsError, match="neither X nor a layer nor raw of this object holds them"):
        read_cells(cells)
    cells.layers["umi"] = counts
    with pytest.raises(CellsError, match=r'raw counts lie in layers/umi: set counts = "layers/umi" \(.*\)$'):
        read_cells(cells)
    for name in ("X_binned", "seen", "cp10k"):
        with pytest.raises(CellsError, match=f"layers/{name} holds whole numbers that are no counts: .*layers/umi"):
            read_cells(cells, counts=f"layers/{name}")


def test_variable_genes_alone_are_not_read_while_raw_has_all(tmp_path):
    counts = simulated()
    genes = pd.DataFrame(index=[f"G{i}" for i in range(499)])
    whole = anndata.AnnData(sp.csr_matrix(counts), var=genes)
    whole.obs["n_counts"] = counts.sum(1)
    few = whole[:, :97].copy()
    few.raw = whole
    few.write_h5ad(tmp_path / "a.h5ad")
    for source in (few, tmp_path / "a.h5ad"):
        with pytest.raises(CellsError, match=r'X holds 97 of the 499 genes that raw holds.*counts = "raw".*"X"'):
            read_cells(source)
        assert read_cells(source, counts="raw").n_vars == 499
        assert read_cells(source, counts="X").n_vars == 97
        np.testing.assert_array_equal(read_cells(source, totals="n_counts").obs["total_counts"], counts.sum(1))
