"""Room for arrays of the size of all counts: in memory where they are small, else in a file.

The system takes the pages of a file back whenever memory is short, so that a process holds as much of it as there is
memory for, and as much as it works on at least. The files lie where temporary files do (``TMPDIR``), without a name:
they are gone with the array, however the process ends.
"""

import mmap
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellprism.store.disk import writing

LARGE = 1 << 28
"""Bytes from which an array lies in a file."""
PIECE = 1 << 22
"""Values that are read at a time."""


def room(count: int, dtype: Any) -> np.ndarray:
    """An array of so many values, to be filled.

    Raises:
        DiskError: the disk for temporary files is full.
    """
    size = count * np.dtype(dtype).itemsize
    if size < LARGE:
        return np.empty(count, dtype)
    with writing(Path(tempfile.gettempdir()) / "counts"), tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk says so now, and not in the middle of the work
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype)


def read_into_room(stored: Any, dtype: Any) -> np.ndarray:
    """All values of a row of values on disk, such as an HDF5 data set."""
    values = room(len(stored), dtype)
    for start in range(0, len(values), PIECE):
        values[start : start + PIECE] = stored[start : start + PIECE]
    return values


def stacked(blocks: Iterable[sp.csr_matrix], n_columns: int, most: int, dtype: Any = np.float32) -> sp.csr_matrix:
    """Blocks of rows, one under the other.

    Args:
        blocks: in order.
        n_columns: columns of each.
        most: values of all blocks together, at most.
        dtype: of the values.

    Raises:
        DiskError: the disk for temporary files is full.
    """
    values, columns, ends, filled = room(most, dtype), room(most, np.int32), [np.zeros(1, np.int64)], 0
    for block in blocks:
        part = slice(filled, filled + block.nnz)
        values[part], columns[part] = block.data, block.indices
        ends.append(block.indptr[1:].astype(np.int64) + filled)
        filled += block.nnz
    indptr = np.concatenate(ends)
    return sp.csr_matrix((values[:filled], columns[:filled], indptr), shape=(len(indptr) - 1, n_columns))
