"""The cells in which features are high and low."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int

from cellprism.enrich.column_blocks import column_blocks
from cellprism.studies.lens.settings import REST, LensSettings


@dataclass(frozen=True, eq=False)
class HighCells:
    """Groups of cells, one pair for each feature that can be read."""

    features: Int[np.ndarray, " feature"]
    """Their numbers."""
    high: Bool[np.ndarray, "cell feature"]
    low: Bool[np.ndarray, "cell feature"] | None
    """None: all that are not high."""

    @property
    def low_counts(self) -> Int[np.ndarray, " feature"]:
        """Cells that the high ones are compared with."""
        return ((~self.high) if self.low is None else self.low).sum(axis=0)


def high_cells(activation: Any, settings: LensSettings) -> HighCells:
    """High: above the quantile ``high`` of a feature's activation over cells; low: at or below the quantile ``low`` of
    it, and wherever it does not fire.

    Args:
        activation: mean activation, sparse [cell feature].
        settings: quantiles, and how many cells there must be.
    """
    z = sp.csc_matrix(activation)
    n_cells, n_features = z.get_shape()
    parts = []
    for some in column_blocks(n_cells, n_features):
        values = z[:, some].toarray()
        top, bottom = np.quantile(values, [settings.high, settings.low], axis=0)
        high = values > np.maximum(top, 0)
        parts.append((high, ~high if settings.against == REST else values <= np.maximum(bottom, 0)))
    high, low = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    enough = (high.sum(axis=0) >= settings.fewest) & (low.sum(axis=0) >= settings.fewest)
    fires = z.getnnz(axis=0) > 0
    read = np.flatnonzero(enough & fires)
    return HighCells(read, high[:, read], None if settings.against == REST else low[:, read])
