"""Reading and writing what a study keeps, with a clear message: what is missing, in which file, what to do."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import anndata
import dacite
import numpy as np
import pandas as pd
from pandas.api.types import is_string_dtype

from cellprism.errors import CellprismError, DamagedError
from cellprism.report.claims import Null
from cellprism.report.verdict import Interval
from cellprism.store.atomic import read_json, write_json
from cellprism.store.tables import read_table

Record = TypeVar("Record")
MISFITS = (ArithmeticError, AssertionError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
"""What a number, a name or a row ends in that is not where it should be."""


def write_record(path: Path, record: Any) -> Path:
    """Write a dataclass of plain values as JSON; returns the path."""
    write_json(path, asdict(record))
    return path


def read_record(kind: type[Record], path: Path) -> Record:
    """Read what ``write_record`` wrote. Raises ``DamagedError`` that names file and field."""
    found = read_object(path, ())
    try:
        return as_record(kind, found)
    except (dacite.DaciteError, TypeError, ValueError) as error:
        raise DamagedError(f"{path} is not what its step writes ({error}); make the run again") from error


def as_record(kind: type[Record], found: dict[str, Any]) -> Record:
    """A dataclass from the plain values that ``asdict`` made of it."""
    return dacite.from_dict(kind, found, dacite.Config(cast=[tuple], type_hooks={float: _number}))  # pyright: ignore[reportArgumentType]


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


def read_columns(path: Path, columns: Mapping[str, type], others: type | None = None) -> pd.DataFrame:
    """A parquet table with the given columns, each of its kind.

    Whole numbers (``int``), text and yes or no (``bool``) are never missing; a number (``float``) may be, and is NaN
    then, but not infinite. A table without rows has no kinds.

    Args:
        path: of the table.
        columns: what it must have, each with its kind.
        others: the kind of all its other columns; None where these may be of any.

    Raises:
        DamagedError: a column is missing, or is of another kind; it names both.
    """
    there(path)
    table = read_table(path)
    require(table.columns, list(columns), str(path))
    kinds = dict.fromkeys(table.columns, others) | dict(columns)
    for name, kind in kinds.items() if len(table) else ():
        if kind is float and bool(table[name].isna().all()):
            table[name] = np.nan
        column = table[name]
        if kind is not None and not _is(column, kind):
            raise DamagedError(
                f"{path}: column {name!r} should hold {WORDS[kind]}, found {_told(column)}; rerun the step that "
                "wrote it"
            )
    return table


WORDS = {int: "whole numbers", float: "numbers", str: "text", bool: "yes or no"}


def _is(column: Any, kind: type) -> bool:
    """Whether all values of a column are of a kind."""
    if kind is str:
        return is_string_dtype(column) and bool(column.notna().all())
    if kind is not float:
        return column.dtype.kind == ("b" if kind is bool else "i")
    return column.dtype.kind == "i" or (column.dtype.kind == "f" and not np.isinf(column).any())


def _told(column: Any) -> str:
    """What a column holds, for a message."""
    if column.isna().any():
        return "missing values"
    return "infinite ones" if column.dtype.kind == "f" and np.isinf(column).any() else str(column.iloc[0])[:40]


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


@contextmanager
def fitting(what: str, remedy: str) -> Iterator[None]:
    """Say of files that are each as they should be, and do not go together, that they do not.

    Args:
        what: they are.
        remedy: the command that makes them again.

    Raises:
        DamagedError: a number, a name or a row that one of them speaks of is not in another.
    """
    try:
        yield
    except CellprismError:
        raise
    except MISFITS as error:
        raise DamagedError(
            f"{what} does not fit together ({type(error).__name__}: {str(error)[:200]}); make it again with: {remedy} "
            "(where it was only just made, this is a mistake of cellprism: please report it with what --debug shows)"
        ) from error


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
