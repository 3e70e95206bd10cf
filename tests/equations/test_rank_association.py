import numpy as np
import pytest
from scipy.stats import kruskal, rankdata, spearmanr

from cellprism.equations.rank_association import group_axes, stratum_means, stratum_ranks

CELLS, FEATURES = 53, 7


@pytest.fixture
def activation():
    """Silent in many cells."""
    return np.maximum(np.random.default_rng(1).normal(size=(CELLS, FEATURES)), 0)


def test_products_of_ranks_are_spearmans_correlations(activation):
    one, number = np.zeros(CELLS, dtype=int), np.random.default_rng(2).poisson(3, CELLS).astype(float)
    found = stratum_ranks(number[:, None], one).T @ stratum_ranks(activation, one)
    assert found[0] == pytest.approx([spearmanr(number, column).statistic for column in activation.T])


def test_squared_products_with_groups_are_the_share_between_groups(activation):
    group = np.random.default_rng(3).integers(4, size=CELLS)
    squares = np.square(group_axes(group).T @ stratum_ranks(activation, np.zeros(CELLS, dtype=int))).sum(axis=0)
    h = [kruskal(*(column[group == g] for g in range(4))).statistic for column in activation.T]
    assert squares * (CELLS - 1) == pytest.approx(h)


def test_within_strata_their_means_are_taken_off(activation):
    stratum = np.random.default_rng(4).integers(3, size=CELLS)
    ranks = stratum_ranks(activation + 5 * stratum[:, None], stratum)
    assert np.abs(stratum_means(ranks, stratum)).max() < 1e-12
    column = rankdata(activation[:, 0] + 5 * stratum)
    for s in range(3):
        column[stratum == s] -= column[stratum == s].mean()
    assert ranks[:, 0] == pytest.approx(column / np.linalg.norm(column))
    assert not stratum_ranks(stratum[:, None].astype(float), stratum).any()
