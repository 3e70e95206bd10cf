"""Cells with mitochondrial and ribosomal genes, some in the S phase."""

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

CYCLE = {"S phase": tuple(f"S{i}" for i in range(12)), "G2M phase": ("TOP2A", "MKI67")}
MITOCHONDRIAL = ("MT-CO1", "MT-CO2", "MT-CO3", "MT-ND1", "MT-ND2", "MT-CYB")


def cells(n: int = 61) -> AnnData:
    """Every third cell has more of the S phase's genes, every second more mitochondrial counts."""
    rng = np.random.default_rng(0)
    genes = [
        *MITOCHONDRIAL,
        *CYCLE["S phase"],
        "TOP2A",
        *(f"RPL{i}" for i in range(1, 8)),
        *(f"G{i}" for i in range(99)),
    ]
    level = np.full((n, len(genes)), 2.0)
    level[::2, :6] *= 4
    level[::3, 6:18] *= 4
    found = AnnData(sp.csr_matrix(rng.poisson(level).astype(np.float32)))
    found.var_names, found.obs_names = genes, [f"cell{i}" for i in range(n)]
    found.obs["total_counts"] = np.asarray(found.X.sum(axis=1)).ravel()
    found.obs["donor"] = np.where(np.arange(n) % 4, "x", "y")
    return found
