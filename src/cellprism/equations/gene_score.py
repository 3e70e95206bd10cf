"""How high a set of genes is in each cell, beside genes that are expressed as highly."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float

BINS = 25  # of like mean expression, as in the source


def gene_set_score(y: sp.csr_matrix, inside: Bool[np.ndarray, " gene"]) -> Float[np.ndarray, " cell"]:
    """Mean expression of a set of genes in each cell, minus that of genes of like mean expression.

    Formula: s_c = mean over g in the set of (y_cg - mean over h in B(g) of y_ch), B(g) the genes outside the set in the
    bin of g; bins hold equally many genes by rank of mean expression over all cells.

    Source: Tirosh et al. 2016. Departs from Tirosh et al. 2016: all genes of a bin stand beside a gene, where 100 are
    drawn there, so that nothing is random. A gene whose bin has no gene outside the set is left out; where all are, the
    score is 0.

    Args:
        y: expression [cell gene], such as log1p of counts per ten thousand.
        inside: which genes are in the set.
    """
    n = len(inside)
    level = np.asarray(y.mean(axis=0)).ravel()
    bin_of = np.empty(n, dtype=np.int64)
    bin_of[np.argsort(level, kind="stable")] = np.arange(n) * min(BINS, n) // n
    own = np.bincount(bin_of[inside], minlength=BINS)
    others = np.bincount(bin_of[~inside], minlength=BINS)
    own[others == 0] = 0
    weight = np.where(
        inside,
        (own[bin_of] > 0).astype(float),
        -np.divide(own, others, out=np.zeros(BINS), where=others > 0)[bin_of],
    )
    return np.asarray(y @ (weight / max(own.sum(), 1))).ravel()
