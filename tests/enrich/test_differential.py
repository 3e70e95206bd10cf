"""Differential genes of many overlapping groups at once, against scipy group by group."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import kstest, mannwhitneyu, ttest_ind

from cellprism.enrich.differential import PAIRS_AT_ONCE, differential
from cellprism.errors import ConfigError

CELLS, GENES, GROUPS = 53, 301, PAIRS_AT_ONCE + 7


@pytest.fixture(scope="module")
def expression() -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.poisson(0.5, (CELLS, GENES)) * rng.choice([1, 0.37, 2.2], (CELLS, GENES))
    x[:, 3], x[:, 5] = 0, 2
    return x


@pytest.fixture(scope="module")
def groups() -> tuple[np.ndarray, np.ndarray]:
    """Overlapping groups and what each is compared with, which leaves cells out."""
    rng = np.random.default_rng(1)
    high = rng.random((CELLS, GROUPS)) < 0.2
    return high, (rng.random((CELLS, GROUPS)) < 0.5) & ~high


@pytest.mark.parametrize("pairs", [True, False], ids=["pairs", "against all others"])
def test_ranks_equal_scipys_in_every_group(expression, groups, pairs):
    high, low = groups[0], groups[1] if pairs else ~groups[0]
    found = differential(sp.csr_matrix(expression), high, low if pairs else None)
    for group in range(0, GROUPS, 11):
        a, b = expression[high[:, group]], expression[low[:, group]]
        test = mannwhitneyu(a, b, method="asymptotic", axis=0)
        np.testing.assert_allclose(found.p[group], test.pvalue, atol=1e-10, rtol=0)
        np.testing.assert_allclose(found.auroc[group], test.statistic / len(a) / len(b), atol=1e-10)
        np.testing.assert_allclose(found.difference[group], a.mean(axis=0) - b.mean(axis=0), atol=1e-10)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy, of genes that do not vary
def test_welch_equals_scipys(expression, groups):
    high, low = groups
    found = differential(sp.csr_matrix(expression), high, low, "welch")
    for group in range(0, GROUPS, 11):
        with np.errstate(invalid="ignore"):
            p = ttest_ind(expression[high[:, group]], expression[low[:, group]], equal_var=False, axis=0).pvalue
        np.testing.assert_allclose(found.p[group], np.where(np.isnan(p), 1, p), atol=1e-10, rtol=0)
    assert np.isnan(found.auroc).all()


def test_a_group_without_cells_says_nothing(expression):
    high = np.zeros((CELLS, 2), dtype=bool)
    high[:5, 1] = True
    for low in (None, ~high, np.zeros_like(high)):
        assert (differential(sp.csr_matrix(expression), high, low).p[0] == 1).all()


def test_shuffled_groups_have_uniform_p(expression):
    rng = np.random.default_rng(5)
    x = sp.csr_matrix(rng.gamma(2, 1, (CELLS * 4, 61)))  # no ties, so that p is continuous
    high = rng.permuted(np.repeat(np.arange(CELLS * 4)[:, None] < 60, 7, axis=1), axis=0)
    for test in ("mannwhitney", "welch"):
        assert kstest(differential(x, high, test=test).p.ravel(), "uniform").pvalue > 0.01


def test_stored_zeros_and_the_order_of_what_is_stored_do_not_matter(expression, groups):
    table = sp.csr_matrix(expression)
    other = table.copy()
    other.data[:9] = 0
    np.testing.assert_array_equal(
        differential(other, *groups).p, differential(sp.csr_matrix(other.toarray()), *groups).p
    )
    reversed_ = sp.csr_matrix(table[::-1])
    np.testing.assert_allclose(differential(reversed_, *(g[::-1] for g in groups)).p, differential(table, *groups).p)


def test_what_cannot_be_compared_is_refused(expression, groups):
    high, low = groups
    with pytest.raises(ConfigError, match="no test 'median' of differential genes; choose one of mannwhitney, welch"):
        differential(sp.csr_matrix(expression), high, low, "median")
    with pytest.raises(ConfigError, match="in a group and among its others"):
        differential(sp.csr_matrix(expression), high, ~low)
    with pytest.raises(ConfigError, match="never negative"):
        differential(sp.csr_matrix(expression - 1), high, low)
