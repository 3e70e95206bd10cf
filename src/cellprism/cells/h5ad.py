"""AnnData at the door: in memory or as an .h5ad file, of which only the parts that are needed are read.

- Graphs, other layers and all embeddings but the one asked for stay on disk; a dense matrix is made sparse piece by
  piece.
- Sizes are compared with each other and with what is stored before any value is read.
- Files from before AnnData 0.7 are read whole by anndata, whose warnings about their age are of no use to
  the reader.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem
from jaxtyping import Float

from cellprism.cells.embedding import embedding_values
from cellprism.cells.hdf5 import (
    PACKED_DENSE,
    datasets_of,
    refuse_bombs,
    refuse_contradictions,
    refuse_foreign,
)
from cellprism.cells.raw import RawCells, setting, suggestion
from cellprism.cells.totals import TOTAL
from cellprism.cells.values import are_counts
from cellprism.errors import CellsError
from cellprism.store.h5ad import PARTS
from cellprism.store.room import read_into_room

PIECE = 1 << 26
"""Bytes of a dense matrix that are read at a time."""
LAYER = "layers/"
Matrices = Mapping[str, tuple[Callable[[], sp.csr_matrix], int]]
"""Of each matrix, by its name: a function that reads it, and the number of its genes."""


def read_old_h5ad(path: Path) -> anndata.AnnData:
    """Read a whole file with anndata, without its warnings about old files and repeated names."""
    with warnings.catch_warnings():
        for kind in (anndata.OldFormatWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        return anndata.read_h5ad(path)


def read_h5ad_file(path: Path, counts: str | None, embedding: str | None = None) -> RawCells:
    """Read one matrix of an .h5ad file with its cells and genes, and one embedding if asked.

    Raises:
        CellsError: no such matrix or embedding, the file is not AnnData, refers to other files or contradicts itself.
        OSError, KeyError, ValueError, RuntimeError: the file is damaged.
    """
    source = str(path)
    with h5py.File(path, "r") as opened:
        refuse_foreign(opened, source)
        file: dict[str, Any] = dict(opened.items())
        if not {"obs", "var"} <= file.keys():
            held = ", ".join(sorted(file)) or "nothing"
            hint = "; a 10x file must end in .h5" if "matrix" in file else ""
            raise CellsError(source, [f"this is no AnnData file: expected obs, var and X, found {held}{hint}"])
        if isinstance(file["obs"], h5py.Dataset):  # an old file: its categories are kept apart from their columns
            refuse_bombs(datasets_of(opened), source)
            return from_anndata(read_old_h5ad(path), source, counts, embedding)
        choices = matrices_of(file)
        chosen = choose(source, list(choices), counts)
        element, var = choices[chosen]
        refuse_bombs([*datasets_of(file["obs"]), *datasets_of(var)], source)
        check_table(file["obs"], source)
        check_table(var, source)
        matrix = _read_matrix(element, (rows_of(file["obs"]), rows_of(var)), source)
        obs, genes = table_of(file["obs"]), table_of(var)
        return RawCells(
            source=source, matrix=matrix, obs=obs, var=genes, where=chosen,
            embedding=_embedding(source, file.get("obsm", {}), embedding, len(obs)),
            **_others(lambda: _reopened(path), chosen, counts),
            **known_totals(obs, recorded_totals(file.get("uns", {}))),
        )  # fmt: skip


def from_anndata(adata: anndata.AnnData, source: str, counts: str | None, embedding: str | None = None) -> RawCells:
    """Take one matrix of an AnnData in memory, and one embedding if asked; the object itself is left as it is.

    Raises:
        CellsError: no such matrix or embedding, or a matrix of an unknown kind.
    """
    held: Any = adata.to_memory() if adata.isbacked else adata
    matrices = {} if held.X is None else {"X": (held.X, held.var)}
    matrices |= {} if held.raw is None else {"raw": (held.raw.X, held.raw.var)}
    named = {name: values for name, values in held.layers.items() if name is not None}  # AnnData 0.13 has X there too
    matrices |= {LAYER + name: (values, held.var) for name, values in named.items()}
    chosen = choose(source, list(matrices), counts)
    values, var = matrices[chosen]
    if not sp.issparse(values) and not isinstance(values, np.ndarray):
        kind = f"{chosen} is a {type(values).__name__}"
        raise CellsError(source, [f"{kind}; expected a SciPy sparse matrix or a NumPy array"])
    matrix = sp.csr_matrix(numbers(values, source, chosen), copy=True)
    matrix.check_format(full_check=True)
    readers: Matrices = {
        name: (lambda other=other, name=name: sp.csr_matrix(numbers(other, source, name)), len(genes))
        for name, (other, genes) in matrices.items()
    }
    return RawCells(
        source=source, matrix=matrix, obs=held.obs.copy(), var=var.copy(), where=chosen,
        embedding=_embedding(source, held.obsm, embedding, held.n_obs),
        **_others(lambda: readers, chosen, counts), **known_totals(held.obs, held.uns.get("cellprism")),
    )  # fmt: skip


def choose(source: str, held: list[str], counts: str | None) -> str:
    """The matrix that ``counts`` names, X by default.

    Raises:
        CellsError: there is no such matrix; the message names near matches.
    """
    wanted = "X" if counts is None else counts
    if wanted in held:
        return wanted
    likely = LAYER + wanted if LAYER + wanted in held else ""
    hint = f"did you mean {likely!r}?" if likely else suggestion(wanted, held)
    what = "it has no X" if counts is None else f"there are no counts {counts!r} (expected X, layers/NAME or raw)"
    example = likely or next((name for name in held if name.startswith(LAYER)), "layers/counts")
    raise CellsError(source, [f"{what}; {hint}; to name the matrix with raw counts: {setting('counts', example)}"])


def _others(matrices: Callable[[], Matrices], chosen: str, counts: str | None) -> dict[str, Any]:
    """What the other matrices would offer; looked at only where it is asked."""

    def offers() -> tuple[str, ...]:
        return tuple(name for name, (read, _) in matrices().items() if name != chosen and _reads_as_counts(read))

    def larger() -> str:
        held = matrices()
        if counts is not None or chosen != "X" or "raw" not in held or held["raw"][1] <= held["X"][1]:
            return ""
        fewer = f"X holds {held['X'][1]:,} of the {held['raw'][1]:,} genes that raw holds"
        if not _reads_as_counts(held["raw"][0]):
            return ""
        return (
            f"{fewer}, and raw holds counts too, so a cell's total would miss most genes; to read them all: "
            f"{setting('counts', 'raw')}; to use X, say so: {setting('counts', 'X')} and give totals = COLUMN of obs"
        )

    return {"offers": offers, "larger": larger}


def _reads_as_counts(read: Callable[[], sp.csr_matrix]) -> bool:
    """Whether another matrix holds counts; one that cannot be read at all does not."""
    try:
        return are_counts(read())
    except CellsError:
        return False


def _reopened(path: Path) -> Matrices:
    def reader(name: str) -> Callable[[], sp.csr_matrix]:
        def read() -> sp.csr_matrix:
            with h5py.File(path, "r") as opened:
                element, var = matrices_of(dict(opened.items()))[name]
                return _read_matrix(element, (rows_of(opened["obs"]), rows_of(var)), str(path))

        return read

    with h5py.File(path, "r") as opened:
        return {name: (reader(name), rows_of(var)) for name, (_, var) in matrices_of(dict(opened.items())).items()}


def _embedding(
    source: str, held: Mapping[str, Any], key: str | None, n_cells: int
) -> Float[np.ndarray, "cell d_model"] | None:
    if key is None:
        return None
    if key not in held:
        raise CellsError(source, [f"there is no embedding {key!r} in obsm; {suggestion(key, list(held))}"])
    element = held[key]
    if isinstance(element, h5py.Dataset | h5py.Group):
        refuse_bombs(datasets_of(element), source)
    values: Any = read_elem(element) if isinstance(element, h5py.Dataset | h5py.Group) else element
    return embedding_values(source, key, values, n_cells)


def known_totals(obs: pd.DataFrame, record: Any) -> dict[str, Any]:
    """Cells written by cellprism carry totals of the whole matrix, which their own columns no longer tell."""
    if isinstance(record, Mapping) and TOTAL in obs and pd.api.types.is_numeric_dtype(obs[TOTAL].dtype):
        return {"totals": obs[TOTAL].to_numpy(np.float64), "totals_from": str(record.get("totals", ""))}
    return {}


def recorded_totals(uns: Any) -> dict[str, Any] | None:
    """What cells written by cellprism say of their totals; None for others."""
    ours = uns.get("cellprism") if isinstance(uns, Mapping) else None
    if not isinstance(ours, Mapping):
        return None
    said: Any = ours.get("totals")
    whole = isinstance(said, h5py.Dataset) and said.shape == ()
    return {"totals": said.asstr()[()]} if whole else {}


def matrices_of(file: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Matrices of a file, each with the table of its genes."""
    choices = {}
    if "X" in file and file["X"].attrs.get("encoding-type") != "null":
        choices["X"] = (file["X"], file["var"])
    raw = file.get("raw")
    if raw is not None and not is_array(raw) and {"X", "var"} <= set(raw):  # newer files without raw hold an empty one
        choices["raw"] = (raw["X"], raw["var"])
    layers = file.get("layers", {})
    return choices | {LAYER + name: (layers[name], file["var"]) for name in layers}


