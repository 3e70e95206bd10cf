"""Cells in which each gene keeps its counts and nothing goes together: counts permuted across cells within each gene.

What a measure finds there owes nothing to what genes or cells have in common.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.totals import TOTAL
from cellprism.errors import InputError


def permuted_cells(adata: AnnData, seed: int) -> AnnData:
    """The counts of each gene dealt to the cells anew, gene by gene.

    Args:
        adata: raw counts; ``obs["total_counts"]``, where present, keeps what it counts beyond the columns at hand.
        seed: of the permutations.

    Returns:
        As many cells in the same genes; a cell that would be left without counts takes one value over from the cell
        with the most genes. ``obs``, ``var`` and ``uns`` are those of the cells, but for the totals.

    Raises:
        InputError: there are fewer counts than cells.
    """
    rng = np.random.default_rng([seed, 61])
    counts = sp.csc_matrix(adata.X, dtype=np.float32, copy=True)
    counts.eliminate_zeros()
    if counts.nnz < adata.n_obs:
        raise InputError(f"{counts.nnz} counts cannot be dealt to {adata.n_obs} cells, none of which may be empty")
    before = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    for start, end in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
        counts.indices[start:end] = rng.choice(adata.n_obs, end - start, replace=False)
    counts.has_sorted_indices = False
    dealt = _none_empty(sp.csr_matrix(counts), rng)
    obs: Any = adata.obs.copy()
    if TOTAL in obs:
        obs[TOTAL] = obs[TOTAL].to_numpy(np.float64) - before + np.asarray(dealt.sum(axis=1)).ravel()
    var: Any = adata.var.copy()
    return AnnData(dealt, obs=obs, var=var, uns=dict(adata.uns))


def _none_empty(counts: sp.csr_matrix, rng: np.random.Generator) -> sp.csr_matrix:
    """Each empty cell gets the value that the cell with the most genes has of a random gene, which is then 0 there."""
    empty = np.flatnonzero(np.diff(counts.indptr) == 0)
    if not len(empty):
        return counts
    rows: Any = counts.tolil()
    for cell in empty:
        rich = int(np.argmax([len(genes) for genes in rows.rows]))
        gene = int(rng.choice(rows.rows[rich]))
        rows[cell, gene], rows[rich, gene] = rows[rich, gene], 0
    return sp.csr_matrix(rows, dtype=np.float32)
