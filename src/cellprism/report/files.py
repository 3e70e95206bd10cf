"""Reading with a clear message: what is missing, in which file, and which step to run again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import anndata
import numpy as np
import pandas as pd

from cellprism.errors import DamagedError
from cellprism.report.verdict import Interval
from cellprism.store.atomic import read_json
from cellprism.store.tables import read_table

Found = TypeVar("Found")
UNLABELLED = "unlabelled"


def read_object(path: Path, fields: Sequence[str]) -> dict[str, Any] | None:
    """One JSON object with the given fields; None where the file is not there."""
    if not path.exists():
        return None
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedError(
            f"{path} should hold one JSON object, found {type(value).__name__}; rerun the step that wrote it"
        )
    require(value, fields, str(path))
    return value


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    """A parquet table with the given columns; None where the file is not there."""
    if not path.exists():
        return None
    table = read_table(path)
    require(table.columns, columns, str(path))
    return table


def require(present: Any, needed: Sequence[str], place: str) -> None:
    """Raise ``DamagedError`` that names what is missing."""
    missing = [name for name in needed if name not in present]
    if missing:
        raise DamagedError(f"{place} lacks {', '.join(missing)}; rerun the step that wrote it")


def needed(value: Found | None, path: Path) -> Found:
    """A value that must be there once its folder is."""
    if value is None:
        raise DamagedError(f"{path} is missing though its folder is there; rerun the step that writes it")
    return value


def read_h5ad(path: Path, backed: Any = None) -> anndata.AnnData:
    """An h5ad file, with one clear message when damaged."""
    try:
        return anndata.read_h5ad(path, backed=backed)
    except (OSError, KeyError) as error:
        raise DamagedError(f"{path} is not a readable h5ad file ({error}); rerun the step that wrote it") from error


def interval(pair: Any) -> Interval | None:
    """A pair from JSON."""
    return None if pair is None else (float(pair[0]), float(pair[1]))


def cell_types(cells: anndata.AnnData) -> np.ndarray:
    """The label of each cell, as text; ``unlabelled`` where there are none."""
    if "cell_type" not in cells.obs:
        return np.full(cells.n_obs, UNLABELLED)
    return np.asarray(cells.obs["cell_type"], dtype=str)


def subfolders(folder: Path) -> list[Path]:
    """Folders inside a folder, sorted; none where it is not there."""
    return sorted(f for f in folder.iterdir() if f.is_dir()) if folder.is_dir() else []
