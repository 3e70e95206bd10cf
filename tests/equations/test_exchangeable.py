"""One number among a few: its interval holds one more of them as often as it says."""

import numpy as np
import pytest

from cellprism.equations.exchangeable import one_among


def test_one_more_of_them_is_called_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    drawn = rng.normal(3, 2, (1500, 6))
    found = [one_among(row[0], row[1:].tolist()) for row in drawn]
    p = np.array([one.p for one in found])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.018)
    inside = [abs(row[0] - one.mean) <= one.half for row, one in zip(drawn, found, strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.018)
    assert all((one.p > 0.05) == within for one, within in zip(found, inside, strict=True))


def test_what_lies_far_out_is_told_and_too_few_tell_nothing():
    assert one_among(9.0, [1.0, 1.1, 0.9, 1.05, 0.95]).p < 1e-4
    for others in ([], [1.0], [2.0, 2.0, 2.0]):
        assert np.isnan(one_among(9.0, others).p)
    assert one_among(9.0, [1.0]).mean == 1.0
