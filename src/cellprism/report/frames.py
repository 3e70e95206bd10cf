"""Small questions to data frames, answered with plain types."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pandas as pd


def where(table: pd.DataFrame, mask: Any) -> pd.DataFrame:
    """The rows that a boolean mask chooses."""
    return cast(pd.DataFrame, table.loc[np.asarray(mask, dtype=bool)])


def ordered(table: pd.DataFrame, by: str | list[str], rising: bool | list[bool] = True) -> pd.DataFrame:
    """The rows in order of one or more columns; equal ones keep theirs."""
    return table.sort_values(by=by, ascending=rising, kind="stable")  # pyright: ignore[reportCallIssue, reportArgumentType]


def numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column as floating-point numbers."""
    return np.asarray(table[column], dtype=float)


def flags(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column as truth values."""
    return np.asarray(table[column], dtype=bool)


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """A column as text."""
    return [str(value) for value in table[column]]


def records(table: pd.DataFrame) -> Iterator[Any]:
    """Rows with their columns as attributes; the index is left out."""
    return iter(table.itertuples(index=False))
