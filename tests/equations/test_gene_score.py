import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData

from cellprism.equations.gene_score import BINS, gene_set_score

CELLS, GENES = 61, 401


def expression() -> np.ndarray:
    """Log counts; cells of odd number have more of genes 7 to 26."""
    rng = np.random.default_rng(0)
    level = rng.gamma(1.0, size=GENES)
    more = 1 + 2 * (np.arange(CELLS) % 2)[:, None] * np.isin(np.arange(GENES), np.arange(7, 27))
    return np.log1p(rng.poisson(level * more).astype(float))


def test_it_is_the_mean_over_genes_minus_others_of_the_same_bin():
    y, inside = expression(), np.isin(np.arange(GENES), np.arange(7, 27))
    level = np.asarray(sp.csr_matrix(y).mean(axis=0)).ravel()  # ties are broken by rounding
    bins = np.argsort(np.argsort(level, kind="stable"), kind="stable") * BINS // GENES
    terms = [y[:, g] - y[:, (bins == bins[g]) & ~inside].mean(axis=1) for g in np.flatnonzero(inside)]
    assert gene_set_score(sp.csr_matrix(y), inside) == pytest.approx(np.mean(terms, axis=0))


def test_it_agrees_with_scanpy_and_finds_the_cells():
    y, inside = expression(), np.isin(np.arange(GENES), np.arange(7, 27))
    ours = gene_set_score(sp.csr_matrix(y), inside)
    data = AnnData(y)
    data.var_names = [f"G{i}" for i in range(GENES)]
    sc.tl.score_genes(data, list(data.var_names[inside]), random_state=0)
    assert np.corrcoef(ours, data.obs["score"])[0, 1] > 0.97
    assert ours[1::2].min() > ours[::2].max()


def test_a_set_of_all_genes_has_no_score():
    assert not gene_set_score(sp.csr_matrix(expression()), np.ones(GENES, dtype=bool)).any()
