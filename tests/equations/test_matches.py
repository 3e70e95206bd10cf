"""Features matched with features: a loop as the oracle, and what the scale of a gene or a feature may not change."""

import numpy as np

from cellprism.equations.matches import similarities, standardised


def test_similarities_are_correlations_of_what_is_a_features_own():
    rng = np.random.default_rng(0)
    ours, others = rng.normal(size=(7, 29)), rng.normal(size=(11, 29))
    found = similarities(standardised(ours), standardised(others))

    def own(values: np.ndarray) -> np.ndarray:
        return np.array([[(v - c.mean()) / c.std() for v, c in zip(row, values.T, strict=True)] for row in values])

    for f, row in enumerate(own(ours)):
        for g, other in enumerate(own(others)):
            assert np.isclose(found[f, g], np.corrcoef(row, other)[0, 1])


def test_levels_of_things_tell_nothing_and_what_does_not_vary_is_zero():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(7, 29))
    loud = values * rng.uniform(1, 9, 29) + 50 * rng.normal(size=29)
    assert np.allclose(standardised(loud), standardised(values))
    values[:, 3] = 5.0
    assert not standardised(values)[:, 3].any() or np.isfinite(standardised(values)).all()
    assert not standardised(np.ones((7, 29))).any()
