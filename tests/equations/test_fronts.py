"""Fronts and cosines against definitions written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellprism.equations.fronts import edit_cosine, front, share_closed


@given(st.integers(0, 2**31))
def test_a_point_is_on_the_front_where_no_other_is_as_good_in_all_and_better_in_one(seed):
    gains = np.random.default_rng(seed).integers(0, 4, (23, 2)).astype(float)
    gains[5, 0] = np.nan
    there = front(gains)
    for i, own in enumerate(gains):
        beaten = any((other >= own).all() and (other > own).any() for other in gains)
        assert there[i] == (not beaten and np.isfinite(own).all())


def test_equal_points_are_both_on_the_front():
    assert front(np.array([[1.0, 2.0], [1.0, 2.0], [0.5, 2.0]])).tolist() == [True, True, False]


def test_the_share_that_is_closed_is_1_at_the_target_0_where_nothing_moves_and_negative_beyond_the_mirror_image():
    gap, weight = np.array([2.0, -1.0, 3.0]), np.array([1.0, 2.0, 0.0])
    assert share_closed(gap * [1, 1, 7], gap, weight) == 1
    assert share_closed(0 * gap, gap, weight) == 0
    assert share_closed(gap / 2, gap, weight) == pytest.approx(0.75)
    assert share_closed(-gap, gap, weight) == pytest.approx(-3)
    assert np.isnan(share_closed(gap, 0 * gap, weight))


def test_the_cosine_does_not_depend_on_how_strongly_a_feature_fires():
    rng = np.random.default_rng(0)
    a, b, norm = rng.normal(size=17), rng.normal(size=17), rng.uniform(1, 2, 17)
    scale = rng.uniform(0.1, 10, 17)
    assert edit_cosine(a * scale, b * scale, norm * scale**2) == pytest.approx(edit_cosine(a, b, norm))
    assert edit_cosine(a, a, norm) == pytest.approx(1)
    assert edit_cosine(a, -3 * a, norm) == pytest.approx(-1)
    silent = norm * (np.arange(17) != 3)
    assert edit_cosine(a, b, silent) == pytest.approx(edit_cosine(np.delete(a, 3), np.delete(b, 3), np.delete(norm, 3)))
    assert np.isnan(edit_cosine(0 * a, b, norm))
