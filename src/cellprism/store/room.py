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
    """All values of a row of values on disk, such as a data set of HDF5 or an array of zarr."""
    values = room(stored.shape[0], dtype)
    for start in range(0, len(values), PIECE):
        values[start : start + PIECE] = stored[start : start + PIECE]
    return values


def stacked(blocks: Iterable[sp.csr_matrix], n_columns: int) -> sp.csr_matrix:
    """Blocks of rows, one under the other; values keep the kind of the first block's.

    Args:
        blocks: in order.
        n_columns: columns of each.

    Raises:
        DiskError: the disk for temporary files is full.
    """
    ends, filled = [np.zeros(1, np.int64)], 0
    with _Growing(np.float32) as values, _Growing(np.int32) as columns:
        for block in blocks:
            values.add(block.data)
            columns.add(block.indices.astype(np.int32, copy=False))
            ends.append(block.indptr[1:].astype(np.int64) + filled)
            filled += block.nnz
        parts = values.array(), columns.array(), np.concatenate(ends)
    return sp.csr_matrix(parts, shape=(len(parts[2]) - 1, n_columns))


class _Growing:
    """Values as they come, of the first ones' kind, or of the given one where none come; in a file as soon as they are
    many."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.some = kind, False
        self.parts: list[np.ndarray] = []
        self.file: Any = None
        self.bytes = 0

    def __enter__(self) -> "_Growing":
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()  # what is mapped stays

    def add(self, values: np.ndarray) -> None:
        self.kind, self.some = self.kind if self.some else values.dtype, True
        self.parts.append(values.astype(self.kind, copy=False))
        self.bytes += self.parts[-1].nbytes
        if self.bytes >= LARGE:
            self._spill()

    def array(self) -> np.ndarray:
        """All of them."""
        if self.file is None:
            return np.concatenate([np.empty(0, self.kind), *self.parts])
        self._spill()
        return np.frombuffer(mmap.mmap(self.file.fileno(), 0), self.kind)

    def _spill(self) -> None:
        with writing(Path(tempfile.gettempdir()) / "counts"):
            self.file = self.file or tempfile.TemporaryFile()  # noqa: SIM115 - closed in the end
            for part in self.parts:
                self.file.write(np.ascontiguousarray(part).data)
            self.file.flush()
        self.parts, self.bytes = [], 0
