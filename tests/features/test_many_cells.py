"""Sums over cells that are taken some cells at a time: the same sums, and nothing of the size of all cells is made."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.correlated import correlated_lists, gene_correlations
from cellprism.enrich.gene_sets import background_genes
from cellprism.enrich.random_lists import coexpression_modules
from cellprism.enrich.signs import signs
from cellprism.features.association import association_of, association_table, in_blocks
from cellprism.features.tables import CellSums
from cellprism.types import SparseCode

CELLS, GENES, FEATURES = 1_019, 53, 11
NAMES = [str(i) for i in range(FEATURES)]
TYPES = np.array(["B", "NK", "T", "unlabelled"])


def world(n_cells: int) -> tuple[AnnData, AnnData, dict[str, tuple[str, ...]]]:
    """Counts, activations that go with some of them, and the genes of each feature."""
    rng = np.random.default_rng(3)
    kind = rng.integers(len(TYPES), size=n_cells)
    rate = rng.gamma(1.0, 2.0, size=GENES) * (1 + (kind[:, None] == np.arange(GENES) % len(TYPES)))
    counts = AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)))
    counts.var_names = [f"G{i}" for i in range(GENES)]
    z = np.maximum(rng.normal(size=(n_cells, FEATURES)) + (kind[:, None] == np.arange(FEATURES) % len(TYPES)) - 1, 0)
    z[:, -1] = 0
    obs = pd.DataFrame({"cell_type": TYPES[kind]}, index=counts.obs_names)
    lists = {name: tuple(f"G{j}" for j in range(i, GENES, FEATURES)) for i, name in enumerate(NAMES)}
    return counts, AnnData(sp.csr_matrix(z), obs=obs, var=pd.DataFrame(index=NAMES)), lists


def found(counts: AnnData, activations: AnnData, lists: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """What is summed over cells."""
    z, genes = sp.csr_matrix(activations.X), tuple(counts.var_names)
    table = association_table(z, counts, pd.Index(NAMES), {})
    signed = signs(activations, counts, lists)
    correlated = correlated_lists(activations, counts, genes, 7)
    return {
        "association": table.layers["shift"], "kept": table.X, "firing": table.obs["firing_rate"].to_numpy(),
        "own genes": signed["own_genes_r"].to_numpy(), "high": signed["high_in"].to_numpy(dtype=str),
        "lists": np.array([correlated.get(name, ())[:3] or ("",) * 3 for name in NAMES]),
        "modules": coexpression_modules(counts, genes, 4).order,
        "paper": np.array(background_genes(counts, "paper")), "code": np.array(background_genes(counts, "code")),
    }  # fmt: skip


@pytest.mark.parametrize("at_once", [97, 1_018])
def test_blocks_of_cells_add_up_to_all(at_once, monkeypatch):
    given = world(CELLS)
    whole = found(*given)
    monkeypatch.setattr("cellprism.cells.expression.AT_ONCE", at_once)
    for name, value in found(*given).items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, whole[name], rtol=1e-5, atol=1e-9, err_msg=name)
        else:
            np.testing.assert_array_equal(value, whole[name], err_msg=name)


def test_correlations_are_numpys_however_features_and_cells_are_cut(monkeypatch):
    counts, activations, _ = world(CELLS)
    y, z = log1p_cp10k(counts), activations.X.toarray()[:, :-1]
    expected = np.corrcoef(z.T, y.toarray().T)[: z.shape[1], z.shape[1] :]
    monkeypatch.setattr("cellprism.cells.expression.AT_ONCE", 100)
    monkeypatch.setattr("cellprism.enrich.correlated.ENTRIES", 3 * GENES)
    parts = list(gene_correlations(sp.csc_matrix(z), y))
    assert [(some.start, some.stop) for some, _ in parts] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    np.testing.assert_allclose(np.concatenate([r for _, r in parts]), expected, rtol=1e-9, atol=1e-12)


def test_activations_that_come_in_parts_of_any_length_are_those_of_the_whole(monkeypatch):
    counts, activations, _ = world(CELLS)
    monkeypatch.setattr("cellprism.cells.expression.AT_ONCE", 100)
    z, names = activations.X.toarray(), pd.Index(NAMES)
    parts = association_of(in_blocks(np.split(z, [32, 64, 70, 701]), CELLS), counts, names, {})
    whole = association_table(sp.csr_matrix(z), counts, names, {})
    np.testing.assert_array_equal(parts.layers["shift"], whole.layers["shift"])


def test_no_more_than_a_block_of_logarithms_is_held(monkeypatch):
    given = world(2 * CELLS)
    monkeypatch.setattr("cellprism.cells.expression.AT_ONCE", 64)
    found(*given)  # imports and caches
    held = log1p_cp10k(given[0])
    tracemalloc.start()
    found(*given)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < (held.data.nbytes + held.indices.nbytes) / 2


def test_a_pass_makes_nothing_of_the_size_of_all_cells(monkeypatch):
    """Room for all cells in each of many passes, between which something small stays, fills any memory with holes."""
    made, bincount = [], torch.bincount
    monkeypatch.setattr(
        torch, "bincount", lambda x, minlength=0: made.append(minlength) or bincount(x, None, minlength)
    )
    sums = CellSums(1_000_003, 5)
    cell = torch.tensor([7, 7, 1_000_002])
    sums.add(SparseCode(torch.ones(3, 2), torch.tensor([[0, 1], [1, 2], [3, 4]]), 5), cell)
    assert max(made) == 2
    assert sums.tokens[[7, 8, 1_000_002]].tolist() == [2, 0, 1]
