"""The t interval over a few units, against its definition and by how often it holds the truth."""

import numpy as np
import pytest
from scipy.stats import binom
from scipy.stats import t as student

from cellprism.equations.units import unit_mean


def test_interval_and_p_are_those_of_the_definition():
    x = np.array([0.13, 0.21, 0.08, 0.17, 0.11])
    found = unit_mean(x)
    error = x.std(ddof=1) / np.sqrt(5)
    half = student.isf(0.025, 4) * error
    assert found.mean == pytest.approx(x.mean())
    assert found.interval == pytest.approx((x.mean() - half, x.mean() + half))
    assert found.p == pytest.approx(2 * student.sf(x.mean() / error, 4))
    assert unit_mean(-x).p == pytest.approx(found.p)


def test_units_that_do_not_spread():
    assert unit_mean(np.zeros(5)) == (0.0, (0.0, 0.0), 1.0)
    assert unit_mean(np.full(5, 0.1)) == (pytest.approx(0.1), None, None)
    assert unit_mean(np.array([0.1])) == (pytest.approx(0.1), None, None)
    assert unit_mean(np.array([0.0])) == (0.0, None, None)


def test_units_without_an_effect_are_called_once_in_twenty():
    rng = np.random.default_rng(3)
    called = sum((unit_mean(x).p or 1) <= 0.05 for x in rng.normal(size=(2000, 5)))
    assert binom.ppf(1e-4, 2000, 0.05) <= called <= binom.ppf(1 - 1e-4, 2000, 0.05)
