"""Correlations by gene against numpy's; recentring by a loop."""

import numpy as np
import pytest

from cellprism.equations.agreement import gene_correlations, recentred, recentred_shares


def test_correlations_of_drawn_cells_are_numpys():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(17, 5)) + 1e4, rng.normal(size=(17, 5))
    y[:, 2] += x[:, 2]
    drawn = rng.integers(17, size=(3, 17))
    weights = np.stack([np.bincount(rows, minlength=17) / 17 for rows in drawn])
    found = gene_correlations(x, y, weights)
    for d, rows in enumerate(drawn):
        for g in range(5):
            assert found[d, g] == pytest.approx(np.corrcoef(x[rows, g], y[rows, g])[0, 1], abs=1e-8)


def test_what_does_not_vary_has_no_correlation():
    x, y = np.ones((7, 2)), np.arange(14.0).reshape(7, 2)
    assert np.isnan(gene_correlations(x, y, np.full((1, 7), 1 / 7))).all()


def test_recentring_moves_each_genes_mean_and_nothing_else():
    rng = np.random.default_rng(1)
    said, own = rng.normal(size=(7, 3)), rng.normal(size=3)
    moved = recentred(said, said.mean(axis=0), own)
    assert moved.mean(axis=0) == pytest.approx(own)
    for c in range(7):
        for g in range(3):
            assert moved[c, g] == pytest.approx(said[c, g] - said[:, g].mean() + own[g])


def test_recentred_shares_add_up_and_undo_a_factor_a_gene():
    rng = np.random.default_rng(2)
    true = rng.dirichlet(np.ones(5), size=7)
    factor = rng.gamma(4, 1 / 4, size=5)
    own = true.mean(axis=0)
    moved = recentred_shares(true * factor, (true * factor).mean(axis=0), own)
    assert moved == pytest.approx(true)
    assert moved.sum(axis=1) == pytest.approx(1)
