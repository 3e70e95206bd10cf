"""What goes with features, in worlds where the answer is known."""

import numpy as np
import pytest
from scipy.stats import binom

from cellprism.studies.state.covariates import Covariate
from cellprism.studies.state.following import follow
from cellprism.studies.state.work import followed_by, strata
from studies.state.planted import cells

CELLS, FEATURES, PERMUTATIONS = 120, 31, 199


def world(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Types that differ in depth, and features that follow the type alone, but for the first, which follows depth."""
    rng = np.random.default_rng([seed, 1])
    kind = np.arange(CELLS) % 3
    depth = 3 * kind + rng.normal(size=CELLS)
    features = np.maximum(kind[:, None] * rng.normal(size=FEATURES) + rng.normal(size=(CELLS, FEATURES)), 0)
    features[:, 0] = np.maximum(depth + 0.3 * rng.normal(size=CELLS), 0)
    return features, depth, kind


def test_a_depth_follower_is_found_and_features_of_types_are_not_within_types():
    features, depth, kind = world(0)
    row, columns = followed_by(
        features, np.ones(FEATURES, dtype=bool), Covariate("depth", "", depth, None), kind, PERMUTATIONS, [0]
    )
    assert columns["depth_r_within"][0] > 0.9
    assert columns["depth_q_within"][0] < 0.2
    assert row.over_cells.share > 0.5, "types differ in depth, so features of types go with it over all cells"
    assert row.within_types is not None
    assert row.within_types.share < 0.2
    assert (columns["depth_q_within"] < 0.05).sum() <= 1


def test_a_covariate_without_regard_to_features_is_called_as_rarely_as_it_should_be():
    called = 0
    for seed in range(60):
        features, depth, kind = world(seed)
        found = follow(features[:, 1:], Covariate("", "", depth, None), kind, PERMUTATIONS, [seed, 2])
        called += found.followers.p <= 0.05
        assert found.followers.null == pytest.approx(0.05, abs=0.02)
    assert called <= binom.ppf(0.999, 60, 0.05)


def test_ignoring_types_would_call_them_always():
    """The broken control: dealt out over all cells."""
    features, depth, kind = world(1)
    found = follow(features[:, 1:], Covariate("", "", depth, None), np.zeros_like(kind), PERMUTATIONS, [3])
    assert found.followers.p <= 0.05


def test_groups_of_cells_are_followed_by_eta():
    rng = np.random.default_rng(4)
    donor = rng.integers(4, size=CELLS)
    features = rng.normal(size=(CELLS, FEATURES))
    features[:, :5] += 2 * np.array([0, 3, 1, 2])[donor][:, None]
    found = follow(features, Covariate("donor", "", None, donor), np.zeros(CELLS, dtype=int), PERMUTATIONS, [5])
    assert found.r[:5].min() > 0.8
    assert found.q[:5].max() < 0.05
    assert (found.q[5:] < 0.05).sum() <= 2


def test_strata_are_types_with_enough_cells():
    some = cells()
    some.obs["cell_type"] = ["a"] * 20 + ["few"] * 3 + ["unlabelled"] * 9 + ["b"] * (some.n_obs - 32)
    found = strata(some)
    assert found is not None
    assert set(found[:20]) == {0}
    assert set(found[20:32]) == {-1}
    assert set(found[32:]) == {1}
    some.obs["cell_type"] = "unlabelled"
    assert strata(some) is None
