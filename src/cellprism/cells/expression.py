"""Counts brought to one depth, the scale on which cells are compared.

Of many cells the logarithms take more than the counts: what only sums over cells reads them some cells at a time
(``log1p_blocks``), so that no more than a block of them is ever held.
"""

from collections.abc import Iterator

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix

from cellprism.cells.totals import totals_of

AT_ONCE = 4_096
"""Cells of a block."""


def log1p_cp10k(adata: AnnData) -> csr_matrix:
    """log(1 + counts per ten thousand), natural logarithm, [cell gene] in float64.

    The total is ``obs["total_counts"]`` where present (all genes that were read, or declared), else the sum of the
    columns at hand.
    """
    counts = csr_matrix(adata.X, dtype=np.float64, copy=True)
    scale = 1e4 / np.maximum(totals_of(adata, counts), 1)
    for rows in cell_blocks(len(scale)):  # in place, so that nothing else of the size of the counts is made
        ends = counts.indptr[rows.start : rows.stop + 1]
        values = counts.data[ends[0] : ends[-1]]
        values *= np.repeat(scale[rows], np.diff(ends))
        np.log1p(values, out=values)
    return counts


def log1p_blocks(adata: AnnData) -> Iterator[csr_matrix]:
    """``log1p_cp10k`` of the cells of each of ``cell_blocks``, one after the other."""
    for rows in cell_blocks(adata.n_obs):
        yield log1p_cp10k(adata[rows])


def cell_blocks(n_cells: int) -> Iterator[slice]:
    """Stretches of at most ``AT_ONCE`` cells that together are all."""
    for start in range(0, n_cells, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, n_cells))
