"""The 700 blood cells in scanpy's wheel, as counts again.

``.raw`` of that file holds x = log1p(1e4 c / n), rounded to three decimals, with n the cell's counts over
all genes before 765 of them were chosen (``obs["n_counts"]``). So c = expm1(x) n / 1e4, and c is whole but
for the rounding, at most 0.09 away in the largest counts. That c comes out whole is the proof that the file
is the expected one.
"""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellprism.cells.h5ad import read_old_h5ad
from cellprism.cells.raw import RawCells
from cellprism.errors import DamagedError

PER = 1e4
FARTHEST = 0.09


def recover_counts(logged: sp.csr_matrix, totals: np.ndarray) -> tuple[sp.csr_matrix, float]:
    """Counts round(expm1(x) n / 1e4) and the largest distance from a whole number before rounding.

    Args:
        logged: x [cell, gene], log1p of counts per ten thousand.
        totals: n [cell], counts of each cell over all genes.
    """
    per_value = np.repeat(totals.astype(np.float64), np.diff(logged.indptr))
    exact = np.expm1(logged.data.astype(np.float64)) * per_value / PER
    counts = np.rint(exact)
    residual = float(np.abs(exact - counts).max())
    return sp.csr_matrix((counts.astype(np.float32), logged.indices, logged.indptr), shape=logged.shape), residual


def read_pbmc68k(path: Path) -> RawCells:
    """Read scanpy's ``pbmc68k_reduced`` with recovered counts; no network, no warnings.

    Raises:
        DamagedError: the file lacks a part, or its values do not come out as whole counts.
    """
    adata: Any = read_old_h5ad(path)
    if adata.raw is None or "n_counts" not in adata.obs:
        raise DamagedError(f"{path} lacks .raw or obs['n_counts']; reinstall scanpy")
    totals = adata.obs["n_counts"].to_numpy(np.float64)
    counts, residual = recover_counts(sp.csr_matrix(adata.raw.X), totals)
    if residual > FARTHEST:
        raise DamagedError(
            f"{path}: values are up to {residual:.3f} from whole counts, expected at most {FARTHEST}; reinstall scanpy"
        )
    note = (
        "counts were recovered from the logarithms in .raw; before rounding they were at most "
        f"{residual:.3f} from whole "
        "numbers. A cell's total is its n_counts, over all genes before 765 were chosen"
    )
    return RawCells(
        str(path), counts, adata.obs.copy(), adata.raw.var.copy(), where="raw", totals=totals, notes=(note,)
    )
