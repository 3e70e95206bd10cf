"""Two groups of cells compared, for many genes and many groups at once: rank sums with their ties, and Welch's t.

Notable choices

- Everything is elementwise in sums that one product gives for all genes and groups; the p-values are those of
  ``scipy.stats.mannwhitneyu`` (asymptotic, two-sided, continuity corrected) and ``scipy.stats.ttest_ind``
  (``equal_var=False``).
- Where nothing varies there is no test: p is 1.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from scipy.special import ndtr, stdtr

from cellprism.equations.ratio import is_spread, variance


def ranked(values: sp.csc_matrix) -> tuple[Float[np.ndarray, "variable sample"], Float[np.ndarray, " variable"]]:
    """Mid-ranks of every column of a sparse table, zeros among its values; and sum (t^3 - t) over groups of t equal
    ones.

    Formula: with n0 zeros in a column their mid-rank is (n0 + 1) / 2, and a larger value has n0 + its mid-rank among
    those above 0.

    Args:
        values: [sample variable], none below 0, no zero stored; each column's values in rising order.
    """
    n, n_variables = values.get_shape()
    stored = np.diff(values.indptr)
    column = np.repeat(np.arange(n_variables), stored)
    first, length = runs(values.data, column)
    start = first - values.indptr[column[first]]
    zeros = (n - stored).astype(np.float64)
    middle = start + (length + 1) / 2
    rank = np.repeat(middle, length) + (zeros - (zeros + 1) / 2)[column]
    ties = np.bincount(column[first], _tied(length), minlength=n_variables) + _tied(zeros)
    above = sp.csc_matrix((rank, values.indices, values.indptr), shape=(n, n_variables))
    return above.T.toarray() + ((zeros + 1) / 2)[:, None], ties


def runs(data: Float[np.ndarray, " stored"], column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal values of one column begin, and how long each is."""
    begins = np.ones(len(data), dtype=bool)
    begins[1:] = (data[1:] != data[:-1]) | (column[1:] != column[:-1])
    first = np.flatnonzero(begins)
    return first, np.diff(np.append(first, len(data)))


def _tied(count: np.ndarray) -> Float[np.ndarray, "*some"]:
    """t^3 - t, in floating point: t may be large."""
    t = count.astype(np.float64)
    return t * (t * t - 1)


def rank_sums(
    ranks: Float[np.ndarray, "variable sample"], member: Float[np.ndarray, "sample group"]
) -> Float[np.ndarray, "variable group"]:
    """U of every group against all other samples, by one product.

    Formula: U = sum of the members' mid-ranks - m (m + 1) / 2 for m members.

    Args:
        ranks: mid-ranks of every variable.
        member: 1 where a sample is in a group; groups may overlap.
    """
    m = member.sum(axis=0)
    return ranks @ member - m * (m + 1) / 2


def rank_sum_p(
    u: Float[np.ndarray, "variable group"],
    first: Float[np.ndarray, " group"],
    second: Float[np.ndarray, " group"],
    ties: Float[np.ndarray, "variable #group"],
) -> Float[np.ndarray, "variable group"]:
    """Two-sided p-value of the Mann-Whitney test, by the normal approximation.

    Formula: p = 2 P(Z > (|U - n1 n2 / 2| - 1/2) / s), at most 1, with
    s^2 = n1 n2 / 12 (n + 1 - sum (t^3 - t) / (n (n - 1))) and n = n1 + n2.

    Args:
        u: pairs in which the first group's value is larger, equal ones counted half.
        first: n1, samples of the first group.
        second: n2, samples of the second.
        ties: sum (t^3 - t) over groups of equal values among both.
    """
    n, pairs = first + second, first * second
    square = pairs / 12 * (n + 1 - ties / np.maximum(n * (n - 1), 1))
    there = is_spread(square, pairs * (n + 1))
    z = (np.abs(u - pairs / 2) - 0.5) / np.sqrt(np.where(there, square, 1))
    return np.where(there, np.minimum(2 * ndtr(-z), 1.0), 1.0)


class Moments(NamedTuple):
    """Sums over groups of samples."""

    n: Float[np.ndarray, " group"]
    mean: Float[np.ndarray, "variable group"]
    variance: Float[np.ndarray, "variable group"]
    """Over n - 1; 0 for what does not vary, and for a group of one."""


def moments(values: Float[np.ndarray, "variable sample"], member: Float[np.ndarray, "sample group"]) -> Moments:
    """Mean and variance of every variable in every group, by two products.

    Args:
        values: of every variable.
        member: 1 where a sample is in a group; groups may overlap.
    """
    n = member.sum(axis=0)
    count = np.maximum(n, 1)
    mean, squares = values @ member / count, np.square(values) @ member / count
    return Moments(n, mean, variance(mean, squares) * n / np.maximum(n - 1, 1))


def welch_p(first: Moments, second: Moments) -> Float[np.ndarray, "variable group"]:
    """Two-sided p-value of Welch's t test for groups of unequal variance.

    Formula: t = (m1 - m2) / sqrt(v1 + v2) with v = s^2 / n, on (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1))
    degrees of freedom.
    """
    v1, v2 = first.variance / np.maximum(first.n, 1), second.variance / np.maximum(second.n, 1)
    both = v1 + v2
    there = (both > 0) & (first.n > 1) & (second.n > 1)
    safe = np.where(there, both, 1)
    parts = v1**2 / np.maximum(first.n - 1, 1) + v2**2 / np.maximum(second.n - 1, 1)
    free = safe**2 / np.where(there, parts, 1)
    t = (first.mean - second.mean) / np.sqrt(safe)
    return np.where(there, 2 * stdtr(free, -np.abs(t)), 1.0)
