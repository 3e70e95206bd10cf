"""Counts brought to one depth, the scale on which cells are compared."""

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix

from cellprism.cells.totals import totals_of


def log1p_cp10k(adata: AnnData) -> csr_matrix:
    """log(1 + counts per ten thousand), natural logarithm, [cell gene] in float64.

    The total is ``obs["total_counts"]`` where present (all genes that were read, or declared), else the sum of the
    columns at hand.
    """
    counts = csr_matrix(adata.X, dtype=np.float64, copy=True)
    total = np.maximum(totals_of(adata, counts), 1)
    counts.data = np.log1p(counts.data * np.repeat(1e4 / total, np.diff(counts.indptr)))
    return counts
