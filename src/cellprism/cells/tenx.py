"""10x output: .h5 files and matrix folders, of Cell Ranger 2 (genes) and of 3 and newer (features).

- Read here, so that a file that is not as expected can be told what it is; tests hold scanpy's readers equal.
- Sizes that a file announces are compared with its own size and with each other before it is read.
- A folder may be plain or gzipped, file by file, and its three files may share a prefix, as they do on GEO.
"""

import codecs
import io
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.io import mmread

from cellprism.cells.hdf5 import refuse_bombs, refuse_contradictions, refuse_foreign
from cellprism.cells.matrix import read_sparse
from cellprism.cells.raw import RawCells
from cellprism.cells.unpack import Unpacked, most_bytes, read_bytes, refuse_no_file
from cellprism.errors import CellsError

MATRIX, BARCODES = "matrix.mtx", "barcodes.tsv"
EXPECTED = "matrix.mtx, barcodes.tsv and features.tsv (or genes.tsv)"
FEATURES = ("features.tsv", "genes.tsv")
LEAST_LINE = 6
"""Bytes of the shortest line of a matrix, ``1 1 1`` and its end."""
LONGEST, MOST_COMMENTS = 100_000, 1000
LOOKED_AT = 1000
"""Lines of a matrix that are read as text before it is read as numbers."""
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
NUMBERS = ([b"integer"], [b"real"], [b"unsigned-integer"])
EXPECTED_HEAD = "%%MatrixMarket matrix coordinate integer general"
COLUMNS = ["gene_ids", "symbol", "feature_types"]
NAMES_V2 = {"gene_ids": "genes", "symbol": "gene_names"}
NAMES_V3 = {
    "gene_ids": "features/id", "symbol": "features/name", "feature_types": "features/feature_type",
    "genome": "features/genome",
}  # fmt: skip


def read_10x_h5(path: Path) -> RawCells:
    """Read a 10x .h5 file, as Cell Ranger 2 or newer writes it.

    Raises:
        CellsError: the file has another layout, or several genomes.
        OSError, KeyError, ValueError, RuntimeError: the file is damaged.
    """
    source = str(path)
    with h5py.File(path, "r") as file:
        refuse_foreign(file, source)
        held: dict[str, Any] = dict(file.items())
        groups = [name for name, group in held.items() if isinstance(group, h5py.Group) and "barcodes" in group]
        if len(groups) != 1:
            raise CellsError(source, [_why_not_one(sorted(held), groups)])
        group = held[groups[0]]
        names = NAMES_V3 if "features" in group else NAMES_V2
        columns, shape = _checked_parts(group, {c: place for c, place in names.items() if place in group}, source)
        var = _var(pd.DataFrame({column: part.asstr()[:] for column, part in columns.items()}))
        barcodes = group["barcodes"].asstr()[:]
        matrix = read_sparse(group, shape, source)  # stored by column of gene x cell
    return RawCells(source, matrix, pd.DataFrame(index=pd.Index(barcodes, dtype=str)), var)


