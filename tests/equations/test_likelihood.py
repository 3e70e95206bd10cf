import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from cellprism.equations.likelihood import (
    counts_given_mean,
    expected_log1p,
    mixture_density,
    nats_per_count,
    negative_binomial,
)

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


def test_expected_log1p_is_the_sum_over_all_counts(log_mean):
    rng = np.random.default_rng(4)
    log_dispersion, scale = rng.uniform(-1, 4, GENES), rng.uniform(0.5, 9, CELLS)
    log_mean = log_mean.clamp(max=4)
    found = expected_log1p(log_mean, *map(torch.from_numpy, (log_dispersion, scale)))
    r, m, x = np.exp(log_dispersion)[:, None], log_mean.exp().numpy()[..., None], np.arange(3_000)
    for c in range(CELLS):
        expected = (stats.nbinom.pmf(x, r, r / (r + m[c])) * np.log1p(scale[c] * x)).sum(axis=1)
        np.testing.assert_allclose(found[c], expected, rtol=1e-5, atol=1e-9)


def test_many_counts_are_scattered_like_their_limit():
    log_mean, r = torch.tensor([[math.log(300.0), math.log(250.0)]], dtype=torch.float64), 7.0
    found = expected_log1p(log_mean, torch.full((2,), math.log(r), dtype=torch.float64), torch.ones(1).double())
    x = np.arange(9_000)
    for g, m in enumerate((300.0, 250.0)):
        expected = (stats.nbinom.pmf(x, r, r / (r + m)) * np.log1p(x)).sum()
        assert found[0, g].item() == pytest.approx(expected, rel=1e-3)


def test_what_is_counted_of_a_deep_cell_is_its_rate_and_of_a_shallow_one_far_less():
    rate = torch.tensor([[math.log(3.0)]], dtype=torch.float64)
    certain = torch.tensor([30.0], dtype=torch.float64)
    for depth, low, high in ((1e8, 0.999, 1.001), (1e3, 0.3, 0.5)):
        scale = torch.tensor([1e4 / depth], dtype=torch.float64)
        share = expected_log1p(rate + math.log(depth / 1e4), certain, scale).item() / math.log1p(3)
        assert low < share < high


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
