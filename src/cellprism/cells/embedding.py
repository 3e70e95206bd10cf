"""An embedding of the cells at the door: finite numbers, one row a cell."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from cellprism.errors import CellsError

LARGEST = float(np.finfo(np.float32).max)
"""What models compute with is in single precision."""


def embedding_values(source: str, key: str, held: Any, n_cells: int) -> Float[np.ndarray, "cell d_model"]:
    """Values of ``obsm[key]``.

    Raises:
        CellsError: they are no real numbers, not finite in single precision, or not one row a cell.
    """
    values = np.asarray(held.toarray() if sp.issparse(held) else held)
    if values.ndim != 2 or len(values) != n_cells or not values.shape[1]:
        shape = f"obsm[{key!r}] has shape {values.shape}"
        raise CellsError(source, [f"{shape}; expected one row of numbers for each of {n_cells:,} cells"])
    if values.dtype.kind not in "biuf":
        raise CellsError(source, [f"obsm[{key!r}] holds values of type {values.dtype}; expected numbers"])
    values = values.astype(np.float64)
    if not (np.abs(values) <= LARGEST).all():
        raise CellsError(source, [f"obsm[{key!r}] holds NaN, infinite or huge values; expected finite numbers"])
    return values
