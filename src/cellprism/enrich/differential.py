"""Differential genes of thousands of overlapping groups of cells at once.

Notable choices

- Each gene is ranked once, whatever the number of groups. Groups against all other cells are then one product, ranks x
  groups; pairs of groups that leave cells out are one walk along the rankings (``rank_sweep``).
- Expression is log1p counts per ten thousand, which is sparse and never negative; what is not stored is a zero.
- Cells are the unit. The cells of a group were chosen by a feature, which is a function of the same counts, so these
  p-values sort genes; they do not say that a feature means anything. Controls do.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float

from cellprism.enrich.column_blocks import column_blocks
from cellprism.enrich.rank_sweep import sweep
from cellprism.equations.group_tests import moments, rank_sum_p, rank_sums, ranked, runs, welch_p
from cellprism.errors import ConfigError

RANKS, WELCH = "mannwhitney", "welch"
TESTS = (RANKS, WELCH)
PAIRS_AT_ONCE = 64


class Differential(NamedTuple):
    """Every gene in every group of cells beside another group."""

    p: Float[np.ndarray, "group gene"]
    """Two-sided, not corrected; 1 where a group is empty."""
    difference: Float[np.ndarray, "group gene"]
    """Mean of the group minus that of the others, log1p counts per ten thousand."""
    auroc: Float[np.ndarray, "group gene"]
    """Chance that a cell of the group has more of the gene than one of the others, ties counted half; NaN by Welch's
    test, which does not rank."""


def differential(
    expression: Any,
    group: Bool[np.ndarray, "cell group"],
    others: Bool[np.ndarray, "cell group"] | None = None,
    test: str = RANKS,
) -> Differential:
    """Compare every gene between each group of cells and its own others.

    Args:
        expression: log1p counts per ten thousand, sparse [cell gene].
        group: the cells of each group; groups may overlap.
        others: the cells that each is compared with, none of them its own; all that are not in it where None.
        test: ``mannwhitney`` or ``welch``.

    Raises:
        ConfigError: no such test, a negative value, or a cell that is in a group and among its others.
    """
    if test not in TESTS:
        raise ConfigError(f"there is no test {test!r} of differential genes; choose one of {', '.join(TESTS)}")
    if others is not None and (group & others).any():
        raise ConfigError("some cells are in a group and among its others; leave them out of one")
    values = _sorted_columns(expression)
    by_product = test == WELCH or others is None
    low = ~group if others is None else others
    sums = (group.astype(np.float64), low.astype(np.float64)) if by_product else (group, low)
    n_cells, n_genes = values.get_shape()
    found = Differential(*(np.empty((group.shape[1], n_genes)) for _ in Differential._fields))
    for some in column_blocks(n_cells, n_genes):
        block = values[:, some]
        part = _welch(block, *sums) if test == WELCH else (_ranks if by_product else _pairs)(block, *sums)
        for whole, its in zip(found, part, strict=True):
            whole[:, some] = its.T
    found.p[(group.sum(axis=0) == 0) | (low.sum(axis=0) == 0)] = 1
    return found


def _welch(values: sp.csc_matrix, group: Float[np.ndarray, "cell group"], low: Float[np.ndarray, "cell group"]):
    dense = values.T.toarray()
    first, second = moments(dense, group), moments(dense, low)
    return Differential(welch_p(first, second), first.mean - second.mean, np.full(first.mean.shape, np.nan))


def _ranks(values: sp.csc_matrix, group: Float[np.ndarray, "cell group"], low: Float[np.ndarray, "cell group"]):
    ranks, ties = ranked(values)
    first, second, total = group.sum(axis=0), low.sum(axis=0), np.asarray(values.sum(axis=0)).T
    held = values.T.toarray() @ group
    difference = held / np.maximum(first, 1) - (total - held) / np.maximum(second, 1)
    return _by_ranks(rank_sums(ranks, group), ties[:, None], first, second, difference)


def _pairs(values: sp.csc_matrix, group: Bool[np.ndarray, "cell group"], low: Bool[np.ndarray, "cell group"]):
    """Some pairs at a time, so that their counts stay near the processor."""
    n_genes = values.get_shape()[1]
    start, size = runs(values.data, np.repeat(np.arange(n_genes), np.diff(values.indptr)))
    length = np.zeros(len(values.data), dtype=np.int64)
    length[start] = size
    parts = []
    for begin in range(0, group.shape[1], PAIRS_AT_ONCE):
        high, rest = (np.ascontiguousarray(g[:, begin : begin + PAIRS_AT_ONCE], dtype=np.int8) for g in (group, low))
        first, second = (g.sum(axis=0, dtype=np.int32) for g in (high, rest))
        u, ties, one, other = np.empty((4, n_genes, high.shape[1]))
        sweep(values.indptr, values.indices, length, values.data, high, rest, first, second, u, ties, one, other)
        n, m = first.astype(np.float64), second.astype(np.float64)
        parts.append(_by_ranks(u, ties, n, m, one / np.maximum(n, 1) - other / np.maximum(m, 1)))
    return Differential(*(np.concatenate(each, axis=1) for each in zip(*parts, strict=True)))


def _by_ranks(
    u: Float[np.ndarray, "gene group"],
    ties: Float[np.ndarray, "gene #group"],
    first: Float[np.ndarray, " group"],
    second: Float[np.ndarray, " group"],
    difference: Float[np.ndarray, "gene group"],
) -> Differential:
    pairs = first * second
    auroc = np.divide(u, pairs, out=np.full(u.shape, np.nan), where=pairs > 0)
    return Differential(rank_sum_p(u, first, second, ties), difference, auroc)


def _sorted_columns(expression: Any) -> sp.csc_matrix:
    """Each gene's stored values in rising order.

    Raises:
        ConfigError: some are negative.
    """
    values = sp.csc_matrix(expression, dtype=np.float64, copy=True)
    values.sum_duplicates()
    values.eliminate_zeros()
    if (values.data < 0).any():
        raise ConfigError("differential genes take log1p counts, which are never negative; some values here are")
    column = np.repeat(np.arange(values.get_shape()[1]), np.diff(values.indptr))
    order = np.lexsort((values.data, column))
    return sp.csc_matrix((values.data[order], values.indices[order], values.indptr), shape=values.get_shape())
