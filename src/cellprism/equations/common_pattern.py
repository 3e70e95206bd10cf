"""Gene or state: does a feature say which gene it stands at, or something of the cell that all of its genes share?

What gene identity leaves of a feature's variance (``equations.variance``) holds the state of the cell and noise alike:
a feature that fires at each of its genes in other cells has as much of it as one that fires at all of them in the same
cells. They differ in whether the genes agree on the cells.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cellprism.equations.ratio import share


class GeneOrState(NamedTuple):
    """Shares of a feature's variance; they add up to 1, and are NaN where nothing varies."""

    gene: Float[np.ndarray, " feature"]
    """Which gene: what is the same in all cells, beyond what values dealt out at random would show."""
    state: Float[np.ndarray, " feature"]
    """The cell: what is left and shared by the feature's genes."""
    rest: Float[np.ndarray, " feature"]
    """This gene in this cell, noise with it."""

    @property
    def score(self) -> Float[np.ndarray, " feature"]:
        """state - gene: 1 for a pure state of cells, -1 for a pure indicator of genes, 0 for noise."""
        return self.state - self.gene


def common_correlation(
    cell_squares: Float[np.ndarray, " feature"], gene_squares: Float[np.ndarray, "feature gene"]
) -> Float[np.ndarray, " feature"]:
    """Mean correlation over cells between a feature's activations at two of its genes, pairs weighted by their spread.

    Formula: (sum_c W_c^2 - sum_g S_g) / ((sum_g sqrt S_g)^2 - sum_g S_g), the covariances of all pairs of genes over
    the largest that they could have. 1 where all genes rise and fall together, 0 expected where each does so by itself,
    whatever the number of genes and the spread of each; NaN for a feature that varies at fewer than two genes.

    Args:
        cell_squares: sum_c W_c^2, W_c the sum over a cell's tokens of the activation minus its gene's mean.
        gene_squares: S_g, sum over cells of the squared deviation from the gene's mean.
    """
    own = gene_squares.sum(axis=1)
    most = np.sqrt(gene_squares).sum(axis=1) ** 2
    return share(cell_squares - own, most - own, most).clip(-1, 1)


def gene_or_state(
    gene_share: Float[np.ndarray, " feature"], by_chance: float, common: Float[np.ndarray, " feature"]
) -> GeneOrState:
    """How a feature's variance splits into gene, state of the cell, and the rest.

    Formulas: gene = (G - G0) / (1 - G0), not below 0; state = (1 - gene) r, r not below 0; rest = 1 - gene - state.

    Args:
        gene_share: G, share of the variance between the genes' means.
        by_chance: G0, what it would be of values dealt to the tokens at random, (genes - 1) / (tokens - 1).
        common: r, see ``common_correlation``; where it is NaN nothing tells state from noise, and neither is given.
    """
    gene = np.maximum((gene_share - by_chance) / (1 - by_chance), 0)
    state = (1 - gene) * np.maximum(common, 0)
    return GeneOrState(gene, state, 1 - gene - state)