def table_of(element: Any) -> pd.DataFrame:
    """A table of cells or genes."""
    frame = read_elem(element)
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"{element.name} is no table")
    return frame


def rows_of(table: Any) -> int:
    """Rows of a table, by its index."""
    return _length(table[table.attrs["_index"]]) or 0


def _length(column: Any) -> int | None:
    """Entries of a column: plain, categories by their codes, nullable values by their values."""
    if not is_array(column):
        column = column.get("codes", column.get("values"))
    return column.shape[0] if is_array(column) and column.shape else None


def is_array(element: Any) -> bool:
    """Whether an element of a file, HDF5 or zarr, is an array and no group."""
    return hasattr(element, "shape")


def check_table(table: Any, source: str) -> None:
    """Stop where a column of a table has another length than its index."""
    rows = rows_of(table)
    for column in (table[name] for name in table):
        if not is_array(column) and "codes" not in column and "values" not in column:
            continue  # the categories of columns, in files of AnnData 0.7
        if (length := _length(column)) is not None and length != rows:
            wrong = f"{column.name} has {length:,} entries, but {table.name} has {rows:,} rows"
            raise CellsError(source, [f"{wrong}: it contradicts itself, copy it again"])


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


def _read_matrix(element: Any, expected: tuple[int, int], source: str) -> sp.csr_matrix:
    check_shape(element, expected, source)
    dense, shape = isinstance(element, h5py.Dataset), expected
    if dense:
        refuse_bombs([element], source, PACKED_DENSE)
        n_cells, n_genes = expected
        step = max(1, PIECE // max(1, n_genes * element.dtype.itemsize))
        blocks = [
            sp.csr_matrix(numbers(element[i : i + step], source, str(element.name))) for i in range(0, n_cells, step)
        ]
        return sp.csr_matrix(sp.vstack(blocks, format="csr")) if blocks else sp.csr_matrix(shape)
    by_column = is_by_column(element)
    refuse_contradictions(element, expected, by_column, source)
    refuse_bombs([element[part] for part in PARTS], source)
    kinds = {part: numbers(element[part][:0], source, f"{element.name}/{part}").dtype for part in PARTS}
    parts = tuple(read_into_room(element[part], kind) for part, kind in kinds.items())
    matrix = sp.csc_matrix(parts, shape=shape) if by_column else sp.csr_matrix(parts, shape=shape)
    matrix.check_format(full_check=True)
    return sp.csr_matrix(matrix)


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
