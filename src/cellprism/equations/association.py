"""Which genes go with a feature, for models that read a cell as a whole and have no token a gene.

Notable choices

- A feature of such a model fires in cells, not at genes. A gene is tied to it by where it is expressed: high in the
  cells in which the feature fires. This is association over cells, not what the model computes from the gene.
- Everything is a sum over cells, one sparse product; nothing is drawn and no threshold is chosen.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from cellprism.equations.ratio import is_spread


def weighted_shift(z: sp.csr_matrix, expression: sp.csr_matrix) -> Float[np.ndarray, "feature gene"]:
    """How much higher each gene is in the cells that fire a feature than in all cells, in standard deviations.

    Formula: F[f, g] = (sum_c z_cf y_cg / sum_c z_cf - ybar_g) / s_g, written as
    F[f, g] = sum_c z_cf (y_cg - ybar_g) / (s_g sum_c |z_cf|), which is the same where no activation is negative; a
    negative activation counts its cell with the opposite sign.

    Args:
        z: activations [cell, feature].
        expression: y, log-normalised expression [cell, gene]; ybar_g and s_g are its mean and its standard deviation
            over cells (divided by n).

    Returns:
        F in float64, between -sqrt(n) and sqrt(n) for n cells; 0 for a feature that never fires and for a gene that
        does not vary.

    Departs from Schuster 2025 (scFeatureLens): there the cells above the 99th percentile of a feature's activation are
    set against those below the 1st; here every cell counts by its activation, against all cells.
    """
    z, expression = sp.csr_matrix(z, dtype=np.float64), sp.csr_matrix(expression, dtype=np.float64)
    mean = np.asarray(expression.mean(axis=0)).ravel()
    squares = np.asarray(expression.power(2).mean(axis=0)).ravel()
    variance = squares - mean**2
    spread = np.sqrt(np.where(is_spread(variance, squares), variance, 0))
    signed, size = (np.asarray(a.sum(axis=0)).ravel() for a in (z, abs(z)))
    shift = (z.T @ expression).toarray()
    shift -= signed[:, None] * mean
    for scale in (size[:, None], spread):
        np.divide(shift, scale, out=shift, where=scale > 0)
    shift[:, spread == 0] = 0
    return shift


def chance_shift(z: sp.csr_matrix) -> Float[np.ndarray, " feature"]:
    """Standard deviation of ``weighted_shift`` at any gene, were the activations dealt to the cells at random.

    Formula: sqrt((sum_c z_c^2 - (sum_c z_c)^2 / n) n / (n - 1)) / sum_c |z_c| for n cells, the spread of a weighted sum
    of n standardised numbers in random order; 0 for a feature that is the same in all cells or never fires.

    Args:
        z: activations [cell, feature].
    """
    z = sp.csr_matrix(z, dtype=np.float64)
    n = z.get_shape()[0]
    signed, size, squares = (np.asarray(a.sum(axis=0)).ravel() for a in (z, abs(z), z.power(2)))
    rest = squares - signed**2 / n
    rest[~is_spread(rest, squares)] = 0
    return np.divide(np.sqrt(rest * n / max(n - 1, 1)), size, out=np.zeros(size.shape), where=size > 0)
