"""Small cells and gene tables made by hand, and writers of the files that users have."""

import gzip
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.io import mmwrite

from cellprism.cells.genes import GeneTable

CELLS, GENES = 17, 29
SYMBOLS = [
    "CD3D", "CD3E", "CD4", "CD8A", "CD8B", "MS4A1", "CD79A", "CD79B", "NKG7", "GNLY", "GZMB", "LYZ", "S100A8",
    "S100A9", "CST3", "FCGR3A", "PPBP", "PF4", "IL7R", "CCR7", "LTB", "ACTB", "B2M", "RPL3", "RPS6", "FTL",
    "FTH1", "TYROBP", "LST1",
]  # fmt: skip
IDS = [f"ENSG{i:011d}" for i in range(1, GENES + 1)]


@pytest.fixture
def table() -> GeneTable:
    """The 29 genes in reverse order, so that the data's order cannot pass for the model's."""
    return GeneTable.of(SYMBOLS[::-1], IDS[::-1], [["P24"] if s == "CD3D" else [] for s in SYMBOLS[::-1]])


@pytest.fixture
def counts() -> np.ndarray:
    """Counts [17 cells, 29 genes]; every cell has some, most are zero, and some genes are seen once."""
    rng = np.random.default_rng(7)
    values = rng.poisson(rng.gamma(0.6, 1.5, size=(CELLS, GENES)))
    values[:, 0] += 1
    return values.astype(np.float32)


@pytest.fixture
def cells(counts) -> anndata.AnnData:
    """The counts as a sparse AnnData with two columns of labels."""
    obs = pd.DataFrame(
        {
            "louvain": pd.Categorical(["B cells", "CD4 T cells", "CD8 T cells", "NK cells"] * 4 + ["B cells"]),
            "donor": ["one", "two", "one"] * 5 + ["two", "two"],
            "age": np.arange(CELLS),
        },
        index=[f"cell{i}" for i in range(CELLS)],
    )
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=SYMBOLS))


def write_folder(folder: Path, counts: np.ndarray, rows: list[list[str]], barcodes: list[str], **options) -> Path:
    """Write a 10x matrix folder: options features ('features.tsv'), gz (False), prefix ('')."""
    folder.mkdir(parents=True)
    prefix, end = options.get("prefix", ""), ".gz" if options.get("gz") else ""
    opened = gzip.open if end else open
    with opened(folder / f"{prefix}matrix.mtx{end}", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(counts.T.astype(int)))
    for name, lines in (
        (options.get("features", "features.tsv"), ["\t".join(row) for row in rows]),
        ("barcodes.tsv", barcodes),
    ):
        with opened(folder / f"{prefix}{name}{end}", "wt") as stream:
            stream.write("\n".join(lines) + "\n")
    return folder


def write_10x_h5(
    path: Path, counts: np.ndarray, columns: dict[str, list[str]], barcodes: list[str], group: str
) -> Path:
    """Write a 10x .h5 file: ``columns`` are paths of text inside ``group``."""
    matrix = sp.csr_matrix(counts.astype(np.int32))
    with h5py.File(path, "a") as file:
        g = file.create_group(group)
        g["data"], g["indices"], g["indptr"] = (
            matrix.data,
            matrix.indices.astype(np.int64),
            matrix.indptr.astype(np.int64),
        )
        g["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        g["barcodes"] = np.array(barcodes, dtype="S")
        for name, values in columns.items():
            g[name] = np.array(values, dtype="S")
    return path


@pytest.fixture
def barcodes() -> list[str]:
    return [f"ACGT{i:04d}-1" for i in range(CELLS)]
