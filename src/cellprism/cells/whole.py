"""Whole numbers that are no counts: presence, bins, and counts per ten thousand or million that were rounded.

Each is recognised by what chance would not do to counts:

- In counts, values of 2 and more follow from how often a gene is seen at all: with a share p of cells expressing it,
  Poisson counts would be 2 or more in a share 1 - (1 - p)(1 - log(1 - p)) of cells. Real counts have more.
- The largest value differs from cell to cell.
- The totals of cells differ by more than sampling. Exactly equal totals are those of cells sampled down to one depth.
- A gene that some cells lack is mostly seen once or twice in the others; factors skip the first counts.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

MOST_CELLS = 1 << 14
"""Cells, of which there is no need for more to tell counts from other numbers."""
FEW = 10
"""Cells, below which the totals and maxima of cells tell nothing."""
MOST_BINS = 300
"""No one puts counts into more bins."""
GENES = 20
"""Genes of a cell, below which its smallest values tell nothing."""
MOSTLY = 0.7
"""A gene that more of the cells have is never seen just once where it is abundant."""


def whole_problem(matrix: sp.csr_matrix) -> str:
    """What a matrix [cell, gene] of whole numbers holds instead of counts; '' for counts. Of more than ``MOST_CELLS``
    cells it is asked of as many, spread over all.

    Args:
        matrix: whole numbers, none negative.
    """
    n_cells = matrix.get_shape()[0]
    some = np.unique(np.linspace(0, n_cells - 1, MOST_CELLS).astype(np.int64)) if n_cells > MOST_CELLS else slice(None)
    stored: Any = sp.csr_matrix(matrix[some], copy=True).astype(np.float64)
    stored.data = np.rint(stored.data)
    stored.eliminate_zeros()
    shape: Any = stored.shape
    if stored.nnz == 0:
        return ""
    cells = np.split(stored.data, stored.indptr[1:-1])
    full = [c for c in cells if c.size]
    return _presence(stored, shape[0]) or _bins(full) or _factors(stored) or _one_depth(full)


def _presence(stored: sp.csr_matrix, n_cells: int) -> str:
    if stored.data.max() > 1:
        return ""
    seen = np.bincount(stored.indices, minlength=1)
    share = np.minimum(seen / n_cells, 1 - 0.5 / n_cells)
    expected = float((n_cells * (1 - (1 - share) * (1 - np.log1p(-share)))).sum())
    if expected < FEW:
        return ""
    return f"the largest value is 1 everywhere (of counts, {expected:,.0f} values or more would be larger)"


def _bins(full: list[np.ndarray]) -> str:
    most = np.array([c.max() for c in full])
    usual = float(np.median(most))
    same = int((most == usual).sum())
    if len(full) < FEW or not 3 <= usual <= MOST_BINS or same < 0.95 * len(full):
        return ""
    return f"the largest value is {usual:.0f} in {same:,} of {len(full):,} cells, as in values put into bins"


def _factors(stored: sp.csr_matrix) -> str:
    shape: Any = stored.shape
    often = np.bincount(stored.indices, minlength=shape[1]) > MOSTLY * shape[0]
    lacked = sp.csr_matrix(stored[:, np.flatnonzero(~often)])
    many = [c for c in np.split(lacked.data, lacked.indptr[1:-1]) if c.size >= GENES]
    if len(many) < FEW:
        return ""
    skipping = [c for c in many if c.min() > 1 or _skips_two(c)]
    if len(skipping) < 0.5 * len(many):
        return ""
    least = np.median([c.min() for c in skipping])
    return (
        f"{len(skipping):,} of {len(many):,} cells lack the first counts (1 or 2; the smallest value is mostly "
        f"{least:.0f}), as in counts multiplied by a factor and rounded"
    )


def _skips_two(cell: np.ndarray) -> bool:
    ones, twos, threes = ((cell == n).sum() for n in (1, 2, 3))
    return bool(twos == 0 and ones >= 5 and threes >= 3)


def _one_depth(full: list[np.ndarray]) -> str:
    sums = np.array([c.sum() for c in full])
    spread, mean = float(sums.std()), float(sums.mean())
    if len(full) < FEW or spread == 0 or spread > 0.03 * mean:
        return ""
    if 0.3 < spread**2 / mean < 3:  # as cells of one depth would differ by chance
        return ""
    return f"the cells' totals are nearly equal ({mean:,.0f}, give or take {spread:,.0f}), as after normalisation"
