"""Ratios over a spread: what does not vary leaves a rounding residue, and a share of a residue is no number.

One rule for all of them: a sum of squared deviations is a spread where it is more than ``ROUNDING`` of the squares of
the numbers themselves, that is, where they vary in more than their sixth digit. Single precision holds seven.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

ROUNDING = 1e-12


def is_spread(deviations: Any, squares: Any) -> Any:
    """Whether squared deviations, of numbers with these squares, are more than rounding; numbers, arrays or tensors."""
    return deviations > ROUNDING * squares


def varies(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns whose numbers differ by more than rounding."""
    return is_spread(x.var(axis=0), np.square(x).mean(axis=0))


def variance(mean: Any, squares: Any) -> Any:
    """Variance of numbers with these means, and means of squares; 0 for what does not vary."""
    deviations = squares - mean**2
    return np.where(is_spread(deviations, squares), deviations, 0)


def share(part: Any, whole: Any, squares: Any) -> Float[np.ndarray, "*some"]:
    """part / whole, NaN where the whole is no spread of numbers with these squares."""
    out = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.divide(part, whole, out=out, where=is_spread(np.asarray(whole), squares))
