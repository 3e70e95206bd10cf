"""Where variance sits in a cells x genes table of numbers: between genes, between cells, or in both together.

Most of the variance of a cell model's residuals is gene identity: a table of one vector per gene, that
knows nothing of the cell, would explain it. So a feature is asked how much of its own variance lies between
genes before it is called a state.

Two-way analysis of variance with one value a cell and gene. Only sums enter, so it can be had from a
stream. Exact where every cell has every gene; where genes are missing in some cells, the parts between
genes and between cells overlap.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cellprism.equations.ratio import share


class VarianceShares(NamedTuple):
    """Shares of the total variance, per quantity; they add up to 1, and are NaN where nothing varies."""

    gene: Float[np.ndarray, " quantity"]
    """Between the genes' means: what gene identity alone explains."""
    cell: Float[np.ndarray, " quantity"]
    """Between the cells' means: the same for all genes of a cell."""
    gene_by_cell: Float[np.ndarray, " quantity"]
    """The rest: this gene in this cell."""

    @property
    def state(self) -> Float[np.ndarray, " quantity"]:
        """Everything that gene identity does not explain: cell and gene x cell together."""
        return self.cell + self.gene_by_cell


def group_squares(
    total: Float[np.ndarray, "group quantity"], count: Int[np.ndarray, " group"]
) -> Float[np.ndarray, " quantity"]:
    """sum_g T_g^2 / n_g over groups that have members: the squares that the groups' means alone would have.

    Args:
        total: T_g, sum of the values in each group.
        count: n_g, number of values in each group.
    """
    weight = np.divide(1.0, count, out=np.zeros(count.shape), where=count > 0)
    return np.einsum("gq,gq,g->q", total, total, weight)  # no temporary array of the size of ``total``


def two_way_shares(
    count: int,
    total: Float[np.ndarray, " quantity"],
    squares: Float[np.ndarray, " quantity"],
    by_gene: Float[np.ndarray, " quantity"],
    by_cell: Float[np.ndarray, " quantity"],
) -> VarianceShares:
    """Shares of the variance between genes, between cells, and in gene x cell.

    Formulas, with C = (sum x)^2 / N: SS_total = sum x^2 - C; SS_gene = sum_g T_g^2 / n_g - C; SS_cell the
    same over cells; gene x cell is what is left.

    Args:
        count: N, number of values (tokens).
        total: sum of x over all tokens, for each quantity.
        squares: sum of x^2 over all tokens.
        by_gene: ``group_squares`` over genes.
        by_cell: ``group_squares`` over cells.
    """
    correction = total**2 / count
    return _shares(squares, squares - correction, by_gene - correction, by_cell - correction)


def pooled_shares(
    count: int,
    total: Float[np.ndarray, " quantity"],
    squares: Float[np.ndarray, " quantity"],
    by_gene: Float[np.ndarray, " quantity"],
    by_cell: Float[np.ndarray, " quantity"],
) -> VarianceShares:
    """As ``two_way_shares``, for all quantities together (the dimensions of a residual stream): one share
    each.

    Sums of squares are added over quantities before they are divided.
    """
    correction = total**2 / count
    parts = (squares, squares - correction, by_gene - correction, by_cell - correction)
    return _shares(*(part.sum(keepdims=True) for part in parts))


def _shares(
    squares: Float[np.ndarray, " quantity"],
    whole: Float[np.ndarray, " quantity"],
    gene: Float[np.ndarray, " quantity"],
    cell: Float[np.ndarray, " quantity"],
) -> VarianceShares:
    gene, cell = (share(part, whole, squares) for part in (gene, cell))
    return VarianceShares(gene, cell, 1 - gene - cell)
