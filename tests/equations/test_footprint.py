import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellprism.equations.footprint import gene_set_size, overlap_coefficient, participation_ratio, pooled_mean

FEATURES, GENES, CELLS = 41, 29, 17
activations = arrays(np.float64, (5, 13), elements=st.floats(-100, 100))


@pytest.fixture
def F():
    rng = np.random.default_rng(0)
    values = rng.gamma(0.3, size=(FEATURES, GENES)) * (rng.random((FEATURES, GENES)) < 0.4)
    values[3] = 0
    return values


def test_participation_ratio_equals_the_loop(F):
    for feature, ratio in enumerate(participation_ratio(F)):
        second = sum(F[feature, g] ** 2 for g in range(GENES))
        fourth = sum(F[feature, g] ** 4 for g in range(GENES))
        assert ratio == pytest.approx(second**2 / fourth if fourth else 0.0, rel=1e-12)


def test_participation_ratio_of_a_feature_that_never_fires_is_zero(F):
    assert participation_ratio(F)[3] == 0
    assert participation_ratio(np.zeros((2, 0))).tolist() == [0, 0]


@pytest.mark.parametrize("n", [1, 2, 7, 29])
def test_n_equal_values_give_a_ratio_of_n(n):
    row = np.zeros((1, GENES))
    row[0, :n] = 0.37
    assert participation_ratio(row)[0] == pytest.approx(n, rel=1e-12)


@given(activations)
def test_participation_ratio_lies_between_one_and_the_number_of_genes(F):
    ratio = participation_ratio(F)[np.abs(F).max(axis=1) > 0]
    assert (ratio >= 1 - 1e-12).all()
    assert (ratio <= F.shape[1] * (1 + 1e-12)).all()


@given(activations, st.floats(1e-90, 1e90))
def test_participation_ratio_is_scale_free_far_beyond_what_a_fourth_power_can_hold(F, scale):
    assume((np.abs(F[F != 0]) > 1e-6).all())
    np.testing.assert_allclose(participation_ratio(F * scale), participation_ratio(F), rtol=1e-9)


@given(activations, st.randoms())
def test_participation_ratio_does_not_depend_on_the_order_of_genes(F, random):
    order = list(range(F.shape[1]))
    random.shuffle(order)
    np.testing.assert_allclose(participation_ratio(F[:, order]), participation_ratio(F), rtol=1e-9)


def test_gene_set_size_rounds_and_clamps_only_when_asked():
    ratio = np.array([0.0, 1.0, 3.4, 3.6, 250.2])
    assert gene_set_size(ratio).tolist() == [0, 1, 3, 4, 250]
    assert gene_set_size(ratio, clamp=(10, 100)).tolist() == [0, 10, 10, 10, 100]


def test_pooling_counts_cells_where_the_feature_is_silent():
    rng = np.random.default_rng(1)
    z = rng.random((CELLS, GENES, FEATURES)) * (rng.random((CELLS, GENES, FEATURES)) < 0.1)
    carried = rng.random((CELLS, GENES)) < 0.7
    carried[:, 5] = False
    F = pooled_mean((z * carried[:, :, None]).sum(axis=0).T, carried.sum(axis=0))
    for f in (0, 7, 40):
        for g in range(GENES):
            values = [z[c, g, f] for c in range(CELLS) if carried[c, g]]
            assert F[f, g] == pytest.approx(sum(values) / len(values) if values else 0.0, rel=1e-12)


def test_overlap_coefficient_equals_its_formula_on_sets():
    rng = np.random.default_rng(2)
    sets = [set(rng.choice(GENES, size, replace=False)) for size in (1, 5, 13, 29)] + [set()]
    pairs = [(a, b) for a in sets for b in sets]
    shared, size_a, size_b = (np.array(v) for v in zip(*((len(a & b), len(a), len(b)) for a, b in pairs), strict=True))
    expected = [len(a & b) / np.sqrt(len(a) * len(b)) if a and b else 0.0 for a, b in pairs]
    np.testing.assert_allclose(overlap_coefficient(shared, size_a, size_b), expected, rtol=1e-12)
    assert overlap_coefficient(np.array([13]), np.array([13]), np.array([13]))[0] == 1
