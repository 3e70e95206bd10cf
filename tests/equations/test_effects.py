"""Measures of effect, against loops, against scipy, and against what they must not be fooled by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellprism.equations.effects import (
    antisymmetry,
    axis_drift,
    axis_progress,
    dose_slope,
    gap_fraction,
    linear_share,
    monotonicity,
    nearest_others,
    variance_kept,
    weighted_progress,
)

CELLS, D_MODEL, GENES = 17, 13, 29
STRENGTHS = np.array([-5.0, -3, -1, 0, 1, 2, 3, 5])
LEVEL = np.linspace(0.1, 4, GENES)


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_gap_fraction_is_0_unmoved_1_arrived_and_nan_without_a_gap():
    source, target = np.array([0.0, 1, 2, 3]), np.array([1.0, 3, 1, 3])
    steered = np.array([0.0, 3, 2.5, 9])
    np.testing.assert_array_equal(gap_fraction(source, target, steered), [0, 1, -0.5, np.nan])


@given(st.floats(-3, 3))
def test_a_straight_response_has_its_slope_all_linear(slope):
    effect = (STRENGTHS - 1)[:, None] * slope * np.array([1.0, -2, 0.5])
    assert dose_slope(STRENGTHS, effect[:, 1]) == pytest.approx(-2 * slope)
    if abs(slope) > 1e-3:
        assert linear_share(STRENGTHS, effect, LEVEL[:3]) == pytest.approx(1)


def test_a_response_that_ignores_the_sign_is_not_linear_where_doses_mirror_each_other():
    strengths = np.array([-3.0, -1, 0, 2, 3, 5])
    effect = np.abs(strengths - 1)[:, None] * np.ones(3)
    assert linear_share(strengths, effect, LEVEL[:3]) == pytest.approx(0)
    assert np.isnan(linear_share(strengths, 0 * effect, LEVEL[:3]))


def test_monotonicity_is_the_rank_correlation_and_missing_where_nothing_changes():
    assert monotonicity(STRENGTHS, np.exp(STRENGTHS)) == pytest.approx(1)
    assert monotonicity(STRENGTHS, -(STRENGTHS**3)) == pytest.approx(-1)
    assert np.isnan(monotonicity(STRENGTHS, np.zeros_like(STRENGTHS)))


def test_antisymmetry_is_1_for_mirror_images_minus_1_for_the_same_effect_and_0_for_unrelated_ones():
    up = draws(GENES)
    assert antisymmetry(up, -up, LEVEL) == pytest.approx(1)
    assert antisymmetry(up, up, LEVEL) == pytest.approx(-1)
    assert antisymmetry(np.array([1.0, 0]), np.array([0.0, 1]), LEVEL[:2]) == pytest.approx(0)
    assert np.isnan(antisymmetry(0 * up, 0 * up, LEVEL))


def test_five_and_minus_five_of_a_linear_map_look_asymmetric_and_mirror_doses_do_not():
    response = draws(GENES)
    assert antisymmetry(4 * response, -6 * response, LEVEL) < 0.7
    assert antisymmetry(4 * response, -4 * response, LEVEL) == pytest.approx(1)


def test_progress_and_drift_split_a_move_into_along_and_across():
    source, target = draws(D_MODEL, seed=1), draws(D_MODEL, seed=2)
    axis = target - source
    across = draws(D_MODEL, seed=3)
    across -= across @ axis / (axis @ axis) * axis
    before = source + draws(CELLS, D_MODEL)
    after = before + 0.25 * axis + 0.5 * across
    np.testing.assert_allclose(axis_progress(after, source, target) - axis_progress(before, source, target), 0.25)
    np.testing.assert_allclose(
        axis_drift(before, after, source, target), 0.5 * np.linalg.norm(across) / np.linalg.norm(axis)
    )
    assert axis_progress(source[None], source, target)[0] == 0
    assert axis_progress(target[None], source, target)[0] == pytest.approx(1)


def test_cells_that_shrink_to_their_own_mean_come_closer_without_progress_or_variance():
    source = np.zeros(D_MODEL)
    target = np.eye(D_MODEL)[0]
    before = draws(401, D_MODEL)
    before -= before.mean(axis=0)
    after = 0.1 * before
    closer = np.linalg.norm(after - target, axis=1) < np.linalg.norm(before - target, axis=1)
    assert closer.mean() > 0.95
    assert (axis_progress(after, source, target) - axis_progress(before, source, target)).mean() == pytest.approx(0)
    assert variance_kept(before, after) == pytest.approx(0.01)


def test_weighted_progress_is_0_unsteered_and_1_at_the_target_and_small_gaps_do_not_decide():
    source, weight = draws(GENES), np.abs(draws(GENES, seed=2))
    target = source + draws(GENES, seed=3)
    assert weighted_progress(source, target, source, weight) == 0
    assert weighted_progress(source, target, target, weight) == pytest.approx(1)
    assert weighted_progress(source, target, source + 0.3 * (target - source), weight) == pytest.approx(0.3)
    tiny = target.copy()
    tiny[0] = source[0] + 1e-9
    wild = source.copy()
    wild[0] += 1  # a gap fraction of a billion
    assert abs(weighted_progress(source, tiny, wild, weight)) < 1e-6
    assert np.isnan(weighted_progress(source, source, target, weight))


def test_matched_genes_have_the_level_of_the_chosen_and_are_never_excluded_ones():
    level = np.sort(draws(GENES, seed=4))
    chosen, excluded = np.array([3, 11, 23]), np.array([3, 4, 11, 12, 23, 24])
    matched = nearest_others(level, chosen, excluded, 2)
    assert matched.shape == (6,)
    assert not np.isin(matched, excluded).any()
    for i, gene in enumerate(chosen):
        others = np.setdiff1d(np.arange(GENES), excluded)
        best = np.sort(np.abs(level[others] - level[gene]))[:2]
        np.testing.assert_allclose(np.sort(np.abs(level[matched[2 * i : 2 * i + 2]] - level[gene])), best)
