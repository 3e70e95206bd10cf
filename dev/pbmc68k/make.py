"""Make the bundled counts, ``src/cellprism/cells/bundled/pbmc68k.h5ad``, from the file in scanpy's wheel.

    python dev/pbmc68k/make.py [TARGET]        (needs scanpy installed; no network)

``.raw`` of that file holds x = log1p(1e4 c / n), rounded to three decimals, with n the cell's counts over all genes
before 765 of them were chosen (``obs["n_counts"]``). So c = expm1(x) n / 1e4, and c is whole but for the rounding, at
most 0.09 away in the largest counts. That c comes out whole is the proof that the file is the expected one.
"""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import anndata
import numpy as np
import scipy.sparse as sp

TARGET = Path(__file__).parents[2] / "src/cellprism/cells/bundled/pbmc68k.h5ad"
PER = 1e4
FARTHEST = 0.09


def recover_counts(logged: sp.csr_matrix, totals: np.ndarray) -> tuple[sp.csr_matrix, float]:
    """Counts round(expm1(x) n / 1e4) and the largest distance from a whole number before rounding."""
    per_value = np.repeat(totals.astype(np.float64), np.diff(logged.indptr))
    exact = np.expm1(logged.data.astype(np.float64)) * per_value / PER
    counts = np.rint(exact)
    residual = float(np.abs(exact - counts).max())
    return sp.csr_matrix((counts.astype(np.float32), logged.indices, logged.indptr), shape=logged.shape), residual


def bundled_cells() -> tuple[anndata.AnnData, float]:
    """The cells with their counts, and how far these were from whole numbers."""
    package = find_spec("scanpy")
    if package is None or package.origin is None:
        raise SystemExit("scanpy is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = anndata.read_h5ad(Path(package.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad")
    counts, residual = recover_counts(sp.csr_matrix(held.raw.X), held.obs["n_counts"].to_numpy(np.float64))
    if residual > FARTHEST:
        raise SystemExit(f"values are up to {residual:.3f} from whole counts, expected at most {FARTHEST}")
    return anndata.AnnData(counts, obs=held.obs.copy(), var=held.raw.var.copy()), residual


if __name__ == "__main__":
    cells, residual = bundled_cells()
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    cells.X = cells.X.astype(np.uint16)
    cells.write_h5ad(target, compression="gzip", compression_opts=9)
    print(f"{target}: {cells.n_obs} cells x {cells.n_vars} genes, at most {residual:.3f} from whole numbers")
