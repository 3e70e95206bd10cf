"""10x output: .h5 files and matrix folders, of Cell Ranger 2 (genes) and of 3 and newer (features).

- Read here rather than by scanpy, which takes seconds to import and says little about a file that is not as
  expected; the tests hold the two readers equal.
- A folder may be plain or gzipped, file by file, and its three files may share a prefix, as they do on GEO.
"""

import gzip
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.io import mmread

from cellprism.cells.raw import RawCells
from cellprism.errors import CellsError

MATRIX, BARCODES = "matrix.mtx", "barcodes.tsv"
EXPECTED = "matrix.mtx, barcodes.tsv and features.tsv (or genes.tsv)"
FEATURES = ("features.tsv", "genes.tsv")
COLUMNS = ["gene_ids", "symbol", "feature_types"]
NAMES_V2 = {"gene_ids": "genes", "symbol": "gene_names"}
NAMES_V3 = {"gene_ids": "features/id", "symbol": "features/name", "feature_types": "features/feature_type"}


def read_10x_h5(path: Path) -> RawCells:
    """Read a 10x .h5 file, as Cell Ranger 2 or newer writes it.

    Raises:
        CellsError: the file has another layout, or several genomes.
        OSError, KeyError, ValueError, RuntimeError: the file is damaged.
    """
    with h5py.File(path, "r") as file:
        held: dict[str, Any] = dict(file.items())
        groups = [name for name, group in held.items() if isinstance(group, h5py.Group) and "barcodes" in group]
        if len(groups) != 1:
            raise CellsError(str(path), [_why_not_one(sorted(held), groups)])
        group = held[groups[0]]
        names = NAMES_V3 if "features" in group else NAMES_V2
        columns = {column: group[place].asstr()[:] for column, place in names.items() if place in group}
        barcodes = group["barcodes"].asstr()[:]
        stored = tuple(group[name][:] for name in ("data", "indices", "indptr"))
    var = _var(pd.DataFrame(columns))
    matrix = sp.csr_matrix(stored, shape=(len(barcodes), len(var)))  # stored by column of gene x cell
    matrix.check_format(full_check=True)
    return RawCells(str(path), matrix, pd.DataFrame(index=pd.Index(barcodes, dtype=str)), var)


def _why_not_one(held: list[str], groups: list[str]) -> str:
    if groups:
        return f"it holds {len(groups)} genomes ({', '.join(groups)}); expected one, so export it first"
    if {"obs", "var"} <= set(held):
        return "this is an AnnData file; rename it to end in .h5ad"
    if {"molecule_info", "barcode_info", "umi"} & set(held):
        return "this is a molecule_info file; expected filtered_feature_bc_matrix.h5"
    return f"no 10x matrix in it: expected a group 'matrix', found {', '.join(held) or 'nothing'}"


def matrix_files(folder: Path) -> tuple[Path, Path, Path]:
    """The matrix, the barcodes and the features (or genes) of a 10x folder.

    Raises:
        CellsError: one of them is missing, or there are several matrices.
    """
    matrices = sorted([*folder.glob(f"*{MATRIX}"), *folder.glob(f"*{MATRIX}.gz")])
    if len(matrices) != 1:
        raise CellsError(str(folder), [_why_no_matrix(folder, matrices)])
    prefix = matrices[0].name.split(MATRIX)[0]
    barcodes = _either(folder, [prefix + BARCODES])
    features = _either(folder, [prefix + name for name in FEATURES])
    lost = [
        f"no {prefix}{name} (plain or .gz) beside {matrices[0].name}; expected {EXPECTED}"
        for name, found in ((BARCODES, barcodes), (FEATURES[0], features))
        if found is None
    ]
    if barcodes is None or features is None:
        raise CellsError(str(folder), lost)
    return matrices[0], barcodes, features


def _either(folder: Path, names: list[str]) -> Path | None:
    return next((folder / (n + end) for n in names for end in ("", ".gz") if (folder / (n + end)).is_file()), None)


def _why_no_matrix(folder: Path, matrices: list[Path]) -> str:
    if matrices:
        names = ", ".join(m.name for m in matrices)
        return f"it holds {len(matrices)} matrices ({names}); put each sample into a folder of its own"
    if below := sorted({str(m.parent) for m in folder.rglob(f"*{MATRIX}*")}):
        return f"no matrix.mtx in this folder itself, but further down; pass {' or '.join(map(repr, below[:5]))}"
    return f"no matrix.mtx (plain or .gz) in this folder; expected {EXPECTED}"


def read_10x_folder(folder: Path) -> RawCells:
    """Read a 10x matrix folder, plain or gzipped, with ``genes.tsv`` or ``features.tsv``.

    Raises:
        CellsError: a file is missing, or their lengths disagree.
        OSError, EOFError, ValueError: a file is damaged.
    """
    matrix_file, barcode_file, feature_file = matrix_files(folder)
    barcodes = _table(barcode_file)[0]
    features = _table(feature_file)
    var = _var(features.iloc[:, :3].set_axis(COLUMNS[: features.shape[1]], axis=1))
    matrix = sp.csr_matrix(sp.coo_matrix(mmread(matrix_file)).T)  # the file is gene x cell
    shape: Any = matrix.shape
    n_cells, n_genes = shape
    if (n_cells, n_genes) != (len(barcodes), len(var)):
        named = f"{feature_file.name} names {len(var):,} genes and {barcode_file.name} {len(barcodes):,} cells"
        wrong = f"{matrix_file.name} is {n_genes:,} genes x {n_cells:,} cells, but {named}: different samples"
        raise CellsError(str(folder), [wrong])
    return RawCells(str(folder), matrix, pd.DataFrame(index=pd.Index(barcodes, dtype=str)), var)


def _table(path: Path) -> pd.DataFrame:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as stream:
        rows = [line.rstrip("\r\n").split("\t") for line in stream]
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError(f"{path.name} is empty or its rows differ in length")
    return pd.DataFrame(rows, dtype=object)


def _var(columns: pd.DataFrame) -> pd.DataFrame:
    """Genes under their symbols, as 10x shows them; symbols may repeat, Ensembl ids tell them apart."""
    names = columns["symbol"] if "symbol" in columns else columns["gene_ids"]
    return columns.drop(columns="symbol", errors="ignore").set_index(
        pd.Index(np.asarray(names, dtype=object), dtype=str)
    )
