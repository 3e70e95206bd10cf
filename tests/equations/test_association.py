from itertools import permutations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellprism.equations.association import chance_shift, weighted_shift

CELLS, FEATURES, GENES = 17, 41, 29
small = {"elements": st.floats(0, 100, width=32)}


@pytest.fixture
def z():
    """Activations of which most are zero; feature 3 never fires, feature 5 fires in every cell alike."""
    rng = np.random.default_rng(0)
    values = rng.gamma(0.5, size=(CELLS, FEATURES)) * (rng.random((CELLS, FEATURES)) < 0.4)
    values[:, 3], values[:, 5] = 0, 0.7
    return values


@pytest.fixture
def expression():
    """Expression of 29 genes; gene 11 is the same in all cells."""
    rng = np.random.default_rng(1)
    values = rng.gamma(1.0, size=(CELLS, GENES)) * (rng.random((CELLS, GENES)) < 0.6)
    values[:, 11] = 1.3
    return values


def shift(z, expression):
    return weighted_shift(sp.csr_matrix(z), sp.csr_matrix(expression))


def test_equals_the_loop_over_cells(z, expression):
    F = shift(z, expression)
    for f in range(FEATURES):
        for g in range(GENES):
            y = [float(expression[c, g]) for c in range(CELLS)]
            mean = sum(y) / CELLS
            spread = (sum((v - mean) ** 2 for v in y) / CELLS) ** 0.5
            fired = sum(z[c, f] for c in range(CELLS))
            weighted = sum(z[c, f] * y[c] for c in range(CELLS)) / fired if fired else mean
            expected = (weighted - mean) / spread if spread > 1e-12 else 0.0
            assert F[f, g] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_features_that_never_fire_and_genes_that_do_not_vary_get_zero(z, expression):
    F = shift(z, expression)
    assert not F[3].any()
    assert not F[:, 11].any()
    assert np.abs(F[5]).max() < 1e-12, "a feature that fires everywhere alike tells no cells apart"


def test_a_feature_that_fires_in_one_cell_gives_that_cells_standard_scores(expression):
    z = np.zeros((CELLS, 1))
    z[7] = 2.5
    varying = np.ptp(expression, axis=0) > 0
    scores = (expression - expression.mean(axis=0))[:, varying] / expression.std(axis=0)[varying]
    np.testing.assert_allclose(shift(z, expression)[0, varying], scores[7], rtol=1e-9)


def test_negative_activations_count_their_cells_the_other_way(z, expression):
    np.testing.assert_allclose(shift(-z, expression), -shift(z, expression), rtol=1e-12)


def test_single_precision_input_loses_nothing_to_cancellation(z, expression):
    offset = expression + 1000
    F = shift(z.astype(np.float32), offset.astype(np.float32))
    np.testing.assert_allclose(F, shift(z, offset), atol=2e-3)


@given(arrays(np.float32, (CELLS, 5), **small), arrays(np.float32, (CELLS, 13), **small), st.floats(1e-3, 1e3))
def test_is_bounded_and_does_not_depend_on_the_scale_of_either(z, expression, scale):
    assume(((expression.std(axis=0) > 1e-2) | (np.ptp(expression, axis=0) == 0)).all())
    assume((z[z > 0] > 1e-6).all())
    F = shift(z, expression)
    assert (np.abs(F) <= np.sqrt(CELLS) * (1 + 1e-6)).all()
    np.testing.assert_allclose(shift(scale * z.astype(np.float64), expression), F, atol=1e-8)
    np.testing.assert_allclose(shift(z, scale * expression.astype(np.float64)), F, atol=1e-6)


@pytest.mark.slow
def test_the_spread_by_chance_is_that_over_all_orders_of_the_cells():
    rng = np.random.default_rng(0)
    z, expression = rng.gamma(1.0, size=(7, 3)) * np.array([1, 1, -1]), rng.gamma(1.0, size=(7, 5))
    z[:3, 1] = 0
    shifts = np.stack([shift(z[list(order)], expression) for order in permutations(range(7))])
    assert np.abs(shifts.mean(axis=0)).max() < 1e-12
    expected = np.broadcast_to(chance_shift(sp.csr_matrix(z))[:, None], (3, 5))
    np.testing.assert_allclose(shifts.std(axis=0), expected, rtol=1e-9)


def test_nothing_is_expected_by_chance_of_a_feature_that_is_the_same_everywhere_or_never_fires(z):
    found = chance_shift(sp.csr_matrix(z))
    assert found[3] == found[5] == 0
    assert (found[[f for f in range(FEATURES) if f not in (3, 5)]] > 0).all()
