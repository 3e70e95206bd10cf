"""Effects of steering: how far, in which direction, how straight, and whether chance would do as well.

Notable choices

- Strengths are measured from 1, where nothing happens: 5 and -5 are +4 and -6 away from it and cannot be
  compared.
- A model is a deterministic function, so a test over cells calls every edit significant. Effects are ranked
  among those of matched random edits instead.
- "Closer to the target" also happens to cells that only shrink to their own mean: progress along the axis,
  drift across it and the variance kept are told apart.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from cellprism.equations.ratio import is_spread, share

LEVEL = 0.05
"""A two-sided p-value of at most this calls a number above or below chance."""
CLOSE = 1e-6
"""Of the largest number at hand: draws this near to the value are as extreme as it is."""


def gap_fraction(
    source: Float[np.ndarray, " gene"],
    target: Float[np.ndarray, " gene"],
    steered: Float[np.ndarray, " gene"],
) -> Float[np.ndarray, " gene"]:
    """Share of the gap between two types that steering closes: (steered - source) / (target - source), per
    gene.

    0: not moved; 1: arrived; negative: moved away; NaN where source and target do not differ.
    Source: Yanovsky and Chernomoretz 2026.
    """
    gap = target - source
    apart = is_spread(gap**2, source**2 + target**2)
    return np.divide(steered - source, gap, out=np.full_like(gap, np.nan), where=apart)


def dose_slope(strengths: Float[np.ndarray, " dose"], effect: Float[np.ndarray, " dose"]) -> float:
    """Effect per unit of strength, by least squares through the neutral point (1, 0).

    Formula: sum d e / sum d^2 with d = alpha - 1.
    """
    distance = strengths - 1
    return float(distance @ effect / (distance @ distance))


def linear_share(
    strengths: Float[np.ndarray, " dose"],
    effect: Float[np.ndarray, "dose gene"],
    level: Float[np.ndarray, " gene"],
) -> float:
    """Share of the squared effect that straight lines through the neutral point explain, one line a gene.

    Formula: sum_g (sum_i d_i e_ig)^2 / (sum_i d_i^2 sum_ig e_ig^2) with d = alpha - 1; NaN where there is no
    effect beyond the rounding of the genes' own ``level``, from which effects are differences.
    """
    distance, total = strengths - 1, (effect**2).sum()
    part = ((distance @ effect) ** 2).sum() / (distance @ distance)
    return float(share(part, total, len(effect) * (level**2).sum()))


def monotonicity(strengths: Float[np.ndarray, " dose"], effect: Float[np.ndarray, " dose"]) -> float:
    """Spearman correlation of strength and effect: 1 always rising, -1 always falling; NaN where the effect
    is constant."""
    if np.ptp(effect) == 0:
        return np.nan
    return float(np.asarray(spearmanr(strengths, effect))[0])


def antisymmetry(
    up: Float[np.ndarray, " gene"], down: Float[np.ndarray, " gene"], level: Float[np.ndarray, " gene"]
) -> float:
    """How exactly the effect at 1 - d mirrors the effect at 1 + d.

    Formula: (|up - down| - |up + down|) / (|up - down| + |up + down|), Euclidean norms over genes: 1 exact
    mirror images, 0 unrelated effects of equal size, -1 the same effect both ways; NaN where there is no
    effect beyond the rounding of the genes' own ``level``. A linear map scores 1 for any edit, so the number
    means something only beside the same number for random edits.
    """
    if not is_spread((up**2 + down**2).sum(), 2 * (level**2).sum()):
        return np.nan
    odd, even = np.linalg.norm(up - down), np.linalg.norm(up + down)
    return float((odd - even) / (odd + even))


def axis_progress(
    points: Float[np.ndarray, "cell d_model"],
    source: Float[np.ndarray, " d_model"],
    target: Float[np.ndarray, " d_model"],
) -> Float[np.ndarray, " cell"]:
    """Place of each cell along the axis from the source centroid (0) to the target centroid (1).

    Formula: <e - mu_s, mu_t - mu_s> / |mu_t - mu_s|^2; NaN where both centroids are the same.
    """
    axis = target - source
    return share((points - source) @ axis, axis @ axis, source @ source + target @ target)


def axis_drift(
    before: Float[np.ndarray, "cell d_model"],
    after: Float[np.ndarray, "cell d_model"],
    source: Float[np.ndarray, " d_model"],
    target: Float[np.ndarray, " d_model"],
) -> Float[np.ndarray, " cell"]:
    """How far each cell moved across the axis, in units of the distance between the two centroids.

    Formula: |m - <m, u> u| / |mu_t - mu_s| with m = after - before and u the unit vector of the axis; NaN where both
    centroids are the same.
    """
    axis = target - source
    move = after - before
    if not is_spread(axis @ axis, source @ source + target @ target):
        return np.full(len(move), np.nan)
    length = np.linalg.norm(axis)
    along = move @ axis / length
    across = np.sqrt(np.maximum((move**2).sum(axis=1) - along**2, 0))
    return across / length


def variance_kept(before: Float[np.ndarray, "cell d_model"], after: Float[np.ndarray, "cell d_model"]) -> float:
    """Total variance of the cells after steering over that before; far below 1 they have shrunk to a point. NaN for one
    cell, or equal ones."""
    return float(share(after.var(axis=0).sum(), before.var(axis=0).sum(), np.square(before).mean(axis=0).sum()))


def weighted_progress(
    source: Float[np.ndarray, " gene"],
    target: Float[np.ndarray, " gene"],
    steered: Float[np.ndarray, " gene"],
    weight: Float[np.ndarray, " gene"],
) -> float:
    """Progress of mean expression along the weighted gap: 0 unsteered, 1 the target's mean.

    Formula: sum_g w_g (steered - source)(target - source) / sum_g w_g (target - source)^2, the mean of the
    gap fractions weighted by w_g gap_g^2, which small gaps cannot dominate. NaN where all weighted gaps are
    0.
    """
    gap = target - source
    squares = (weight * (source**2 + target**2)).sum()
    return float(share((weight * (steered - source) * gap).sum(), (weight * gap**2).sum(), squares))


def permutation_p(value: float, drawn: Sequence[float] | Float[np.ndarray, " draw"]) -> float:
    """Two-sided p-value of a number among what chance gave.

    Formula: p = min(1, 2 (1 + min(b, c)) / (1 + n)) with b of n draws at least as large as the value and c at most as
    large. Under the null hypothesis P(p <= a) <= a for every a, whatever the distribution of the draws. NaN where the
    value or a draw is missing.
    """
    chance = np.asarray(drawn, dtype=np.float64)
    if np.isnan(value) or np.isnan(chance).any():
        return np.nan
    close = CLOSE * max(abs(value), float(np.abs(chance).max(initial=0.0)))
    above, below = int((chance >= value - close).sum()), int((chance <= value + close).sum())
    return min(1.0, 2 * (1 + min(above, below)) / (1 + len(chance)))


def nearest_others(
    level: Float[np.ndarray, " gene"],
    chosen: Int[np.ndarray, " some"],
    excluded: Int[np.ndarray, " others"],
    per_gene: int,
) -> Int[np.ndarray, " matched"]:
    """Genes outside ``excluded`` that match the chosen ones in level: for each chosen gene its ``per_gene``
    nearest.

    A gene may match several chosen ones and then counts as often, so that the mean levels stay close.

    Args:
        level: expression level of each gene.
        chosen: positions of the genes to match.
        excluded: positions that are never a match, as a rule the chosen ones and more.
        per_gene: how many matches each gets (all others, where there are fewer).
    """
    others = np.setdiff1d(np.arange(level.size), excluded)
    distance = np.abs(level[others][None, :] - level[chosen][:, None])
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :per_gene]
    return others[nearest].ravel()


def loss_recovered(original: float, spliced: float, ablated: float) -> float:
    """How much of what a site is worth to a model survives when a reconstruction takes its place.

    Formula: (L_ablated - L_spliced) / (L_ablated - L_original): 1 where nothing is lost, 0 where the reconstruction is
    no better than the ablation; NaN where the ablation costs nothing, since there is then nothing to recover.
    Source: Bricken et al. 2023; Gao et al. 2024.
    """
    worth = ablated - original
    there = worth > 0 and is_spread(worth**2, ablated**2 + original**2)
    return (ablated - spliced) / worth if there else float("nan")
