"""Reading and writing what a study keeps, with a clear message: what is missing, in which file, what to do."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import anndata
import dacite
import pandas as pd

from cellprism.errors import DamagedError
from cellprism.report.claims import Null
from cellprism.report.verdict import Interval
from cellprism.store.atomic import read_json, write_json
from cellprism.store.tables import read_table

Record = TypeVar("Record")


def write_record(path: Path, record: Any) -> Path:
    """Write a dataclass of plain values as JSON; returns the path."""
    write_json(path, asdict(record))
    return path


def read_record(kind: type[Record], path: Path) -> Record:
    """Read what ``write_record`` wrote. Raises ``DamagedError`` that names file and field."""
    found = read_object(path, ())
    try:
        return dacite.from_dict(kind, found, dacite.Config(cast=[tuple], type_hooks={float: _number}))  # pyright: ignore[reportArgumentType]
    except (dacite.DaciteError, TypeError, ValueError) as error:
        raise DamagedError(f"{path} is not what its step writes ({error}); make the run again") from error


def read_object(path: Path, fields: Sequence[str]) -> dict[str, Any]:
    """One JSON object with the given fields."""
    there(path)
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedError(
            f"{path} should hold one JSON object, found {type(value).__name__}; rerun the step that wrote it"
        )
    require(value, fields, str(path))
    return value


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A parquet table with the given columns."""
    there(path)
    table = read_table(path)
    require(table.columns, columns, str(path))
    return table


def objects_of(value: dict[str, Any], field: str, needed: Sequence[str], path: Path) -> list[dict[str, Any]]:
    """The JSON objects that a field of an object holds, in a list or by name, each with the needed fields.

    Raises:
        DamagedError: the field holds something else, or one of them lacks a field.
    """
    held = value[field]
    rows = held if isinstance(held, dict) else dict(enumerate(held)) if isinstance(held, list) else {"": held}
    for name, row in rows.items():
        if not isinstance(row, dict):
            raise DamagedError(f"{path}: {field} holds {row!r}, expected JSON objects; rerun the step that wrote it")
        require(row, needed, f"{path}, {field}, row {row.get('name', name)!r}")
    return list(rows.values())


def require(present: Any, needed: Sequence[str], place: str) -> None:
    """Raise ``DamagedError`` that names what is missing."""
    missing = [name for name in needed if name not in present]
    if missing:
        raise DamagedError(f"{place} lacks {', '.join(missing)}; rerun the step that wrote it")


def there(path: Path) -> None:
    """Raise ``DamagedError`` where a file of a finished study is missing."""
    if not path.is_file():
        raise DamagedError(f"{path} is missing; rerun the step that writes it")


def read_h5ad(path: Path) -> anndata.AnnData:
    """An h5ad file, with one clear message when damaged."""
    there(path)
    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError) as error:
        raise DamagedError(f"{path} is not a readable h5ad file ({error}); rerun the step that wrote it") from error


def subfolders(folder: Path) -> list[Path]:
    """Folders inside a folder, sorted, but for scratch; none where it is not there."""
    return sorted(f for f in folder.iterdir() if f.is_dir() and f.name[0] != ".") if folder.is_dir() else []


def null_of(name: str, row: dict[str, Any]) -> Null:
    """A control from its row {mean, low, high}, any of which may be null."""
    return Null(name, number_of(row["mean"]), interval_of(row))


def drawn_null(name: str, row: dict[str, Any]) -> Null:
    """A control from its row {mean, low, high, n} and p, where that is measured: draws that judge by their rank."""
    p = number_of(row.get("p"))
    return Null(name, number_of(row["mean"]), interval_of(row), p, None if p is None else int(row["n"]))


def interval_of(row: dict[str, Any]) -> Interval | None:
    """The interval of a row {low, high}; None where an end is null."""
    return None if row["low"] is None or row["high"] is None else (float(row["low"]), float(row["high"]))


def number_of(value: Any) -> float | None:
    """A number from JSON, or None."""
    return None if value is None else float(value)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
