"""The least of several means over units: how often its interval misses the least true one."""

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp

from cellprism.equations.least import least_mean


def test_one_control_is_a_t_test():
    x = np.random.default_rng(0).normal(0.3, 1, size=(1, 7))
    found, test = least_mean(x), ttest_1samp(x[0], 0)
    assert (found.place, found.mean) == (0, pytest.approx(x.mean()))
    assert found.p == pytest.approx(test.pvalue)
    assert found.interval == pytest.approx(tuple(test.confidence_interval(0.95)))


@pytest.mark.parametrize("true", [[0.0] * 4, [0.0, 3.0, 3.0], [-1.0, -1.0]], ids=["alike", "one", "below"])
def test_the_interval_misses_the_least_true_mean_as_rarely_as_it_should(true):
    """To either side at most once in forty; the p-value calls an excess of 0 as rarely."""
    rng, many = np.random.default_rng(1), 120
    limit = binom.ppf(1 - 1e-3, many, 0.025)
    high, low, above, below = 0, 0, 0, 0
    for _ in range(many):
        found = least_mean(np.array(true)[:, None] + rng.normal(size=(len(true), 5)))
        assert found.interval is not None
        assert found.p is not None
        assert found.interval[0] <= found.mean <= found.interval[1]
        high += found.interval[0] > min(true)
        low += found.interval[1] < min(true)
        above += found.p <= 0.05 and found.mean > 0
        below += found.p <= 0.05 and found.mean < 0
        assert (found.p <= 0.05) == (found.interval[0] > 0 or found.interval[1] < 0)
    assert max(high, low) <= limit
    if min(true) == 0:
        assert max(above, below) <= limit


def test_all_controls_must_be_exceeded():
    x = np.random.default_rng(2).normal(5, 1, size=(3, 5))
    assert least_mean(x).interval[0] > 0
    x[1] -= 5
    found = least_mean(x)
    assert found.place == 1
    assert found.interval[0] < 0
    assert found.p > 0.05


def test_a_p_value_of_draws_counts_where_it_is_larger():
    x = np.random.default_rng(3).normal(5, 1, size=(2, 5))
    assert least_mean(x, np.array([0.01, 0.2])).p == pytest.approx(0.2)
    assert least_mean(-x, np.array([0.01, 0.2])).p == pytest.approx(0.02)


def test_what_does_not_spread_cannot_be_told_where_it_is_the_least():
    x = np.random.default_rng(4).normal(5, 1, size=(2, 5))
    for row, p in ((np.full(5, 1.0), None), (x[0] - 5, np.array([np.nan, 0.01]))):
        found = least_mean(np.array([row, x[1]]), p)
        assert (found.place, found.interval, found.p) == (0, None, None)
    assert least_mean(x[:, :1]).interval is None
    easy = least_mean(np.array([np.full(5, 90.0), x[1]]))
    assert easy.place == 1
    assert easy.interval[0] > 0
