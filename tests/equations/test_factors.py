import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from cellprism.equations.factors import factor_posterior

CELLS, TOKENS, K = 17, 29, 5


@pytest.fixture
def planted():
    rng = np.random.default_rng(0)
    loading = rng.normal(size=(TOKENS, K))
    precision = rng.gamma(2, 1, (CELLS, TOKENS)) * (rng.random((CELLS, TOKENS)) < 0.6)
    return loading, precision, rng.normal(size=(CELLS, TOKENS))


def test_each_cell_is_a_weighted_ridge_regression_on_what_it_shows(planted):
    loading, precision, y = planted
    found = factor_posterior(*map(torch.from_numpy, (y, precision, loading)))
    for c in range(CELLS):
        ridge = Ridge(alpha=1.0, fit_intercept=False).fit(loading, y[c], sample_weight=precision[c])
        np.testing.assert_allclose(found[c], ridge.coef_, rtol=1e-8)


def test_it_is_the_mean_of_the_joint_gaussian_given_what_is_seen(planted):
    loading, _, y = planted
    seen = np.arange(TOKENS) % 3 > 0
    noise = np.linspace(0.3, 2.0, TOKENS)
    covariance = loading @ loading.T + np.diag(noise)
    expected = y[:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)]) @ loading[seen]
    precision = np.broadcast_to(np.where(seen, 1 / noise, 0), y.shape).copy()
    found = factor_posterior(*map(torch.from_numpy, (y, precision, loading)))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_what_is_hidden_changes_nothing_and_a_cell_that_shows_nothing_is_at_the_mean(planted):
    loading, precision, y = planted
    precision[0] = 0
    one = factor_posterior(*map(torch.from_numpy, (y, precision, loading)))
    other = factor_posterior(*map(torch.from_numpy, (np.where(precision > 0, y, 1e6), precision, loading)))
    torch.testing.assert_close(one, other)
    assert one[0].abs().max() == 0
