"""Counts brought to one depth, the scale on which cells are compared."""

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix


def log1p_cp10k(adata: AnnData) -> csr_matrix:
    """log(1 + counts per ten thousand), natural logarithm, [cell gene] in float64.

    The total is ``obs["total_counts"]`` where present (all genes that were read), else the sum of the columns
    at hand.
    """
    counts = csr_matrix(adata.X, dtype=np.float64, copy=True)
    declared = adata.obs["total_counts"] if "total_counts" in adata.obs else counts.sum(axis=1)
    total = np.maximum(np.asarray(declared, dtype=np.float64).ravel(), 1)
    counts.data = np.log1p(counts.data * np.repeat(1e4 / total, np.diff(counts.indptr)))
    return counts
