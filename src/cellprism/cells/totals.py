"""How deep each cell was sequenced: its count over all genes, not only over those that are in the file."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from cellprism.cells.raw import RawCells, suggestion

USUAL_NAMES = ("total_counts", "n_counts", "nCount_RNA", "n_umi", "nUMI")
CLEARLY_MORE = 1.02


def declared_totals(
    raw: RawCells, column: str | None, sums: Float[np.ndarray, " cell"]
) -> tuple[Float[np.ndarray, " cell"] | None, list[str]]:
    """Totals that the user or the data set declares (None: there are none), and what is wrong with them.

    Args:
        raw: the cells as read.
        column: column of ``obs`` that the user named.
        sums: what the matrix holds of each cell.
    """
    if column is None:
        return raw.totals, []
    if column not in raw.obs:
        return None, [
            f"obs has no column {column!r} to take totals from; {suggestion(column, list(map(str, raw.obs.columns)))}"
        ]
    if not pd.api.types.is_numeric_dtype(raw.obs[column].dtype):
        return None, [f"obs[{column!r}] is not numeric, so it holds no totals"]
    totals = raw.obs[column].to_numpy(np.float64)
    if short := int((~(totals >= sums - 0.5)).sum()):
        return None, [
            f"obs[{column!r}] is missing or below the sum of the matrix in {short:,} cells; totals count all "
            "genes of a cell"
        ]
    return totals, []


def totals_hint(raw: RawCells, sums: Float[np.ndarray, " cell"]) -> list[str]:
    """A note if a column of the usual name says that genes were taken out of this matrix before."""
    for name in USUAL_NAMES:
        if name in raw.obs and pd.api.types.is_numeric_dtype(raw.obs[name].dtype):
            stated = raw.obs[name].to_numpy(np.float64)
            if (stated >= sums - 0.5).all() and np.median(stated / np.maximum(sums, 1)) > CLEARLY_MORE:
                return [
                    f"obs[{name!r}] states more counts than the matrix holds, so genes were taken out "
                    "before; pass "
                    f"totals={name!r} to use it as each cell's total"
                ]
    return []
