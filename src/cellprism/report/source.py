"""The number that a claim names, read from its file: so that anybody, and a test, can look it up.

- JSON: steps joined by dots, ``rows.3.rate``; a key may hold dots or spaces.
- parquet: ``column[key=value]``, the column in the one row whose ``key`` is the value.
- h5ad: ``obs.column[name]`` or ``var.column[name]``; ``uns.a.b``; ``X[row,column]`` by names.
"""

import re
from pathlib import Path
from typing import Any

import anndata
import pandas as pd

from cellprism.errors import DamagedError
from cellprism.report.claims import Source
from cellprism.store.atomic import read_json
from cellprism.store.tables import read_table


def number_at(folder: Path, source: Source) -> float:
    """The number that ``source`` names in a run folder.

    Raises:
        DamagedError: there is no such file or field, or it holds no number.
    """
    path = folder / source.file
    readers = {".json": _in_json, ".parquet": _in_table, ".h5ad": _in_h5ad}
    try:
        return float(readers[path.suffix](path, source.field))
    except (KeyError, IndexError, TypeError, ValueError, FileNotFoundError) as error:
        raise DamagedError(f"{path} holds no number at {source.field!r} ({error})") from error


def _in_json(path: Path, field: str) -> Any:
    return _step(read_json(path), field)


def _step(value: Any, field: str) -> Any:
    """Follow the steps; of a key that holds dots the longest spelling that is there."""
    if not field:
        return value
    parts = field.split(".")
    if isinstance(value, list):
        return _step(value[int(parts[0])], ".".join(parts[1:]))
    for count in range(len(parts), 0, -1):
        if (key := ".".join(parts[:count])) in value:
            return _step(value[key], ".".join(parts[count:]))
    raise KeyError(field)


def _in_table(path: Path, field: str) -> Any:
    column, key, value = _parts(r"(.+?)\[([^=\[\]]+)=(.*)\]", field)
    table = read_table(path)
    return _only(table.loc[table[key].astype(str) == value, column])


def _in_h5ad(path: Path, field: str) -> Any:
    data = anndata.read_h5ad(path)
    if field.startswith("uns."):
        return _step(data.uns, field.removeprefix("uns."))
    if field.startswith("X["):
        row, column = _parts(r"X\[(.+),(.+)\]", field)
        return data[row, column].to_df().iloc[0, 0]
    axis, column, name = _parts(r"(obs|var)\.(.+?)\[(.*)\]", field)
    return getattr(data, axis).loc[name, column]


def _parts(pattern: str, field: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, field)
    if found is None:
        raise ValueError(f"expected {pattern}")
    return found.groups()


def _only(found: pd.Series) -> Any:
    if len(found) != 1:
        raise ValueError(f"{len(found)} rows fit, expected one")
    return found.iloc[0]
