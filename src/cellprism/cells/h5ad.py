"""AnnData at the door: in memory or as an .h5ad file, of which only the parts that are needed are read.

- Graphs, other layers and all embeddings but the one asked for stay on disk; a dense matrix is made sparse a thousand
  rows at a time.
- Files from before AnnData 0.7 are read whole by anndata, whose warnings about their age are of no use to
  the reader.
- ``layer="raw"`` means ``.raw``, unless there is a layer of that name.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem, sparse_dataset
from jaxtyping import Float

from cellprism.cells.raw import RawCells, suggestion
from cellprism.cells.values import could_be_counts
from cellprism.errors import CellsError

CHUNK = 1000
PEEK = 10_000


def read_old_h5ad(path: Path) -> anndata.AnnData:
    """Read a whole file with anndata, without its warnings about old files and repeated names."""
    with warnings.catch_warnings():
        for kind in (anndata.OldFormatWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        return anndata.read_h5ad(path)


def read_h5ad_file(path: Path, layer: str | None, embedding: str | None = None) -> RawCells:
    """Read one matrix of an .h5ad file with its cells and genes, and one embedding if asked.

    Raises:
        CellsError: no such layer or embedding, no matrix, or the file is not AnnData.
        OSError, KeyError, ValueError, RuntimeError: the file is damaged.
    """
    with h5py.File(path, "r") as opened:
        file: dict[str, Any] = dict(opened.items())
        if not {"obs", "var"} <= file.keys():
            held = ", ".join(sorted(file)) or "nothing"
            hint = "; a 10x file must end in .h5" if "matrix" in file else ""
            raise CellsError(str(path), [f"this is no AnnData file: expected obs, var and X, found {held}{hint}"])
        old = isinstance(file["obs"], h5py.Dataset)  # its categories are kept apart from their columns
        if old:
            return from_anndata(read_old_h5ad(path), str(path), layer, embedding)
        choices = _choices(file)
        chosen = choose(str(path), list(choices), layer)
        element, var = choices[chosen]
        others = tuple(name for name, (held, _) in choices.items() if name != chosen and could_be_counts(_peek(held)))
        obs = _frame(file["obs"])
        return RawCells(
            source=str(path), matrix=_to_csr(element), obs=obs, var=_frame(var),
            where=_where(chosen), others=others, embedding=_embedding(str(path), file.get("obsm", {}), embedding),
            **_ours(obs, "cellprism" in file.get("uns", ())),
        )  # fmt: skip


def from_anndata(adata: anndata.AnnData, source: str, layer: str | None, embedding: str | None = None) -> RawCells:
    """Take one matrix of an AnnData in memory, and one embedding if asked; the object itself is left as it is.

    Raises:
        CellsError: no such layer or embedding, or a matrix of an unknown kind.
    """
    held: Any = adata.to_memory() if adata.isbacked else adata
    matrices = {} if held.X is None else {"X": (held.X, held.var)}
    matrices |= {} if held.raw is None else {"raw": (held.raw.X, held.raw.var)}
    matrices |= {name: (values, held.var) for name, values in held.layers.items()}
    chosen = choose(source, list(matrices), layer)
    values, var = matrices[chosen]
    if not sp.issparse(values) and not isinstance(values, np.ndarray):
        kind = f"{_where(chosen)} is a {type(values).__name__}"
        raise CellsError(source, [f"{kind}; expected a SciPy sparse matrix or a NumPy array"])
    others = tuple(name for name, (other, _) in matrices.items() if name != chosen and could_be_counts(_sample(other)))
    matrix = sp.csr_matrix(values)
    matrix.check_format(full_check=True)
    return RawCells(
        source=source, matrix=matrix, obs=held.obs.copy(), var=var.copy(), where=_where(chosen),
        others=others, embedding=_embedding(source, held.obsm, embedding), **_ours(held.obs, "cellprism" in held.uns),
    )  # fmt: skip


def choose(source: str, held: list[str], layer: str | None) -> str:
    """The matrix that ``layer`` names, X by default.

    Raises:
        CellsError: there is no such matrix; the message names near matches.
    """
    wanted = "X" if layer is None else layer
    if wanted in held:
        return wanted
    what = "it has no X" if layer is None else f"there is no layer {layer!r}"
    raise CellsError(
        source,
        [f"{what}; expected raw counts under one of: {suggestion(wanted, held)} (choose with layer=...)"],
    )


def _embedding(source: str, held: Mapping[str, Any], key: str | None) -> Float[np.ndarray, "cell d_model"] | None:
    if key is None:
        return None
    if key not in held:
        raise CellsError(source, [f"there is no embedding {key!r} in obsm; {suggestion(key, list(held))}"])
    element = held[key]
    values: Any = read_elem(element) if isinstance(element, h5py.Dataset | h5py.Group) else element
    values = np.asarray(values.toarray() if sp.issparse(values) else values, dtype=np.float64)
    if values.ndim != 2:
        raise CellsError(source, [f"obsm[{key!r}] has shape {values.shape}; expected one row of numbers a cell"])
    return values


def _ours(obs: pd.DataFrame, aligned: bool) -> dict[str, Any]:
    """Cells written by cellprism carry totals of the whole matrix, which their own columns no longer tell."""
    if aligned and "total_counts" in obs:
        return {"totals": obs["total_counts"].to_numpy(np.float64)}
    return {}


def _choices(file: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Matrices of a file, each with the table of its genes."""
    choices = {}
    if "X" in file and file["X"].attrs.get("encoding-type") != "null":
        choices["X"] = (file["X"], file["var"])
    if "raw" in file and {"X", "var"} <= file["raw"].keys():
        choices["raw"] = (file["raw"]["X"], file["raw"]["var"])
    return choices | {name: (layer, file["var"]) for name, layer in file.get("layers", {}).items()}


def _where(chosen: str) -> str:
    return chosen if chosen in ("X", "raw") else f"layers[{chosen!r}]"


def _frame(element: Any) -> pd.DataFrame:
    frame = read_elem(element)
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"{element.name} is no table")
    return frame


def _to_csr(element: Any) -> sp.csr_matrix:
    if isinstance(element, h5py.Dataset):
        blocks = [sp.csr_matrix(element[i : i + CHUNK]) for i in range(0, element.shape[0], CHUNK)]
        return sp.csr_matrix(sp.vstack(blocks, format="csr")) if blocks else sp.csr_matrix(element.shape)
    matrix = sp.csr_matrix(sparse_dataset(element).to_memory())
    matrix.check_format(full_check=True)
    return matrix


def _peek(element: Any) -> np.ndarray:
    if isinstance(element, h5py.Dataset):
        return np.asarray(element[: max(1, PEEK // max(1, element.shape[-1]))]).ravel()
    return np.asarray(element["data"][:PEEK]) if "data" in element else np.zeros(0)


def _sample(values: Any) -> np.ndarray:
    if sp.issparse(values):
        return np.asarray(values[:CHUNK].tocoo().data[:PEEK])
    return np.asarray(values)[: max(1, PEEK // max(1, values.shape[-1]))].ravel()
