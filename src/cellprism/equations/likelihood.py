"""How likely counts are under models that give one vector a cell: negative binomial, mixture prior, share of counts.

Notable choices

- Dispersion r is the size of the negative binomial: variance m + m^2 / r, Poisson as r grows.
- Terms that only the data decide can be left out where a likelihood is only maximised.
- What counts are expected to look like on the scale log1p is summed term by term: where few counts are expected it is
  far below log1p of the mean, which no expansion around the mean gives.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

MANY = 256.0
"""Expected counts above which their distribution is as good as continuous."""


def negative_binomial(
    counts: Float[Tensor, "cell gene"],
    log_mean: Float[Tensor, "cell gene"],
    log_dispersion: Float[Tensor, " gene"],
) -> Float[Tensor, "cell gene"]:
    """Log probability of counts: log NB(x; m, r), natural logarithm.

    Formula: lgamma(x + r) - lgamma(r) - lgamma(x + 1) + r log(r / (r + m)) + x log(m / (r + m)).

    Args:
        counts: x.
        log_mean: log m.
        log_dispersion: log r, one a gene.
    """
    r = log_dispersion.exp()
    coefficient = torch.lgamma(counts + r) - torch.lgamma(r) - torch.lgamma(counts + 1)
    return coefficient + counts_given_mean(counts, log_mean, log_dispersion)


def counts_given_mean(
    counts: Float[Tensor, "cell gene"],
    log_mean: Float[Tensor, "cell gene"],
    log_dispersion: Float[Tensor, " gene"],
) -> Float[Tensor, "cell gene"]:
    """The part of ``negative_binomial`` that depends on the mean: r log(r / (r + m)) + x log(m / (r + m))."""
    log_sum = torch.logaddexp(log_mean, log_dispersion)
    return log_dispersion.exp() * (log_dispersion - log_sum) + counts * (log_mean - log_sum)


def expected_log1p(
    log_mean: Float[Tensor, "cell gene"],
    log_dispersion: Float[Tensor, " gene"],
    scale: Float[Tensor, " cell"],
) -> Float[Tensor, "cell gene"]:
    """Mean of log1p of scaled counts under a negative binomial: E log(1 + s x), x ~ NB(m, r).

    Formula: sum_x NB(x; m, r) log(1 + s x), up to an x of 32 m or more; above m = 256, where hardly any count is 0,
    log(1 + s m exp(digamma(r)) / r), exact where s m is large or r is.

    Args:
        log_mean: log m.
        log_dispersion: log r, one a gene.
        scale: s, one a cell; 1e4 / total for counts per ten thousand.
    """
    mean = log_mean.double().exp()
    r = log_dispersion.double().exp().expand_as(mean)
    s = scale.double()[:, None].expand_as(mean)
    found = torch.log1p(s * mean * torch.exp(torch.digamma(r) - r.log()))
    low, high = -1.0, 1.0
    while low < min(float(mean.max()), MANY):  # few entries have large means, and these alone need many terms
        here = (mean > low) & (mean <= high)
        if here.any():
            found[here] = _summed_log1p(mean[here], r[here], s[here], int(32 * high) + 32)
        low, high = high, high * 4
    return found.to(log_mean.dtype)


def _summed_log1p(
    mean: Float[Tensor, " entry"], r: Float[Tensor, " entry"], scale: Float[Tensor, " entry"], terms: int
) -> Float[Tensor, " entry"]:
    log_p = -r * torch.log1p(mean / r)  # of no count
    step = torch.log(mean / (r + mean))
    total = torch.zeros_like(mean)
    for x in range(terms):
        log_p = log_p + step + torch.log((x + r) / (x + 1))
        total += log_p.exp() * torch.log1p((x + 1) * scale)
    return total


def mixture_density(
    z: Float[Tensor, "cell d_model"],
    log_weight: Float[Tensor, " component"],
    mean: Float[Tensor, "component d_model"],
    log_spread: Float[Tensor, "component d_model"],
) -> Float[Tensor, " cell"]:
    """Log density of vectors under a mixture of Gaussians with a spread for each component and dimension.

    Formula: log sum_k pi_k prod_j N(z_j; mu_kj, sigma_kj^2).

    Args:
        z: vectors.
        log_weight: log pi_k; the weights add up to 1.
        mean: mu.
        log_spread: log sigma.
    """
    scaled = (z[:, None] - mean) / log_spread.exp()
    normal = -0.5 * scaled.square() - log_spread - 0.5 * math.log(2 * math.pi)
    return torch.logsumexp(log_weight + normal.sum(dim=-1), dim=1)


def nats_per_count(
    counts: Float[Tensor, "cell gene"], log_shares: Float[Tensor, "cell gene"]
) -> Float[Tensor, " cell"]:
    """How badly shares predict where a cell's counts fall: the mean of -log share over the counts of each cell.

    Formula: -sum_g x_g log p_g / sum_g x_g, the multinomial's negative log likelihood per count without its
    coefficient. Lower is better; exp of a difference is a ratio of likelihoods per count.
    """
    return -(counts * log_shares).sum(dim=1) / counts.sum(dim=1)
