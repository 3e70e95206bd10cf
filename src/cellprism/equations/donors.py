"""Two conditions compared over donors: pseudobulk means, t intervals, and every way to deal donors to conditions.

Notable choices

- A donor counts once, whatever the number of its cells. Cells of one donor are alike, so that taking cells for
  replicates calls differences between donors differences between conditions.
- Where conditions lie within donors (cell types, stimulated and not), the difference is taken donor by donor; else the
  donors of one condition stand against those of the other, with unequal variances (Welch).
"""

from itertools import combinations, islice, product
from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import stdtr, stdtrit

from cellprism.equations.ratio import is_spread


class Difference(NamedTuple):
    """Mean difference of every feature between two conditions."""

    mean: Float[np.ndarray, " feature"]
    low: Float[np.ndarray, " feature"]
    """Ends of the t interval; NaN where nothing varies over donors."""
    high: Float[np.ndarray, " feature"]
    t: Float[np.ndarray, " feature"]
    """0 where nothing varies."""
    p: Float[np.ndarray, " feature"]
    """Two-sided; 1 where nothing varies."""


def donor_means(
    values: Float[np.ndarray, "cell feature"], unit: Int[np.ndarray, " cell"], n_units: int
) -> Float[np.ndarray, "unit feature"]:
    """Mean of every feature over the cells of each unit, a donor in a condition; NaN for a unit without cells.

    Args:
        values: of the cells.
        unit: number of each cell's unit, -1 for cells that take no part.
        n_units: how many there are.
    """
    member = (unit[None, :] == np.arange(n_units)[:, None]).astype(np.float64)
    count = member.sum(axis=1, keepdims=True)
    return np.divide(member @ values, count, out=np.full((n_units, values.shape[1]), np.nan), where=count > 0)


def unpaired(
    means: Float[np.ndarray, "donor feature"], case: Bool[np.ndarray, " donor"], level: float = 0.95
) -> Difference:
    """Donors of one condition against those of the other.

    Formula: m1 - m2 -+ t sqrt(v1 + v2) with v = s^2 / n over donors, on Welch's degrees of freedom,
    (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)).
    """
    parts = [means[case], means[~case]]
    mean = parts[0].mean(axis=0) - parts[1].mean(axis=0)
    v1, v2 = (part.var(axis=0, ddof=1) / len(part) for part in parts)
    squares = np.square(means).mean(axis=0)
    there = is_spread(v1 + v2, squares)
    v1, v2 = np.where(there, v1, 1), np.where(there, v2, 1)
    free = (v1 + v2) ** 2 / (v1**2 / (len(parts[0]) - 1) + v2**2 / (len(parts[1]) - 1))
    return _interval(mean, np.sqrt(v1 + v2), free, there, level)


def paired(differences: Float[np.ndarray, "donor feature"], level: float = 0.95) -> Difference:
    """Differences between two conditions of the same donors, against 0.

    Formula: m -+ t s / sqrt(n) on n - 1 degrees of freedom.
    """
    n = len(differences)
    mean, variance = differences.mean(axis=0), differences.var(axis=0, ddof=1)
    there = is_spread(variance, np.square(differences).mean(axis=0))
    return _interval(mean, np.sqrt(np.where(there, variance, 1) / n), np.full(mean.shape, n - 1.0), there, level)


def _interval(mean, error, free, there, level: float) -> Difference:
    half = stdtrit(free, (1 + level) / 2) * error
    t = np.where(there, mean / error, 0)
    p = np.where(there, 2 * stdtr(free, -np.abs(t)), 1.0)
    return Difference(mean, np.where(there, mean - half, np.nan), np.where(there, mean + half, np.nan), t, p)


def other_splits(
    case: Bool[np.ndarray, " donor"], most: int, rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "split donor"], bool]:
    """Other ways to deal the donors to two conditions of these sizes, and whether these are all there are: each once,
    without the given one and, for conditions of equal size, without mirror images.

    Args:
        case: which donors have the first condition.
        most: so many are drawn at random where there are more; these may repeat, or be the given one.
        rng: draws them.
    """
    n, k = len(case), int(case.sum())
    if comb(n, k) // (2 if 2 * k == n else 1) - 1 > most:
        return np.stack([rng.permutation(case) for _ in range(most)]), False
    splits = np.zeros((comb(n, k), n), dtype=bool)
    for row, chosen in zip(splits, combinations(range(n), k), strict=True):
        row[list(chosen)] = True
    same = (splits == case).all(axis=1)
    if 2 * k == n:
        splits, same = splits[splits[:, 0] == case[0]], same[splits[:, 0] == case[0]]
    return splits[~same], True


def other_signs(n: int, most: int, rng: np.random.Generator) -> tuple[Int[np.ndarray, "split donor"], bool]:
    """Other ways to swap two conditions within n donors, as signs of the differences, and whether these are all there
    are: each once, without the given one and mirror images; else ``most`` drawn at random."""
    if 2 ** (n - 1) - 1 > most:
        return rng.choice([-1, 1], (most, n)), False
    signs = [(1, *rest) for rest in islice(product([1, -1], repeat=n - 1), 1, None)]
    return np.array(signs, dtype=np.int64).reshape(len(signs), n), True
