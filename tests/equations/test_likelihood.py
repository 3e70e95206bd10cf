import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from cellprism.equations.likelihood import counts_given_mean, mixture_density, nats_per_count, negative_binomial

CELLS, GENES, WIDTH, COMPONENTS = 17, 29, 13, 5


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.poisson(rng.gamma(0.5, 4, (CELLS, GENES))).astype(np.float64))


@pytest.fixture
def log_mean():
    return torch.from_numpy(np.random.default_rng(1).normal(0, 2, (CELLS, GENES)))


@pytest.fixture
def log_dispersion():
    return torch.from_numpy(np.random.default_rng(2).normal(1, 1, GENES))


def test_negative_binomial_is_that_of_scipy(counts, log_mean, log_dispersion):
    r, m = log_dispersion.exp().numpy(), log_mean.exp().numpy()
    expected = stats.nbinom.logpmf(counts.numpy(), r, r / (r + m))
    np.testing.assert_allclose(negative_binomial(counts, log_mean, log_dispersion), expected, rtol=1e-9)


def test_negative_binomial_sums_to_one_and_has_the_mean_it_is_given():
    x = torch.arange(4000.0, dtype=torch.float64)[:, None]
    p = negative_binomial(x, torch.full_like(x, math.log(7.3)), torch.tensor([0.4], dtype=torch.float64)).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    assert (p * x).sum().item() == pytest.approx(7.3, rel=1e-7)


def test_what_is_left_out_does_not_depend_on_the_mean(counts, log_mean, log_dispersion):
    def left_out(shift):
        log = log_mean + shift
        return negative_binomial(counts, log, log_dispersion) - counts_given_mean(counts, log, log_dispersion)

    torch.testing.assert_close(left_out(0), left_out(1.7))


def test_far_means_stay_finite_in_single_precision():
    log_mean = torch.tensor([[-80.0, 80.0]])
    value = counts_given_mean(torch.tensor([[3.0, 0.0]]), log_mean.requires_grad_(True), torch.zeros(2))
    assert value.isfinite().all()
    assert torch.autograd.grad(value.sum(), log_mean)[0].isfinite().all()


def test_mixture_density_equals_the_loop():
    rng = np.random.default_rng(3)
    z, mean = rng.normal(size=(CELLS, WIDTH)), rng.normal(size=(COMPONENTS, WIDTH))
    log_spread = rng.normal(0, 0.4, (COMPONENTS, WIDTH))
    weight = rng.dirichlet(np.ones(COMPONENTS))
    density = mixture_density(*map(torch.from_numpy, (z, np.log(weight), mean, log_spread)))
    for c in range(CELLS):
        parts = [
            np.log(weight[k]) + stats.norm.logpdf(z[c], mean[k], np.exp(log_spread[k])).sum() for k in range(COMPONENTS)
        ]
        assert density[c].item() == pytest.approx(logsumexp(parts), rel=1e-12)


def test_nats_per_count_is_the_multinomials_likelihood_without_its_coefficient(counts, log_mean):
    log_shares = log_mean.log_softmax(dim=1)
    nats = nats_per_count(counts, log_shares)
    for c in range(CELLS):
        x, p = counts[c].numpy(), log_shares[c].exp().numpy()
        coefficient = math.lgamma(x.sum() + 1) - sum(math.lgamma(v + 1) for v in x)
        expected = (coefficient - stats.multinomial.logpmf(x, x.sum(), p / p.sum())) / x.sum()
        assert nats[c].item() == pytest.approx(expected, rel=1e-9)


def test_the_best_shares_are_the_cells_own(counts):
    own = (counts / counts.sum(dim=1, keepdim=True)).clamp(min=1e-300).log()
    pooled = (counts.sum(dim=0) / counts.sum()).clamp(min=1e-300).log().expand_as(counts)
    assert (nats_per_count(counts, own) < nats_per_count(counts, pooled)).all()
