"""Direction of regulation: formulas beside plain loops and beside what is known of them."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from cellprism.equations.regulation import (
    auroc_p,
    balanced,
    detectable,
    detectable_rank,
    equivalence_p,
    matched_auroc,
    matched_draws,
    rank_interval,
    rank_power,
    ridge_coefficients,
    sign_flip_p,
)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_balanced_effects_have_rows_and_columns_of_mean_square_one():
    effects = rng(0).standard_normal((17, 13)) * np.exp(rng(1).standard_normal((17, 1)))
    effects[3, 5] = np.nan
    even = balanced(effects)
    for axis in (0, 1):
        np.testing.assert_allclose(np.nanmean(even**2, axis=axis), 1, rtol=1e-6)
    assert np.isnan(even[3, 5])
    assert np.array_equal(np.sign(even[~np.isnan(even)]), np.sign(effects[~np.isnan(effects)]))


def test_hubs_of_either_kind_leave_no_trace_and_symmetry_stays():
    plain = rng(2).standard_normal((19, 19))
    plain = plain + plain.T
    scaled = plain * np.exp(rng(3).standard_normal((19, 1))) * np.exp(rng(4).standard_normal((1, 19)))
    np.testing.assert_allclose(balanced(scaled), balanced(plain), rtol=1e-6)
    np.testing.assert_allclose(balanced(plain), balanced(plain).T, rtol=1e-9)
    silent = plain.copy()
    silent[4] = 0
    assert not balanced(silent)[4].any()
    assert np.isfinite(balanced(silent)).all()


def test_a_matched_auroc_is_the_mean_share_of_smaller_matches():
    own, matched = np.array([3.0, 1.0, np.nan, 2.0]), np.array([[1, 2, 5], [1, 1, np.nan], [1, 2, 3], [np.nan] * 3])
    found = matched_auroc(own, matched)
    assert found.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.n == 2
    assert found.deviation == pytest.approx(np.sqrt(5 / 36 + 4 / 24) / 2)
    assert np.isnan(matched_auroc(own[3:], matched[3:]).value)
    assert np.isnan(auroc_p(matched_auroc(own[3:], matched[3:])))


def test_the_deviation_of_a_matched_auroc_is_that_of_exchangeable_members():
    values = rng(5).standard_normal((2_000, 17, 4))
    found = [matched_auroc(one[:, 0], one[:, 1:]) for one in values]
    aurocs = np.array([one.value for one in found])
    assert aurocs.std() == pytest.approx(found[0].deviation, rel=0.06)
    assert np.mean([auroc_p(one) <= 0.05 for one in found]) == pytest.approx(0.05, abs=0.016)


def test_draws_put_any_of_a_set_in_the_members_place():
    own, matched = rng(6).standard_normal(13), rng(7).standard_normal((13, 3))
    matched[2, 1] = np.nan
    drawn = matched_draws(own, matched, 3_000, 0)
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.std() == pytest.approx(matched_auroc(own, matched).deviation, rel=0.06)
    assert np.array_equal(drawn[:20], matched_draws(own, matched, 20, 0))


def test_sign_flips_are_all_tried_where_they_are_few():
    assert sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0]), 0) == pytest.approx(2 / 16)
    assert sign_flip_p(np.zeros(5), 0) == 1
    assert np.isnan(sign_flip_p(np.empty(0), 0))
    p = [sign_flip_p(rng([8, i]).standard_normal(23), i, 199) for i in range(300)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.04)


def test_what_is_detectable_is_found_four_times_in_five():
    seen = detectable(1.0, 40)
    p = [sign_flip_p(seen + rng([9, i]).standard_normal(40), i, 199) for i in range(200)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.8, abs=0.09)
    assert detectable(1.0, 0) == np.inf


def test_equivalence_takes_a_mean_that_is_known_to_be_small():
    x = 0.01 * rng(10).standard_normal(30)
    assert equivalence_p(x, 0.1) < 1e-6
    assert equivalence_p(x + 0.11, 0.1) > 0.9
    assert equivalence_p(10 * x, 0.02) > 0.05
    assert equivalence_p(x[:1], 0.1) == equivalence_p(np.ones(4), 0.1) == 1
    at_edge = [equivalence_p(0.1 + 0.05 * rng([11, i]).standard_normal(20), 0.1) for i in range(400)]
    assert np.mean(np.array(at_edge) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_intervals_and_power_of_rank_correlations():
    low, high = rank_interval(0.28, 97)
    assert (low, high) == (pytest.approx(0.085, abs=0.01), pytest.approx(0.456, abs=0.01))
    assert rank_power(detectable_rank(50), 50) == pytest.approx(0.8, abs=1e-9)
    assert 90 < next(n for n in range(4, 200) if detectable_rank(n) <= 0.28) < 110
    x = rng(12).standard_normal((400, 60))
    y = 0.5 * x + rng(13).standard_normal(x.shape)
    truth = 6 / np.pi * np.arcsin(0.5 / np.sqrt(1.25) / 2)
    inside = [
        low <= truth <= high for low, high in (rank_interval(spearmanr(a, b)[0], 60) for a, b in zip(x, y, strict=True))
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_one_inverse_holds_the_ridge_regression_of_every_gene():
    x = rng(14).standard_normal((31, 7))
    x -= x.mean(axis=0)
    found = ridge_coefficients(x.T @ x, 3.0)
    for gene in range(7):
        others = np.arange(7) != gene
        expected = Ridge(alpha=3.0, fit_intercept=False).fit(x[:, others], x[:, gene]).coef_
        np.testing.assert_allclose(found[others, gene], expected, rtol=1e-8)
    assert not np.diag(found).any()
