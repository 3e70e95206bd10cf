"""AnnData at the door: in memory, as an .h5ad file or as a zarr folder, of which only what is needed is read.

- Graphs, other layers and all embeddings but the one asked for stay on disk.
- Sizes are compared with each other and with what is stored before any value is read.
- Files from before AnnData 0.7 are read whole by anndata, whose warnings about their age are of no use to
  the reader.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem
from jaxtyping import Float

from cellprism.cells.elements import elements_of, held_by, is_array, judged_elements_of, refuse_large
from cellprism.cells.embedding import embedding_values
from cellprism.cells.matrix import numbers, read_matrix
from cellprism.cells.raw import RawCells, as_text, setting, suggestion
from cellprism.cells.totals import TOTAL
from cellprism.cells.values import are_counts
from cellprism.cells.zarr import is_zarr
from cellprism.errors import CellsError

LAYER = "layers/"
Matrices = Mapping[str, tuple[Callable[[], sp.csr_matrix], int]]
"""Of each matrix, by its name: a function that reads it, and the number of its genes."""


def read_old_h5ad(path: Path) -> anndata.AnnData:
    """Read a whole file with anndata, without its warnings about old files and repeated names."""
    with warnings.catch_warnings():
        for kind in (anndata.OldFormatWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        return anndata.read_h5ad(path)


def read_anndata(path: Path, counts: str | None, embedding: str | None = None) -> RawCells:
    """Read one matrix of an .h5ad file or a zarr folder with its cells and genes, and one embedding if asked.

    Raises:
        CellsError: no such matrix or embedding, the file is not AnnData, refers to other files or contradicts itself.
        OSError, KeyError, ValueError, RuntimeError: the file is damaged.
    """
    source = str(path)
    with judged_elements_of(path, source) as file:
        if not {"obs", "var"} <= file.keys():
            held = ", ".join(sorted(file)) or "nothing"
            hint = "; a 10x file must end in .h5" if "matrix" in file else ""
            raise CellsError(source, [f"this is no AnnData file: expected obs, var and X, found {held}{hint}"])
        if is_array(file["obs"]):  # an old file: its categories are kept apart from their columns
            if is_zarr(path):
                old = "it is of an AnnData before 0.7"
                raise CellsError(source, [f"{old}: read it with that, and write it anew as .h5ad"])
            refuse_large(list(file.values()), source)
            return from_anndata(read_old_h5ad(path), source, counts, embedding)
        choices = matrices_of(file)
        chosen = choose(source, list(choices), counts)
        element, var = choices[chosen]
        refuse_large([file["obs"], var], source)
        check_table(file["obs"], source)
        check_table(var, source)
        matrix = read_matrix(element, (rows_of(file["obs"]), rows_of(var)), source)
        obs, genes = table_of(file["obs"]), table_of(var)
        return RawCells(
            source=source, matrix=matrix, obs=obs, var=genes, where=chosen,
            embedding=_embedding(source, held_by(file.get("obsm", {})), embedding, len(obs), read_elem),
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
            with elements_of(path) as file:
                element, var = matrices_of(file)[name]
                return read_matrix(element, (rows_of(file["obs"]), rows_of(var)), str(path))

        return read

    with elements_of(path) as file:
        return {name: (reader(name), rows_of(var)) for name, (_, var) in matrices_of(file).items()}


def _embedding(
    source: str, held: Mapping[str, Any], key: str | None, n_cells: int, read: Callable[[Any], Any] = lambda held: held
) -> Float[np.ndarray, "cell d_model"] | None:
    if key is None:
        return None
    if key not in held:
        raise CellsError(source, [f"there is no embedding {key!r} in obsm; {suggestion(key, list(held))}"])
    refuse_large([held[key]], source)
    return embedding_values(source, key, read(held[key]), n_cells)


def known_totals(obs: pd.DataFrame, record: Any) -> dict[str, Any]:
    """Cells written by cellprism carry totals of the whole matrix, which their own columns no longer tell."""
    if isinstance(record, Mapping) and TOTAL in obs and pd.api.types.is_numeric_dtype(obs[TOTAL].dtype):
        return {"totals": obs[TOTAL].to_numpy(np.float64), "totals_from": str(record.get("totals", ""))}
    return {}


def recorded_totals(uns: Any) -> dict[str, Any] | None:
    """What cells on disk that were written by cellprism say of their totals; None for others."""
    ours = held_by(uns).get("cellprism")
    if ours is None or is_array(ours):
        return None
    said: Any = held_by(ours).get("totals")
    return {"totals": as_text(read_elem(said))} if said is not None and is_array(said) and said.shape == () else {}


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


def check_table(table: Any, source: str) -> None:
    """Stop where a column of a table has another length than its index."""
    rows = rows_of(table)
    for column in (table[name] for name in table):
        if not is_array(column) and "codes" not in column and "values" not in column:
            continue  # the categories of columns, in files of AnnData 0.7
        if (length := _length(column)) is not None and length != rows:
            wrong = f"{column.name} has {length:,} entries, but {table.name} has {rows:,} rows"
            raise CellsError(source, [f"{wrong}: it contradicts itself, copy it again"])
