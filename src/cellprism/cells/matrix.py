"""A matrix of counts on disk, dense, cell by cell or gene by gene: judged, then read into room that need not be memory.

Sizes are compared with each other and with what is stored before any value is read. What is read is CSR [cell, gene],
whatever is stored.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellprism.cells.elements import is_array, refuse_large
from cellprism.cells.hdf5 import PACKED_DENSE, refuse_contradictions
from cellprism.errors import CellsError
from cellprism.store.h5ad import PARTS
from cellprism.store.room import PIECE, read_into_room, stacked

DENSE_BYTES = 1 << 26
"""Bytes of a dense matrix that are read at a time."""
TURNED = 1 << 26
"""Values of a matrix stored gene by gene that are sorted by cell at a time."""


def check_shape(element: Any, expected: tuple[int, int], source: str) -> None:
    """Stop where a matrix has another shape than the tables of cells and genes say.

    Raises:
        CellsError: both shapes.
    """
    told = element.shape if is_array(element) else element.attrs.get("shape", element.attrs.get("h5sparse_shape"))
    shape = tuple(int(n) for n in told) if told is not None else ()
    if shape != expected:
        found = " x ".join(f"{n:,}" for n in shape) or "without a shape"
        turned = "; it lies on its side (transposed)" if shape == expected[::-1] else ""
        raise CellsError(
            source,
            [f"{element.name} is {found}, but the file names {expected[0]:,} cells and {expected[1]:,} genes{turned}: "
             "it contradicts itself; write it anew from cells and genes that belong together"],
        )  # fmt: skip


def is_by_column(sparse: Any) -> bool:
    """Whether a sparse matrix is stored gene by gene."""
    return str(sparse.attrs.get("encoding-type", sparse.attrs.get("h5sparse_format"))).startswith("csc")


def read_matrix(element: Any, expected: tuple[int, int], source: str) -> sp.csr_matrix:
    """All values of a matrix on disk.

    Args:
        element: dense, or a group with the parts of a sparse matrix.
        expected: cells and genes that the file names.
        source: the file, for messages.

    Raises:
        CellsError: it has another shape, contradicts itself, is packed beyond reason, or holds no numbers.
        DiskError: the disk for temporary files is full.
        OSError, KeyError, ValueError, RuntimeError: the file is damaged.
    """
    check_shape(element, expected, source)
    if is_array(element):
        refuse_large([element], source, PACKED_DENSE)
        return stacked(_dense_blocks(element, expected, source), expected[1])
    by_column = is_by_column(element)
    refuse_contradictions(element, expected, by_column, source)
    return read_sparse(element, expected, source, by_column)


def read_sparse(group: Any, shape: tuple[int, int], source: str, by_column: bool = False) -> sp.csr_matrix:
    """The parts of a sparse matrix whose lengths were compared, put together.

    Args:
        group: ``data``, ``indices`` and ``indptr`` by name.
        shape: cells and genes.
        source: the file, for messages.
        by_column: they are stored gene by gene.

    Raises:
        CellsError: it is packed beyond reason, or holds no numbers.
        ValueError: its indices do not belong to a matrix of this shape.
    """
    refuse_large([group[part] for part in PARTS], source)
    kinds = {part: numbers(group[part][:0], source, f"{group.name}/{part}").dtype for part in PARTS}
    parts = tuple(read_into_room(group[part], kind) for part, kind in kinds.items())
    if not by_column:
        matrix = sp.csr_matrix(parts, shape=shape)
        matrix.check_format(full_check=True)
        return matrix
    columns = sp.csc_matrix(parts, shape=shape)
    columns.check_format(full_check=True)
    return stacked(by_cell(columns), shape[1])


def by_cell(columns: sp.csc_matrix) -> Iterator[sp.csr_matrix]:
    """The rows of a matrix stored by column, some at a time: all of it is looked through for each part, so that no more
    than a part is ever held twice."""
    n_rows, n_columns = columns.get_shape()
    if not columns.nnz:
        yield sp.csr_matrix(columns)
        return
    pieces = [slice(start, start + PIECE) for start in range(0, columns.nnz, PIECE)]
    in_row = np.zeros(n_rows, np.int64)
    for piece in pieces:
        in_row += np.bincount(columns.indices[piece], minlength=n_rows)
    part = np.cumsum(in_row) // TURNED
    for first, last in zip(*_runs(part), strict=True):
        found = [_between(columns, piece, first, last) for piece in pieces]
        values, rows, places = (np.concatenate(some) for some in zip(*found, strict=True))
        yield sp.csr_matrix(sp.coo_matrix((values, (rows, places)), shape=(last - first, n_columns)))


def _runs(labels: np.ndarray) -> tuple[list[int], list[int]]:
    """Where each run of one label begins, and where it ends."""
    cuts = (np.flatnonzero(np.diff(labels)) + 1).tolist()
    return [0, *cuts], [*cuts, len(labels)]


def _between(columns: sp.csc_matrix, piece: slice, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a piece of the stored values those in some rows: values, rows counted from the first, columns."""
    rows = columns.indices[piece]
    kept = np.flatnonzero((rows >= first) & (rows < last))
    places = np.searchsorted(columns.indptr, kept + piece.start, side="right") - 1
    return columns.data[piece][kept], rows[kept] - first, places.astype(np.int32)


def _dense_blocks(element: Any, shape: tuple[int, int], source: str) -> Iterator[sp.csr_matrix]:
    step = max(1, DENSE_BYTES // max(1, shape[1] * element.dtype.itemsize))
    for start in range(0, shape[0], step):
        yield sp.csr_matrix(numbers(element[start : start + step], source, str(element.name)))


def numbers(values: Any, source: str, where: str) -> Any:
    """Values in a type that SciPy's sparse matrices hold: this machine's byte order, no half precision.

    Raises:
        CellsError: they are text, objects or records, or some of them are masked.
    """
    if values.dtype.kind not in "biufc":
        raise CellsError(source, [f"{where} holds values of type {values.dtype}; expected numbers"])
    if np.ma.is_masked(values):
        raise CellsError(source, [f"some values of {where} are masked, so that their counts are missing; fill them"])
    dtype = values.dtype.newbyteorder("=")
    return values.astype(np.float32 if dtype == np.float16 else dtype, copy=False)
