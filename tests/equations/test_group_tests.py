"""Group tests against scipy, one group at a time."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binomtest, mannwhitneyu, rankdata, ttest_1samp, ttest_ind

from cellprism.equations.donors import donor_means, other_signs, other_splits, paired, unpaired
from cellprism.equations.group_tests import moments, rank_sum_p, rank_sums, ranked, welch_p
from cellprism.equations.locality import neighbours_within, permuted_within
from cellprism.equations.two_sided import binomial_p

CELLS, GENES, GROUPS = 53, 29, 17


@pytest.fixture
def counts() -> np.ndarray:
    """Counts with ties, a gene that is zero everywhere and one that is 2 everywhere."""
    rng = np.random.default_rng(0)
    x = rng.poisson(0.7, (CELLS, GENES)) * rng.choice([1, 0.37], (CELLS, GENES))
    x[:, 3], x[:, 5] = 0, 2
    return x


@pytest.fixture
def member() -> np.ndarray:
    return np.random.default_rng(1).random((CELLS, GROUPS)) < 0.3


def sorted_columns(x: np.ndarray) -> sp.csc_matrix:
    columns = [np.sort(np.flatnonzero(column)) for column in x.T]
    order = [rows[np.argsort(x[rows, g], kind="stable")] for g, rows in enumerate(columns)]
    ends = np.cumsum([0, *(len(rows) for rows in order)])
    data = np.concatenate([x[rows, g] for g, rows in enumerate(order)])
    return sp.csc_matrix((data, np.concatenate(order), ends), shape=x.shape)


def test_ranks_and_ties_are_those_of_every_column(counts):
    ranks, ties = ranked(sorted_columns(counts))
    np.testing.assert_array_equal(ranks, rankdata(counts, axis=0).T)
    for column, found in zip(counts.T, ties, strict=True):
        t = np.unique(column, return_counts=True)[1]
        assert found == (t**3 - t).sum()


def test_rank_sums_equal_scipy_group_by_group(counts, member):
    ranks, ties = ranked(sorted_columns(counts))
    first = member.sum(axis=0).astype(float)
    u = rank_sums(ranks, member.astype(float))
    p = rank_sum_p(u, first, CELLS - first, ties[:, None])
    for group in range(GROUPS):
        test = mannwhitneyu(counts[member[:, group]], counts[~member[:, group]], method="asymptotic", axis=0)
        np.testing.assert_allclose(u[:, group], test.statistic, atol=1e-9)
        np.testing.assert_allclose(p[:, group], test.pvalue, atol=1e-10, rtol=0)


def test_welch_equals_scipy_where_something_varies(counts, member):
    sides = (member.astype(float), (~member).astype(float))
    p = welch_p(*(moments(counts.T.astype(float), side) for side in sides))
    flat = np.isin(np.arange(GENES), [3, 5])
    for group in range(GROUPS):
        inside = member[:, group]
        with np.errstate(invalid="ignore"):
            expected = ttest_ind(counts[inside][:, ~flat], counts[~inside][:, ~flat], equal_var=False, axis=0).pvalue
        np.testing.assert_allclose(p[~flat, group], expected, atol=1e-10, rtol=0)
    assert (p[flat] == 1).all()


@pytest.mark.parametrize(("n", "share"), [(1, 0.5), (7, 0.13), (23, 0.5), (41, 0.02)])
def test_two_sided_binomial_p_is_scipys_for_every_number_of_hits(n, share):
    expected = [binomtest(k, n, share).pvalue for k in range(n + 1)]
    np.testing.assert_allclose(binomial_p(n, share), expected, atol=1e-12)


def test_neighbours_within_is_a_count_over_pairs():
    rng = np.random.default_rng(2)
    graph, member = rng.random((CELLS, CELLS)) < 0.2, rng.random((GROUPS, CELLS)) < 0.3
    member[4] = False
    found = neighbours_within(sp.csr_matrix(member.astype(float)), sp.csr_matrix(graph.astype(float)))
    for group, share in zip(member, found, strict=True):
        pairs = [(group[d], 1) for c in np.flatnonzero(group) for d in np.flatnonzero(graph[c])]
        assert share == pytest.approx(sum(a for a, _ in pairs) / len(pairs) if pairs else 0)


def test_cells_trade_places_within_their_kind_alone():
    rng = np.random.default_rng(3)
    kinds = rng.choice(["a", "b", "c"], CELLS)
    moved = permuted_within(kinds, rng)
    assert sorted(moved) == list(range(CELLS))
    assert (kinds[moved] == kinds).all()
    assert (moved != np.arange(CELLS)).sum() > CELLS // 2


def test_donor_means_and_t_intervals_are_scipys():
    rng = np.random.default_rng(4)
    z, unit = rng.random((CELLS, 7)), rng.integers(-1, 9, CELLS)
    means = donor_means(z, unit, 10)
    np.testing.assert_allclose(means[3], z[unit == 3].mean(axis=0))
    assert np.isnan(means[9]).all()
    means, case = means[:9], np.arange(9) < 4
    found = unpaired(means, case)
    test = ttest_ind(means[case], means[~case], equal_var=False, axis=0)
    interval = test.confidence_interval()
    np.testing.assert_allclose(np.stack([found.t, found.p]), [test.statistic, test.pvalue])
    np.testing.assert_allclose(np.stack([found.low, found.high]), [interval.low, interval.high])
    one = paired(means - 0.4)
    test = ttest_1samp(means - 0.4, 0)
    interval = test.confidence_interval()
    np.testing.assert_allclose(np.stack([one.t, one.p]), [test.statistic, test.pvalue])
    np.testing.assert_allclose(np.stack([one.low, one.high]), [interval.low, interval.high])


def test_features_alike_in_all_donors_have_no_p_and_no_interval():
    found = unpaired(np.ones((6, 2)), np.arange(6) < 3)
    assert (found.p == 1).all()
    assert np.isnan(found.low).all()


@pytest.mark.parametrize(("n", "k", "ways"), [(6, 3, 9), (7, 3, 34), (8, 4, 34), (10, 5, 125)])
def test_other_splits_are_all_others_and_no_mirror_image(n, k, ways):
    case = np.arange(n) % 2 == 1 if 2 * k == n else np.arange(n) < k
    splits, exact = other_splits(case, 999, np.random.default_rng(0))
    assert exact
    assert splits.shape == (ways, n)
    assert (splits.sum(axis=1) == case.sum()).all()
    assert len({tuple(row) for row in splits}) == ways
    assert not {tuple(case), *([tuple(~case)] if 2 * k == n else [])} & {tuple(row) for row in splits}
    drawn, exact = other_splits(case, 5, np.random.default_rng(0))
    assert (drawn.shape, exact) == ((5, n), False)


def test_other_signs_are_all_others_and_no_mirror_image():
    signs, exact = other_signs(5, 99, np.random.default_rng(0))
    assert exact
    assert signs.shape == (15, 5)
    assert not {(1,) * 5, (-1,) * 5} & {tuple(row) for row in signs}
    assert other_signs(9, 99, np.random.default_rng(0))[0].shape == (99, 9)
