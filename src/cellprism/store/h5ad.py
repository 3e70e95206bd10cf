"""AnnData files: written whole or not at all, also where the disk fills up while HDF5 writes."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from anndata.io import read_elem, write_elem

from cellprism.errors import DamagedError
from cellprism.store.atomic import replacing
from cellprism.store.room import LARGE

PARTS = ("data", "indices", "indptr")
"""Of a sparse matrix."""
OTHERS = ("obs", "var", "uns", "obsm")
"""What the run's cells hold besides."""
BYTES = 8
"""Of a count and its column."""


class _Patient(io.FileIO):
    """A file that keeps the first error of writing instead of raising it.

    HDF5 does not get over a failed write: it complains at every object that is closed, and may crash at the end.
    """

    error: OSError | None = None

    def write(self, data, /) -> int:
        """Write all of it, or nothing once something failed."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self.error = error
            self.seek(len(view) - done, io.SEEK_CUR)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut off or fill up, unless something failed."""
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0

    def flush(self) -> None:
        """Nothing is held back."""


def write_h5ad(path: Path, data: AnnData) -> None:
    """Write an AnnData, compressed; text columns become categories, as in anndata's own writer.

    Raises:
        DiskError: the disk is full or read-only, or the path is none.
    """
    data.strings_to_categoricals()
    with _patient(path) as file:
        write_elem(file, "/", data, dataset_kwargs={"compression": "gzip"})


def write_mapped_h5ad(path: Path, data: AnnData) -> None:
    """The same, with large sparse counts as they are, so that ``mapped_h5ad`` needs no memory for them."""
    counts: Any = data.X
    if counts.nnz * BYTES < LARGE:
        write_h5ad(path, data)
        return
    data.strings_to_categoricals()
    others: dict[str, Any] = {name: getattr(data, name) for name in OTHERS}
    with _patient(path) as file:
        write_elem(file, "/", AnnData(**others), dataset_kwargs={"compression": "gzip"})
        x = _sparse(file, data.shape)
        for name in PARTS:
            x.create_dataset(name, data=getattr(counts, name))


def mapped_h5ad(path: Path) -> AnnData:
    """Read cells; of large counts that were written as they are, only what is asked for is ever in memory.

    Raises:
        DamagedError: the file is none, or its counts contradict themselves.
    """
    try:
        data = _mapped(path)
        counts: Any = data.X
        if sp.issparse(counts):  # columns that are none would have SciPy write beyond its arrays
            counts.check_format(full_check=True)
    except (OSError, KeyError, ValueError) as error:
        raise DamagedError(f"{path} cannot be read ({error}); rerun the step that wrote it") from error
    return data


def _mapped(path: Path) -> AnnData:
    with h5py.File(path, "r") as opened:
        file: dict[str, Any] = dict(opened.items())
        stored = file["X"]
        apart = isinstance(stored, h5py.Group) and set(PARTS) <= set(stored)
        parts: list[Any] = [stored[name] for name in PARTS] if apart else []
        if not parts or any(part.id.get_offset() is None for part in parts[:2]):
            return anndata.read_h5ad(path)
        values, columns = (np.memmap(path, part.dtype, "c", part.id.get_offset(), part.shape) for part in parts[:2])
        shape: Any = stored.attrs["shape"]
        x = sp.csr_matrix((values, columns, parts[2][:]), shape=tuple(shape))
        others: dict[str, Any] = {name: read_elem(file[name]) for name in OTHERS if name in file}
    return AnnData(x, **others)


def _sparse(file: h5py.File, shape: tuple[int, ...]) -> h5py.Group:
    """``X`` of a file, to be filled; what AnnData without X left there goes."""
    if "X" in file:
        del file["X"]
    x = file.create_group("X")
    x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": np.array(shape)})
    return x


@contextmanager
def _patient(path: Path) -> Iterator[h5py.File]:
    """A new file that replaces ``path`` when all went well."""
    with replacing(path) as scratch, _Patient(scratch, "w+b") as stream:
        with h5py.File(stream, "w") as file:
            yield file
        if stream.error is not None:
            raise stream.error


CHUNK = 1 << 18  # values packed together
Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Some rows of a sparse matrix: data, indices, and an indptr that begins with 0."""


def write_h5ad_rows(path: Path, data: AnnData, parts: Iterable[Part], n_values: int) -> None:
    """Write an AnnData whose ``X`` comes some rows at a time, as CSR with 64-bit ends of rows.

    Args:
        path: the file.
        data: all but ``X``.
        parts: the rows, in order.
        n_values: stored values of all rows.

    Raises:
        DiskError: the disk is full or read-only, or the path is none.
    """
    data.strings_to_categoricals()
    with _patient(path) as file:
        write_elem(file, "/", data, dataset_kwargs={"compression": "gzip"})
        x = _sparse(file, data.shape)
        packed = {"compression": "gzip", "compression_opts": 1, "chunks": (min(n_values, CHUNK),)} if n_values else {}
        values = x.create_dataset("data", (n_values,), np.float32, **packed)
        columns = x.create_dataset("indices", (n_values,), np.int32, **packed)
        ends = x.create_dataset("indptr", (data.n_obs + 1,), np.int64)
        row = at = 0
        for some, where, ends_of in parts:
            values[at : at + len(some)], columns[at : at + len(some)] = some, where
            ends[row + 1 : row + len(ends_of)] = at + ends_of[1:]
            row, at = row + len(ends_of) - 1, at + len(some)
        assert (row, at) == (data.n_obs, n_values), "the parts are all rows"
