"""Which genes go with a feature, for models that read a cell as a whole and have no token a gene.

Notable choices

- A feature of such a model fires in cells, not at genes. A gene is tied to it by where it is expressed: high in the
  cells in which the feature fires. This is association over cells, not what the model computes from the gene.
- Everything is a sum over cells, one sparse product; nothing is drawn and no threshold is chosen. Sums are taken some
  cells at a time (``ShiftSums``), so that of many cells no more is held than a part.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from cellprism.equations.ratio import is_spread, variance


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
    sums = ShiftSums(z.get_shape()[1], expression.get_shape()[1])
    sums.add(z, expression)
    return sums.shift()


def chance_shift(z: sp.csr_matrix) -> Float[np.ndarray, " feature"]:
    """Standard deviation of ``weighted_shift`` at any gene, were the activations dealt to the cells at random.

    Formula: sqrt((sum_c z_c^2 - (sum_c z_c)^2 / n) n / (n - 1)) / sum_c |z_c| for n cells, the spread of a weighted sum
    of n standardised numbers in random order; 0 for a feature that is the same in all cells or never fires.

    Args:
        z: activations [cell, feature].
    """
    n, features = z.get_shape()
    sums = ShiftSums(features, 0)
    sums.add(z, sp.csr_matrix((n, 0)))
    return sums.chance()


class ShiftSums:
    """The sums over cells that ``weighted_shift`` and ``chance_shift`` are made of.

    Args:
        n_features: columns of z.
        n_genes: columns of y.
    """

    def __init__(self, n_features: int, n_genes: int):
        self.cells = 0
        self.signed, self.size, self.squares = np.zeros((3, n_features))
        self.y, self.y_squares = np.zeros((2, n_genes))
        self.product = np.zeros((n_features, n_genes))

    def add(self, z: sp.csr_matrix, expression: sp.csr_matrix) -> None:
        """Count some cells in: z [cell, feature], y [cell, gene]."""
        z, y = sp.csr_matrix(z, dtype=np.float64), sp.csr_matrix(expression, dtype=np.float64)
        self.cells += y.get_shape()[0]
        of_z = [(self.signed, z), (self.size, abs(z)), (self.squares, z.power(2))]
        for whole, part in [*of_z, (self.y, y), (self.y_squares, y.power(2))]:
            whole += np.asarray(part.sum(axis=0)).ravel()
        product: Any = sp.csr_matrix(z.T) @ y
        self.product += product.toarray()

    def shift(self) -> Float[np.ndarray, "feature gene"]:
        """``weighted_shift`` of all cells."""
        mean, squares = self.y / self.cells, self.y_squares / self.cells
        spread = np.sqrt(variance(mean, squares))
        shift = self.product - self.signed[:, None] * mean
        for scale in (self.size[:, None], spread):
            np.divide(shift, scale, out=shift, where=scale > 0)
        shift[:, spread == 0] = 0
        return shift

    def chance(self) -> Float[np.ndarray, " feature"]:
        """``chance_shift`` of all cells."""
        n = self.cells
        rest = self.squares - self.signed**2 / n
        rest[~is_spread(rest, self.squares)] = 0
        out = np.zeros(self.size.shape)
        return np.divide(np.sqrt(rest * n / max(n - 1, 1)), self.size, out=out, where=self.size > 0)
