"""Whether what is predicted goes with what is seen: over cells, gene by gene, whatever the genes' means are.

Notable choices

- Platforms and laboratories shift genes' means. A prediction is recentred before it is judged: each gene's mean
  prediction, over other cells, gives way to the gene's own mean there.
"""

import numpy as np
from jaxtyping import Float

from cellprism.equations.ratio import is_spread


def recentred(
    predicted: Float[np.ndarray, "cell gene"],
    predicted_mean: Float[np.ndarray, " gene"],
    own_mean: Float[np.ndarray, " gene"],
) -> Float[np.ndarray, "cell gene"]:
    """Predictions with each gene's mean put right: p_cg - pbar_g + m_g."""
    return predicted - predicted_mean + own_mean


def recentred_shares(
    shares: Float[np.ndarray, "cell gene"],
    mean_share: Float[np.ndarray, " gene"],
    own_share: Float[np.ndarray, " gene"],
) -> Float[np.ndarray, "cell gene"]:
    """The same for shares of a cell's counts: s_cg m_g / sbar_g, scaled so that every cell's add up to 1."""
    moved = shares * (own_share / mean_share)
    return moved / moved.sum(axis=1, keepdims=True)


def gene_correlations(
    x: Float[np.ndarray, "cell gene"],
    y: Float[np.ndarray, "cell gene"],
    weights: Float[np.ndarray, "draw cell"],
) -> Float[np.ndarray, "draw gene"]:
    """Pearson correlation of x and y over cells, for each gene and each weighting of the cells.

    Formula: (E[xy] - E[x] E[y]) / sqrt((E[x^2] - E[x]^2) (E[y^2] - E[y]^2)), E the weighted mean. NaN where either does
    not vary.

    Args:
        x: one number a cell and gene.
        y: another.
        weights: each row adds up to 1; draws of a bootstrap are shares of the times that a cell was drawn.
    """
    squares_x, squares_y = weights @ x**2, weights @ y**2
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)  # for accuracy: a correlation does not mind
    mean_x, mean_y = weights @ x, weights @ y
    var_x, var_y = weights @ x**2 - mean_x**2, weights @ y**2 - mean_y**2
    both = is_spread(var_x, squares_x) & is_spread(var_y, squares_y)
    spread = np.sqrt(np.where(both, var_x * var_y, 1))
    return np.where(both, (weights @ (x * y) - mean_x * mean_y) / spread, np.nan)
