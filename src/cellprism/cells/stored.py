"""Cells that stay on disk: names and sizes are read, counts come a block of cells at a time.

- What keeps a file from being read in blocks (counts stored gene by gene, an old format) is no error: ``stored_cells``
  returns None, and the caller reads the file whole.
- The guards of files of unknown origin (``cells.hdf5``) hold here too. A file that somebody writes to while it is read
  is refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int

from cellprism.cells.elements import elements_of, held_by, is_array, judged_elements_of, refuse_large
from cellprism.cells.embedding import embedding_values
from cellprism.cells.h5ad import check_table, choose, known_totals, matrices_of, recorded_totals, rows_of, table_of
from cellprism.cells.hdf5 import PACKED_DENSE, refuse_contradictions
from cellprism.cells.matrix import check_shape, is_by_column, numbers
from cellprism.cells.modalities import only_genes
from cellprism.cells.names import plain_names
from cellprism.cells.raw import RawCells, suggestion
from cellprism.cells.source import readable
from cellprism.cells.unpack import refuse_no_file
from cellprism.cells.zarr import is_zarr, root_of
from cellprism.errors import CellsError


@dataclass(frozen=True)
class Rows:
    """Where rows of counts come from: plain enough to be sent to another process."""

    path: str
    where: str
    """``X``, ``layers/NAME`` or ``raw``."""
    width: int
    """Columns of the stored matrix."""
    embedding: str
    """Name in ``obsm``, or empty."""
    written: tuple[int, int]
    """Size and time of the file when it was opened."""

    def counts(self, start: int, stop: int) -> sp.csr_matrix:
        """Values of some cells [cell, column], as they are stored.

        Raises:
            CellsError: the file has changed, is damaged, or holds no numbers.
        """
        with readable(Path(self.path), self.path), self._opened() as file:
            element, _ = matrices_of(file)[self.where]
            return _block(element, start, stop, self.width, self.path)

    def vectors(self, start: int, stop: int) -> Float[np.ndarray, "cell d_model"]:
        """The embedding of some cells."""
        with readable(Path(self.path), self.path), self._opened() as file:
            element: Any = file["obsm"][self.embedding]
            return embedding_values(self.path, self.embedding, element[start:stop], stop - start)

    @contextmanager
    def _opened(self) -> Iterator[Mapping[str, Any]]:
        if _written(Path(self.path)) != self.written:
            raise CellsError(self.path, ["it was written to while it was read; let that end, and begin again"])
        with elements_of(Path(self.path)) as file:
            yield file


@dataclass(frozen=True)
class StoredCells:
    """One file of cells, of which all but the counts is in memory."""

    head: RawCells
    """Its cells and genes as every reader hands them over, antibodies and guides left out; its matrix is empty."""
    rows: Rows
    """Where the counts are."""
    genes: Int[np.ndarray, " gene"] = field(repr=False)
    """Column of the stored matrix of each gene of ``head``."""

    @property
    def n_cells(self) -> int:
        """Cells in the file."""
        return len(self.head.obs)

    def block(self, start: int, stop: int) -> sp.csr_matrix:
        """Counts of some cells in the genes of ``head``, as they are stored."""
        return sp.csr_matrix(self.rows.counts(start, stop)[:, self.genes])


def stored_cells(path: Path, counts: str | None = None, embedding: str | None = None) -> StoredCells | None:
    """Open an .h5ad file, or a zarr folder, without reading its counts; None where they cannot be read a
    block of cells at a time.

    Args:
        path: the file or folder.
        counts: which matrix holds raw counts: ``X`` (the default), ``layers/NAME`` or ``raw``.
        embedding: an embedding that is wanted as well: its name in ``obsm``.

    Raises:
        CellsError: no such matrix or embedding, no cells, what rows are genes cannot be known, the file is damaged,
            refers to other files or contradicts itself.
    """
    source = str(path)
    if not is_zarr(path):
        refuse_no_file(path, source)
    with readable(path, source), judged_elements_of(path, source) as file:
        return _stored(path, source, file, counts, embedding)


def _stored(
    path: Path, source: str, file: Mapping[str, Any], counts: str | None, embedding: str | None
) -> StoredCells | None:
    """What an opened file holds, its sizes compared with each other and with what is stored."""
    if not {"obs", "var"} <= file.keys() or is_array(file["obs"]):
        return None  # no AnnData, or an old one: whoever reads it whole says so
    choices = matrices_of(file)
    chosen = choose(source, list(choices), counts)
    element, var = choices[chosen]
    refuse_large([file["obs"], var], source)
    check_table(file["obs"], source)
    check_table(var, source)
    shape = rows_of(file["obs"]), rows_of(var)
    check_shape(element, shape, source)
    if not is_array(element):
        if is_by_column(element):
            return None
        refuse_contradictions(element, shape, False, source)
    refuse_large([element], source, PACKED_DENSE)  # a block at a time: it may exceed the memory
    _check_embedding(held_by(file.get("obsm", {})), embedding, shape[0], source)
    obs, genes = table_of(file["obs"]), table_of(var)
    totals = known_totals(obs, recorded_totals(file.get("uns", {})))
    head, kept = _only_genes(source, obs, genes, chosen, totals)
    return StoredCells(head, Rows(str(path.absolute()), chosen, shape[1], embedding or "", _written(path)), kept)


def _only_genes(
    source: str, obs: pd.DataFrame, var: pd.DataFrame, where: str, totals: dict[str, Any]
) -> tuple[RawCells, Int[np.ndarray, " gene"]]:
    """The head of a file without what is no gene, and the columns that are left."""
    numbered = sp.csr_matrix(np.arange(1, len(var) + 1, dtype=np.int64)[None])  # tells which columns are kept
    raw = RawCells(source=source, matrix=numbered, obs=obs, var=var, where=where, **totals)
    head = plain_names(only_genes(raw))
    return head, np.asarray(head.matrix.toarray()).ravel() - 1


def _check_embedding(held: Mapping[str, Any], key: str | None, n_cells: int, source: str) -> None:
    if key is None:
        return
    if key not in held:
        raise CellsError(source, [f"there is no embedding {key!r} in obsm; {suggestion(key, list(held))}"])
    element = held[key]
    if not is_array(element) or len(element.shape) != 2 or element.shape[0] != n_cells:
        raise CellsError(source, [f"obsm[{key!r}] is no table of numbers with one row a cell; write it as an array"])


def _block(element: Any, start: int, stop: int, width: int, source: str) -> sp.csr_matrix:
    """Rows of a matrix that is stored dense or cell by cell."""
    if is_array(element):
        return sp.csr_matrix(numbers(element[start:stop], source, str(element.name)))
    ends = np.asarray(element["indptr"][start : stop + 1], dtype=np.int64)
    if len(ends) != stop - start + 1 or ends[0] < 0 or not ((d := np.diff(ends)) >= 0).all() or (d > width).any():
        raise CellsError(source, [f"{element.name} contradicts itself in rows {start:,} to {stop:,}: copy it again"])
    data, indices = (
        numbers(element[name][ends[0] : ends[-1]], source, f"{element.name}/{name}") for name in ("data", "indices")
    )
    block = sp.csr_matrix((data, indices, ends - ends[0]), shape=(stop - start, width))
    block.check_format(full_check=True)
    return block


def _written(path: Path) -> tuple[int, int]:
    seen = root_of(path).stat() if is_zarr(path) else path.stat()
    return seen.st_size, seen.st_mtime_ns
