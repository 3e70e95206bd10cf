"""Cell types at the door: which column holds them, who has none, and whether the wanted types exist."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from cellprism.cells.raw import as_text, suggestion

CELL_TYPE = "cell_type"
UNLABELLED = "unlabelled"
MOST_TYPES = 200
MOST_NUMBERS = 100
"""Clusters that are still told by number."""
MISSING = ("", "nan", "none", "na", "n/a", "n.a.", "#n/a", "<na>", "nat", "null", "nil", "-", "--", "?", ".")
"""How other programs write a value that is not there, in lower case."""


def label_column(obs: pd.DataFrame, known: str | None, labels: str | None) -> str | None:
    """The column with cell types: asked for, known for the data set, or ``cell_type`` if there is one."""
    return labels or known or (CELL_TYPE if CELL_TYPE in obs else None)


def label_problems(obs: pd.DataFrame, column: str | None, wanted: Sequence[str]) -> list[str]:
    """What is wrong with the label column, and which wanted cell types it lacks, with near matches."""
    if column is None:
        if not wanted:
            return []
        asked = ", ".join(map(repr, wanted))
        hint = suggestion(CELL_TYPE, possible_columns(obs))
        return [
            f"cell types {asked} were asked for, but no column that holds them; name it with labels = COLUMN (on the "
            f"command line: --labels COLUMN); {hint}"
        ]
    if column not in obs:
        return [
            f"obs has no column {column!r} to take cell types from; {suggestion(column, list(map(str, obs.columns)))}"
        ]
    if list(obs.columns).count(column) > 1:
        return [f"obs has several columns {column!r}, so which holds the cell types cannot be known; rename the others"]
    types = cell_types(obs, column)
    if wrong := _no_types(obs, column, types):
        return [wrong]
    if (types == UNLABELLED).all():
        return [f"obs[{column!r}] is empty: no cell has a type; {suggestion(column, possible_columns(obs))}"]
    known = [str(t) for t in types.value_counts().index if t != UNLABELLED]
    return [
        f"obs[{column!r}] has no cell type {name!r}; {suggestion(name, known)}" for name in wanted if name not in known
    ]


def _no_types(obs: pd.DataFrame, column: str, types: pd.Series) -> str:
    """Why a column cannot be one of cell types, '' if it can."""
    dtype: Any = obs[column].dtype
    dtype = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    n, likely = types.nunique(), suggestion(column, [c for c in possible_columns(obs) if c != column])
    if dtype.kind in "mMc" or isinstance(dtype, pd.PeriodDtype | pd.DatetimeTZDtype):
        return f"obs[{column!r}] holds dates, durations or complex numbers ({dtype}), and no cell types; {likely}"
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        numbers: Any = pd.to_numeric(pd.Series(obs[column]).astype(object), errors="coerce")
        values: Any = numbers.dropna()
        if (values % 1 != 0).any():
            return f"obs[{column!r}] holds measures, such as {values.iloc[0]:.4g}, and no cell types; {likely}"
        if dtype.itemsize == 1 or (values < 0).any():
            return (
                f"obs[{column!r}] holds codes of categories ({values.min():.0f} to {values.max():.0f}) whose names "
                f"were lost, so nobody can tell which cell type is which; {likely}, or write the names into the column"
            )
        if n > MOST_NUMBERS or 2 * n > len(obs) > MOST_NUMBERS:
            return f"obs[{column!r}] has {n:,} different numbers in {len(obs):,} cells, so it holds no types; {likely}"
    if n > MOST_TYPES and 10 * n > len(obs):
        return f"obs[{column!r}] has {n:,} different values in {len(obs):,} cells, so it holds no types; {likely}"
    return ""


def cell_types(obs: pd.DataFrame, name: str) -> pd.Series:
    """Values of a column as categories of text; missing or blank ones become ``unlabelled``, 3.0 becomes 3."""
    column: Any = obs.loc[:, obs.columns == name].iloc[:, 0]
    if pd.api.types.is_float_dtype(column.dtype) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    text = column.astype(object).where(column.notna(), "").map(as_text).str.strip()
    return text.mask(text.str.lower().isin(MISSING), UNLABELLED).astype("category")


def possible_columns(obs: pd.DataFrame) -> list[str]:
    """Columns that could hold cell types: text or categories, 2 to 200 values, fewer values than cells."""
    found = []
    for place, name in enumerate(obs.columns):
        column: Any = obs.iloc[:, place]
        textual = isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(column.dtype)
        if textual and 2 <= column.dropna().map(as_text).nunique() <= min(MOST_TYPES, len(obs) - 1):
            found.append(str(name))
    return found


def alike(types: pd.Series) -> list[str]:
    """Types that differ by capitals alone, each with the others, such as 'B cell / b cell'."""
    kinds: dict[str, list[str]] = {}
    for kind in sorted(map(str, types.cat.categories)):
        kinds.setdefault(" ".join(kind.casefold().split()), []).append(kind)
    return [" / ".join(map(repr, same)) for same in kinds.values() if len(same) > 1]
