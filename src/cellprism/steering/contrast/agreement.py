"""Do the gaps that a model predicts between two cell types follow those in the counts?

Where they do not, moving cells along the predicted gaps says nothing of genes.

Notable choices

- The genes are those that differ most in the counts of the training cells; both gaps are of test cells, which had no
  part in choosing them.
- The interval resamples test cells of each type, with the genes held fixed: it says how well these cells tell the
  correlation, not how it would be for other genes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from cellprism.equations.ratio import is_spread
from cellprism.steering.nulls import plain

FEWEST = 3  # genes from which a correlation says anything


@dataclass(frozen=True)
class TypeValues:
    """Some genes in the cells of one type."""

    predicted: Float[np.ndarray, "cell gene"]
    """NaN where a cell does not express a gene that the model can then say nothing of."""
    observed: Float[np.ndarray, "cell gene"]
    """Log1p counts per ten thousand."""

    def means(
        self, weight: Float[np.ndarray, "draw cell"]
    ) -> tuple[Float[np.ndarray, "draw gene"], Float[np.ndarray, "draw gene"]]:
        """Predicted and observed weighted means; NaN where no cell of a draw expresses a gene."""
        there = ~np.isnan(self.predicted)
        count = weight @ there.astype(float)
        total = weight @ np.where(there, self.predicted, 0)
        predicted = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
        return predicted, weight @ self.observed / weight.sum(axis=1, keepdims=True)


def gap_agreement(source: TypeValues, target: TypeValues, resamples: int, seed: int) -> dict[str, Any]:
    """Agreement of predicted and observed gaps, target minus source, as plain JSON.

    ``correlation`` (Pearson, over genes) with ``low`` and ``high`` (95 % percentile interval over resampled cells,
    widened to the correlation itself where that lies beside it; None where a draw leaves it undefined),
    ``sign_right``: share of the genes whose predicted gap has the observed sign, ``genes``, ``cells`` of both types.
    """
    rng = np.random.default_rng(seed)
    sides = (source, target)
    point = _gaps(*(side.means(np.ones((1, len(side.observed)))) for side in sides))
    drawn = _gaps(*(side.means(_draws(len(side.observed), resamples, rng)) for side in sides))
    predicted, observed = (gap[0] for gap in point)
    known = np.isfinite(predicted)
    value, correlations = _correlations(*point)[0], _correlations(*drawn)
    whole = known.sum() >= FEWEST and bool(np.isfinite(correlations).all())
    low, high = np.quantile(correlations, [0.025, 0.975]) if whole else (np.nan, np.nan)
    return {
        "correlation": plain(value),
        "low": plain(min(low, value) if whole else np.nan),
        "high": plain(max(high, value) if whole else np.nan),
        "sign_right": plain((np.sign(predicted) == np.sign(observed))[known].mean() if known.any() else np.nan),
        "genes": int(known.sum()),
        "cells": {"source": len(source.observed), "target": len(target.observed)},
    }


def _draws(n: int, resamples: int, rng: np.random.Generator) -> Float[np.ndarray, "draw cell"]:
    """How often each cell is drawn."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)


def _gaps(
    source: tuple[np.ndarray, np.ndarray], target: tuple[np.ndarray, np.ndarray]
) -> tuple[Float[np.ndarray, "draw gene"], Float[np.ndarray, "draw gene"]]:
    return target[0] - source[0], target[1] - source[1]


def _correlations(
    predicted: Float[np.ndarray, "draw gene"], observed: Float[np.ndarray, "draw gene"]
) -> Float[np.ndarray, " draw"]:
    """Pearson over the genes of which something is predicted; NaN for fewer than ``FEWEST``, or without variation."""
    there = np.isfinite(predicted)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    gaps = [np.where(there, gap, 0) for gap in (predicted, observed)]
    one, other = (np.where(there, gap - gap.sum(axis=1, keepdims=True) / count, 0) for gap in gaps)
    squares = [(side**2).sum(axis=1) for side in (one, other)]
    vary = [is_spread(part, (gap**2).sum(axis=1)) for part, gap in zip(squares, gaps, strict=True)]
    enough = vary[0] & vary[1] & (there.sum(axis=1) >= FEWEST)
    size = np.sqrt(squares[0] * squares[1])
    return np.divide((one * other).sum(axis=1), size, out=np.full(size.shape, np.nan), where=enough)
