"""What co-expression alone says of every pair of genes: correlation, and ridge regression of each gene on all others.

- Correlation is the same both ways: it can say who goes with whom, never who drives whom.
- Ridge regression knows nothing but the same cells. Its coefficients differ between the two ways by scales of the two
  genes alone, so that balanced ones are the same both ways. Its penalty is chosen on a fifth of the cells, by the
  error over all genes.
"""

import numpy as np
from jaxtyping import Float

from cellprism.equations.regulation import ridge_coefficients
from cellprism.models.simple_predictors import PENALTIES

Effects = Float[np.ndarray, "gene gene"]


def chosen_penalty(expression: Float[np.ndarray, "cell gene"], rng: np.random.Generator) -> float:
    """The penalty with the smallest error on a fifth of the cells, drawn by ``rng``.

    Args:
        expression: log1p of counts per ten thousand.
        rng: draws the cells.
    """
    centred = expression - expression.mean(axis=0)
    order = rng.permutation(len(centred))
    held, fit = centred[order[: len(order) // 5]], centred[order[len(order) // 5 :]]
    covariance = fit.T @ fit

    def error(penalty: float) -> float:
        return float(np.square(held - held @ ridge_coefficients(covariance, penalty)).mean())

    return min(PENALTIES, key=error)


def ridge_effects(expression: Float[np.ndarray, "cell gene"], quantile: float, penalty: float) -> Effects:
    """Change that a ridge regression predicts of each gene (column) when another (row) goes from 0 to a quantile of the
    cells that express it; NaN on the diagonal.

    Args:
        expression: log1p of counts per ten thousand.
        quantile: the dose.
        penalty: from ``chosen_penalty``.
    """
    centred = expression - expression.mean(axis=0)
    found = doses_of(expression, quantile)[:, None] * ridge_coefficients(centred.T @ centred, penalty)
    np.fill_diagonal(found, np.nan)
    return found


def doses_of(expression: Float[np.ndarray, "cell gene"], quantile: float) -> Float[np.ndarray, " gene"]:
    """Expression of each gene at a quantile of the cells that express it; 0 where none does."""
    positive = np.where(expression > 0, expression, np.nan)
    there = ~np.isnan(positive).all(axis=0)
    found = np.zeros(expression.shape[1])
    found[there] = np.nanquantile(positive[:, there], quantile, axis=0)
    return found
