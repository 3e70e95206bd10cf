"""Parquet tables: written whole or not at all, read with one clear message when damaged."""

from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet as pq

from cellprism.errors import DamagedError
from cellprism.store.atomic import replacing

MOST = 1 << 29
"""Values of a table."""


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a data frame as parquet without its index."""
    with replacing(path) as scratch:
        table.to_parquet(scratch, index=False)


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet table of plain columns; what it says of an index makes no difference.

    Raises:
        DamagedError: it is truncated or altered, or holds what no table here has: columns of lists or objects, two of
            one name, or more than ``MOST`` values. It names the file.
    """
    try:
        with pq.ParquetFile(path) as file:
            _check(file)
            table = file.read().to_pandas()
    except FileNotFoundError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} is not a readable table ({error}); rerun the step that wrote it") from error
    return table if isinstance(table.index, pd.RangeIndex) and not table.index.name else _without_index(table)


def _check(file: pq.ParquetFile) -> None:
    """Refuse what no table here has, before it is read: a few bytes may stand for very many values."""
    about, schema = file.metadata, file.schema_arrow
    if about.num_rows * about.num_columns > MOST:
        raise ValueError(f"it holds {about.num_rows:,} rows of {about.num_columns:,} columns")
    if len(set(schema.names)) < len(schema.names):
        raise ValueError("two of its columns have one name")
    if nested := [field.name for field in schema if pyarrow.types.is_nested(field.type)]:
        raise ValueError(f"column {nested[0]!r} holds lists or objects")


def _without_index(table: pd.DataFrame) -> pd.DataFrame:
    """Columns that were written as an index are columns; a count of rows is none."""
    return table.reset_index(drop=all(name is None for name in table.index.names))
