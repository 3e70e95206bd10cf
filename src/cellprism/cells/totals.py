"""How deep each cell was sequenced: its count over all genes, not only over those that are in the file.

- ``obs["total_counts"]`` of cells that ``read_cells`` returns is what models and measures divide by.
- Whether these totals were declared is kept in ``uns["cellprism"]["totals"]``: a model that by its own rule divides
  by the sum over its own genes must not do so with a panel that was cut out of them.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from cellprism.cells.raw import RawCells, setting, suggestion

TOTAL = "total_counts"
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
        if raw.totals is None:
            return None, []
        known = raw.totals_from or TOTAL
        if wrong := int((~np.isfinite(raw.totals) | (raw.totals < sums - 0.5)).sum()):
            return None, [
                f"obs[{TOTAL!r}] of these cells, which were read before ({known}), is missing, infinite or below the "
                f"sum of the matrix in {wrong:,} cells: it was changed since; drop that column, or read the cells anew"
            ]
        return raw.totals, []
    if column not in raw.obs:
        likely = suggestion(column, [str(c) for c in raw.obs if pd.api.types.is_numeric_dtype(raw.obs[c].dtype)])
        return None, [f"obs has no column {column!r} to take totals from; {likely}"]
    dtype = raw.obs[column].dtype
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
        return None, [f"obs[{column!r}] is not numeric, so it holds no totals"]
    totals = raw.obs[column].to_numpy(np.float64)
    if wrong := int((~np.isfinite(totals)).sum()):
        return None, [f"obs[{column!r}] is missing or infinite in {wrong:,} cells; totals are numbers"]
    if short := int((totals < sums - 0.5).sum()):
        return None, [
            f"obs[{column!r}] is below the sum of the matrix in {short:,} cells; totals count all genes of a cell"
        ]
    return totals, []


def totals_hint(raw: RawCells, sums: Float[np.ndarray, " cell"]) -> list[str]:
    """A note if a column of the usual name says that genes were taken out of this matrix before."""
    for name in USUAL_NAMES:
        if name in raw.obs and pd.api.types.is_numeric_dtype(raw.obs[name].dtype):
            stated = raw.obs[name].to_numpy(np.float64)
            if (stated >= sums - 0.5).all() and np.median(stated / np.maximum(sums, 1)) > CLEARLY_MORE:
                return [
                    f"obs[{name!r}] states more counts than the matrix holds, so genes were taken out before; to use "
                    f"it as each cell's total: {setting('totals', name)}"
                ]
    return []


def totals_of(adata: AnnData, counts: sp.csr_matrix, own_genes: bool = False) -> Float[np.ndarray, " cell"]:
    """What each cell's counts are divided by: ``obs["total_counts"]`` where present, else the sums of ``counts``.

    Args:
        adata: cells as ``read_cells`` returns them.
        counts: their counts [cell gene].
        own_genes: the model divides by the sum over its own genes; then only declared totals replace the sums.
    """
    declared = bool(adata.uns.get("cellprism", {}).get("totals", ""))
    told = TOTAL in adata.obs and (declared or not own_genes)
    return np.asarray(adata.obs[TOTAL] if told else counts.sum(axis=1), dtype=np.float64).ravel()
