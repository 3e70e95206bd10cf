"""Cells in which there is nothing to find, made from any cells at hand.

Each keeps what a lazy judge might take for a finding: the genes' means, the cells' depths, or everything but the names.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from cellprism.simulate.answers import without_answers

SLAB = 1000  # cells whose rates are in memory at once
FLAT = 1e6  # dispersion of a gene that varies no more than Poisson counts


def poisson_cells(adata: AnnData, seed: int = 0) -> AnnData:
    """Poisson counts with the same expected margins.

    Formula: counts ~ Poisson(depth_c total_g / total), with no answers and no dependence between genes or cells.
    """
    return _independent(adata, seed, None)


def independent_cells(adata: AnnData, seed: int = 0) -> AnnData:
    """Negative binomial counts with the same expected margins and each gene's own dispersion: genes are independent.

    Formula: as ``poisson_cells``, with r_g = sum_c m_cg^2 / sum_c ((x_cg - m_cg)^2 - m_cg), m the expected counts.
    """
    return _independent(adata, seed, _dispersion(sp.csr_matrix(adata.X)))


def renamed_cells(adata: AnnData, seed: int = 0) -> AnnData:
    """The same counts under permuted gene names: no gene set means anything any more.

    What ``var`` says of a gene goes with its name, not with its counts.
    """
    bare = without_answers(adata)
    order = np.random.default_rng([seed, 6]).permutation(adata.n_vars)
    return AnnData(bare.X, obs=pd.DataFrame(bare.obs), var=pd.DataFrame(bare.var).iloc[order], uns=dict(bare.uns))


def _independent(adata: AnnData, seed: int, dispersion: Float[np.ndarray, " gene"] | None) -> AnnData:
    counts = sp.csr_matrix(adata.X)
    depth, share = _margins(counts)
    slabs = []
    for start in range(0, adata.n_obs, SLAB):
        rng = np.random.default_rng([seed, 7, start])
        rates = depth[start : start + SLAB, None] * share
        if dispersion is not None:
            rates *= rng.gamma(dispersion, 1 / dispersion, rates.shape)
        slabs.append(sp.csr_matrix(rng.poisson(rates).astype(np.float32)))
    nulls = without_answers(adata)
    nulls.X = sp.vstack(slabs, format="csr")
    return nulls


def _margins(counts: sp.csr_matrix) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " gene"]]:
    """Counts of each cell, and each gene's share of all counts."""
    depth, total = (np.asarray(counts.sum(axis=axis), dtype=np.float64).ravel() for axis in (1, 0))
    return depth, total / max(total.sum(), 1.0)


def _dispersion(counts: sp.csr_matrix) -> Float[np.ndarray, " gene"]:
    """r of each gene by moments, in slabs of cells."""
    depth, share = _margins(counts)
    excess, squares = np.zeros(len(share)), np.zeros(len(share))
    for start in range(0, len(depth), SLAB):
        rates = depth[start : start + SLAB, None] * share
        excess += (np.square(counts[start : start + SLAB].toarray() - rates) - rates).sum(axis=0)
        squares += np.square(rates).sum(axis=0)
    return np.where(excess > squares / FLAT, squares / np.maximum(excess, 1e-12), FLAT)
