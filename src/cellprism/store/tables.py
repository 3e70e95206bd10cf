"""Parquet tables: written whole or not at all, read with one clear message when damaged."""

from pathlib import Path

import pandas as pd
import pyarrow

from cellprism.errors import DamagedError
from cellprism.store.atomic import replacing


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a data frame as parquet without its index."""
    with replacing(path) as scratch:
        table.to_parquet(scratch, index=False)


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet table; a truncated or altered file raises ``DamagedError`` that names it."""
    try:
        return pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DamagedError(f"{path} is not a readable table ({error}); rerun the step that wrote it") from error
