"""Direction of regulation: is a factor's effect on its targets larger than theirs on it, and than chance would give.

Symbols: E[s, j], the change of what is predicted of gene j when the input of gene s is raised; t, a factor; g, a gene.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, permutation_test, ttest_1samp

from cellprism.equations.ratio import is_spread

ROUNDS = 100
POWER, LEVEL = 0.8, 0.05


class MatchedAuroc(NamedTuple):
    """How often a member lies above the genes that were matched to it."""

    value: float
    """NaN where nothing could be compared."""
    deviation: float
    """Its standard deviation were every member exchangeable with its matches; follows from the design alone."""
    n: int
    """Members that were compared."""


def balanced(effects: Float[np.ndarray, "source gene"]) -> Float[np.ndarray, "source gene"]:
    """Effects with every source equally strong and every gene equally easy to move.

    Formula: E[s, j] / (a_s b_j) with a and b such that the mean square of each row and each column is 1 over its known
    entries (Sinkhorn and Knopp 1967, on the squares; both sides at once, so that a symmetric table stays symmetric). A
    hub, which moves or follows everything, is like any other then. NaN entries are unknown and stay so; rows and
    columns of zeros stay zero.
    """
    squares = np.nan_to_num(effects.astype(np.float64) ** 2)
    known = ~np.isnan(effects)
    rows, columns = known.sum(axis=1), known.sum(axis=0)
    a, b = np.ones(effects.shape[0]), np.ones(effects.shape[1])
    for _ in range(ROUNDS):
        a, b = np.sqrt(a * _scale(squares @ (1 / b), rows)), np.sqrt(b * _scale((1 / a) @ squares, columns))
    return effects / np.sqrt(np.outer(a, b))


def _scale(total: Float[np.ndarray, " line"], count: Any) -> Float[np.ndarray, " line"]:
    mean = total / np.maximum(count, 1)
    return np.where(mean > 0, mean, 1.0)


def matched_auroc(own: Float[np.ndarray, " member"], matched: Float[np.ndarray, "member match"]) -> MatchedAuroc:
    """Chance that a member has a larger value than a gene matched to it, ties counted half.

    Formula: mean over members i of the share of its m_i matches with a smaller value. Were a member one of its m_i + 1
    genes at random, that share would be uniform on 0, 1 / m_i, ..., 1, with variance (m_i + 2) / (12 m_i); members
    whose matches are their own are independent.

    Args:
        own: value of each member; NaN where it has none.
        matched: values of its matches; NaN where there is none.
    """
    there = ~np.isnan(matched) & ~np.isnan(own)[:, None]
    m = there.sum(axis=1)
    kept = m > 0
    if not kept.any():
        return MatchedAuroc(np.nan, np.nan, 0)
    above = np.where(there, (own[:, None] > matched) + 0.5 * (own[:, None] == matched), 0).sum(axis=1)[kept]
    m, n = m[kept], int(kept.sum())
    return MatchedAuroc(float((above / m).mean()), float(np.sqrt(((m + 2) / (12 * m)).sum()) / n), n)


def auroc_p(found: MatchedAuroc) -> float:
    """Two-sided p-value of a matched AUROC, by the normal approximation; NaN where there is none."""
    return float(2 * norm.sf(abs(found.value - 0.5) / found.deviation)) if found.n else np.nan


def matched_draws(
    own: Float[np.ndarray, " member"], matched: Float[np.ndarray, "member match"], draws: int, seed: int
) -> Float[np.ndarray, " draw"]:
    """The matched AUROC with one gene of each set, a member and its matches, in the member's place at random.

    Were members exchangeable with their matches, the true one would be one of these draws.
    """
    whole = np.concatenate([own[:, None], matched], axis=1)
    whole = whole[~np.isnan(own) & (~np.isnan(matched)).any(axis=1)]
    there = ~np.isnan(whole)
    rng = np.random.default_rng([seed, 67])
    drawn = np.empty(draws)
    for i in range(draws):
        pick = np.where(there, rng.random(whole.shape), -1).argmax(axis=1)
        rest = whole.copy()
        rest[np.arange(len(whole)), pick] = np.nan
        drawn[i] = matched_auroc(whole[np.arange(len(whole)), pick], rest).value
    return drawn


def sign_flip_p(x: Float[np.ndarray, " unit"], seed: int, draws: int = 9_999) -> float:
    """Two-sided p-value of the mean of some units, were each as likely to have the opposite sign.

    All sign patterns are tried where they are few, else ``draws`` of them. NaN without units.
    """
    if not x.size:
        return np.nan
    if not x.any():
        return 1.0
    found: Any = permutation_test(
        (x,), lambda v, axis: v.mean(axis=axis), permutation_type="samples", n_resamples=draws, vectorized=True,
        rng=np.random.default_rng([seed, 61]), batch=1_000,
    )  # fmt: skip
    return float(found.pvalue)


def detectable(deviation: float, n: int) -> float:
    """The smallest mean of ``n`` units that a two-sided test at .05 finds with 80 % power.

    Formula: (z_.975 + z_.8) s / sqrt(n), with s the standard deviation of a unit.
    """
    return float((norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) * deviation / np.sqrt(n)) if n else np.inf


def equivalence_p(x: Float[np.ndarray, " unit"], margin: float) -> float:
    """P-value of the mean of some units not lying within the margin around 0 (two one-sided t tests, the larger p).

    Small: the mean is 0 for all that matters. 1 of fewer than two units, or of units that do not vary.
    """
    if len(x) < 2 or not is_spread(x.var(), np.square(x).mean()):
        return 1.0
    low: Any = ttest_1samp(x, -margin, alternative="greater")
    high: Any = ttest_1samp(x, margin, alternative="less")
    return float(max(low.pvalue, high.pvalue))


def rank_interval(rho: float, n: int) -> tuple[float, float]:
    """95 % interval of a Spearman correlation of ``n`` pairs.

    Formula: tanh(atanh(rho) -+ 1.96 sqrt((1 + rho^2 / 2) / (n - 3))).
    Source: Bonett and Wright 2000.
    """
    half = norm.ppf(1 - LEVEL / 2) * np.sqrt((1 + rho**2 / 2) / max(n - 3, 1))
    centre = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))


def detectable_rank(n: int) -> float:
    """The smallest Spearman correlation that ``n`` pairs show with 80 % power at .05.

    Formula: tanh((z_.975 + z_.8) / sqrt((n - 3) / 1.06)), Fisher's transform with the variance of ranks.
    """
    return float(np.tanh((norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) / np.sqrt(max(n - 3, 1) / 1.06)))


def rank_power(rho: float, n: int) -> float:
    """How likely ``n`` pairs show a Spearman correlation of ``rho`` at .05; the counterpart of ``detectable_rank``."""
    return float(norm.cdf(np.arctanh(rho) * np.sqrt(max(n - 3, 1) / 1.06) - norm.ppf(1 - LEVEL / 2)))


def ridge_coefficients(covariance: Float[np.ndarray, "gene gene"], penalty: float) -> Float[np.ndarray, "gene gene"]:
    """Coefficient of each gene (row) in the ridge regression of each other (column) on all genes but itself.

    Formula: -P[s, j] / P[j, j] with P = (X^T X + penalty I)^-1, which is the ridge solution of every column at once by
    the inverse of a block matrix; 0 on the diagonal.

    Args:
        covariance: X^T X of centred genes.
        penalty: weight of the squared coefficients.
    """
    inverse = np.linalg.inv(covariance + penalty * np.eye(len(covariance)))
    found = -inverse / np.diag(inverse)
    np.fill_diagonal(found, 0)
    return found
