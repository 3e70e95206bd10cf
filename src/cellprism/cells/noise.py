"""Cells of which nothing can be told but how deep they are and which genes are frequent: counts with the same margins.

What a measure finds there is what it finds without any difference between cells.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.totals import TOTAL


def noise_cells(adata: AnnData, seed: int) -> AnnData:
    """Poisson counts whose expectation is each cell's total times each gene's share of all counts.

    Args:
        adata: raw counts; ``obs["total_counts"]``, where present, keeps what it counts beyond the columns at hand.
        seed: of the draws.

    Returns:
        As many cells in the same genes; ``obs``, ``var`` and ``uns`` are those of the cells, but for the totals.
    """
    rng = np.random.default_rng(seed)
    counts = sp.csr_matrix(adata.X, dtype=np.float64)
    total, share = np.asarray(counts.sum(axis=1)).ravel(), np.asarray(counts.sum(axis=0)).ravel()
    share = share / share.sum()
    drawn = rng.poisson(total[:, None] * share)
    while (empty := drawn.sum(axis=1) == 0).any():  # a cell without counts is none: drawn again
        drawn[empty] = rng.poisson(total[empty, None] * share)
    obs: Any = adata.obs.copy()
    if TOTAL in obs:
        obs[TOTAL] = obs[TOTAL].to_numpy(np.float64) - total + drawn.sum(axis=1)
    var: Any = adata.var.copy()
    return AnnData(sp.csr_matrix(drawn.astype(np.float32)), obs=obs, var=var, uns=dict(adata.uns))