def _checked_parts(
    group: h5py.Group, columns: dict[str, str], source: str
) -> tuple[dict[str, h5py.Dataset], tuple[int, int]]:
    """Columns of the genes, and the shape [cell, gene]; everything is of one size, and none of it a bomb."""
    parts: dict[str, Any] = {column: group[place] for column, place in columns.items()}
    if "gene_ids" not in parts:
        raise CellsError(source, [f"{group.name} has no ids of genes (features/id); export it with Cell Ranger's own"])
    needed = {**parts, "barcodes": group["barcodes"], **{name: group[name] for name in ("data", "indices", "indptr")}}
    refuse_bombs(needed.values(), source)
    lengths = {name: len(part) for name, part in needed.items()}
    shape = (lengths["barcodes"], lengths["gene_ids"])
    wrong = [f"{name} has {lengths[name]:,} entries" for name in parts if lengths[name] != shape[1]]
    said: Any = group["shape"][:2] if "shape" in group else shape[::-1]  # pyright: ignore[reportIndexIssue]
    if tuple(int(n) for n in said) != shape[::-1]:
        told = " x ".join(f"{int(n):,}" for n in said)
        wrong.append(f"its shape is said to be {told} (genes x cells)")
    if wrong:
        named = f"it names {shape[1]:,} genes and {shape[0]:,} cells"
        raise CellsError(source, [f"{named}, but {'; '.join(wrong)}: it contradicts itself, copy it again"])
    refuse_contradictions(group, shape, False, source)
    return parts, shape


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
    found = sorted([*folder.glob(f"*{MATRIX}"), *folder.glob(f"*{MATRIX}.gz")])
    matrices = [path for path in found if not path.name.startswith(".")]  # what macOS puts beside files
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
    return next((folder / (n + end) for n in names for end in ("", ".gz") if (folder / (n + end)).exists()), None)


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
    source = str(folder)
    matrix_file, barcode_file, feature_file = matrix_files(folder)
    for path in (matrix_file, barcode_file, feature_file):
        refuse_no_file(path, source)
    barcodes = _table(barcode_file)[0].str.strip("\"'")
    features = _table(feature_file)
    var = _var(features.iloc[:, :3].set_axis(COLUMNS[: min(3, features.shape[1])], axis=1))
    n_genes, n_cells, stored = _header(matrix_file, source)
    if (n_cells, n_genes) != (len(barcodes), len(var)):
        named = f"{feature_file.name} names {len(var):,} genes and {barcode_file.name} {len(barcodes):,} cells"
        turned = "it lies on its side" if (n_genes, n_cells) == (len(barcodes), len(var)) else "different samples"
        if len(barcodes) - n_cells in (0, 1) and len(var) - n_genes in (0, 1):
            turned = "one line more than rows, so take its header line away"
        wrong = f"{matrix_file.name} is {n_genes:,} genes x {n_cells:,} cells, but {named}: {turned}"
        raise CellsError(source, [wrong])
    if stored * LEAST_LINE > most_bytes(matrix_file):
        wrong = f"{matrix_file.name} announces {stored:,} values, more than a file of its size can hold"
        raise CellsError(source, [f"{wrong}; it is truncated or damaged, copy it again"])
    with io.BufferedReader(Unpacked(matrix_file), 1 << 20) as stream:
        matrix = sp.csr_matrix(sp.coo_matrix(mmread(stream)).T)  # the file is gene x cell
    return RawCells(source, matrix, pd.DataFrame(index=pd.Index(barcodes, dtype=str)), var)


def _header(path: Path, source: str) -> tuple[int, int, int]:
    """Rows, columns and stored values that a matrix announces.

    Raises:
        CellsError: it is written in another way than counts are.
        ValueError: it is damaged.
    """
    with io.BufferedReader(Unpacked(path), 1 << 16) as stream:
        first = stream.readline(LONGEST).removeprefix(codecs.BOM_UTF8).split()
        said = [word.lower() for word in first]
        if first[:1] != [b"%%MatrixMarket"]:
            raise ValueError(f"{path.name} does not begin with '%%MatrixMarket matrix coordinate'")
        if said[1:3] != [b"matrix", b"coordinate"] or said[3:4] not in NUMBERS or said[4:] != [b"general"]:
            found = b" ".join(first).decode("utf-8", "replace")
            wrong = f"{path.name} is written as {found[:80]!r}; expected {EXPECTED_HEAD!r}"
            raise CellsError(source, [f"{wrong}, as scipy.io.mmwrite writes a sparse matrix of counts"])
        for _ in range(MOST_COMMENTS):
            line = stream.readline(LONGEST)
            if line.strip() and not line.startswith(b"%"):
                rows, columns, stored = map(int, line.split())
                _check_lines(path, stream)
                return rows, columns, stored
    raise ValueError(f"{path.name} does not say how large the matrix is")


def _check_lines(path: Path, stream: io.BufferedIOBase) -> None:
    """Stop where the first lines are not row, column and count: what follows a number would be passed over."""
    for _ in range(LOOKED_AT):
        words = stream.readline(LONGEST).split()
        if words and (len(words) != 3 or not all(NUMBER.fullmatch(word) for word in words)):
            raise ValueError(f"{path.name} has a line {b' '.join(words)[:60]!r}; expected row, column and count")


def _table(path: Path) -> pd.DataFrame:
    lines = read_bytes(path).decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n").split("\n")
    rows = [line.split("\t") for line in lines]
    if rows == [[""]] or len({len(row) for row in rows}) != 1:
        raise ValueError(f"{path.name} is empty or its rows differ in length")
    return pd.DataFrame(rows, dtype=object)


def _var(columns: pd.DataFrame) -> pd.DataFrame:
    """Genes under their symbols, as 10x shows them; symbols may repeat, Ensembl ids tell them apart."""
    names = columns["symbol"] if "symbol" in columns else columns["gene_ids"]
    return columns.drop(columns="symbol", errors="ignore").set_index(
        pd.Index(np.asarray(names, dtype=object), dtype=str)
    )
