import numpy as np
import pytest
import torch

from cellprism.equations.dimension import inverse_participation, shared_participation

ROWS, WIDTH = 2003, 13


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_inverse_participation_is_that_of_the_eigenvalues(rng):
    x = rng.normal(size=(29, WIDTH)) * rng.gamma(1, 1, WIDTH)
    x -= x.mean(0)
    values = np.linalg.eigvalsh(x.T @ x)
    expected = (values**2).sum() / values.sum() ** 2
    assert inverse_participation(torch.from_numpy(x)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [1, 5, 13])
def test_k_equal_directions_are_k_dimensions(k):
    x = torch.zeros(2 * k, WIDTH, dtype=torch.float64)
    x[torch.arange(k), torch.arange(k)], x[torch.arange(k) + k, torch.arange(k)] = 3.0, -3.0
    assert 1 / inverse_participation(x).item() == pytest.approx(k)


def test_its_gradient_spreads_a_flat_stream(rng):
    x = torch.from_numpy(rng.normal(size=(61, WIDTH)) * np.r_[5.0, np.ones(WIDTH - 1)]).requires_grad_(True)
    before = inverse_participation(x)
    before.backward()
    assert inverse_participation(x - 50 * x.grad) < before


def test_noise_that_does_not_recur_is_no_dimension(rng):
    """Three planted directions under noise in all: the covariance sees about ten dimensions, two readings three."""
    signal = rng.normal(size=(ROWS, 3)) @ np.linalg.qr(rng.normal(size=(WIDTH, 3)))[0].T
    one, other = (torch.from_numpy(signal + rng.normal(size=(ROWS, WIDTH))) for _ in range(2))
    one, other = one - one.mean(0), other - other.mean(0)
    ratio, share = shared_participation(one, other, torch.arange(ROWS) % 2 == 0)
    assert 1 / inverse_participation(one).item() > 9
    assert ratio.item() == pytest.approx(3, abs=0.3)
    assert share.item() == pytest.approx(3 / (3 + WIDTH), abs=0.02)


def test_two_equal_readings_share_all(rng):
    x = torch.from_numpy(rng.normal(size=(29, WIDTH)))
    x -= x.mean(0)
    both = torch.cat([x, x])
    ratio, share = shared_participation(both, both, torch.arange(58) < 29)
    assert ratio.item() == pytest.approx(1 / inverse_participation(x).item(), rel=1e-12)
    assert share.item() == pytest.approx(1)


def test_few_rows_in_many_dimensions_say_what_many_would(rng):
    """Four directions under noise in 600, seen in 200 cells: all rows together say a fraction of one dimension."""
    found, together = [], []
    for _ in range(10):
        signal = 3 * rng.normal(size=(200, 4)) @ np.linalg.qr(rng.normal(size=(600, 4)))[0].T
        one, other = (torch.from_numpy(signal + rng.normal(size=(200, 600))) for _ in range(2))
        one, other = one - one.mean(0), other - other.mean(0)
        found.append(shared_participation(one, other, torch.arange(200) < 100)[0].item())
        cross = (one.T @ other + other.T @ one) / 2
        together.append((cross.trace() ** 2 / cross.square().sum()).item())
    assert np.mean(found) == pytest.approx(4, abs=0.5)
    assert np.mean(together) < 2
