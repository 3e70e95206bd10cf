"""Some of the cells: those with certain values in columns of ``obs``.

- Values are compared as text, as they are shown: 3, 3.0 and "3" are one cluster.
- ``cell_type`` means the column with cell types, whatever it is called in the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd

from cellprism.cells.expression import cell_blocks
from cellprism.cells.labels import CELL_TYPE, cell_types, possible_columns
from cellprism.cells.raw import RawCells, suggestion
from cellprism.store.room import stacked


def restricted(raw: RawCells, only: Mapping[str, Sequence[object]], labels: str | None) -> tuple[RawCells, list[str]]:
    """The cells that ``only`` names, with a note of how many; all cells and what is wrong where it cannot be met.

    Args:
        raw: the cells as read.
        only: values by column of ``obs``; a cell must have one of the values in every column.
        labels: column of ``obs`` with cell types, which ``cell_type`` stands for.
    """
    keep, problems = np.ones(len(raw.obs), dtype=bool), []
    for name, values in only.items():
        column = labels if name == CELL_TYPE and labels is not None else name
        wrong = _wrong(raw.obs, column, values)
        problems += wrong
        if not wrong:
            keep &= cell_types(raw.obs, column).isin(_texts(values)).to_numpy()
    said = "; ".join(f"{name}: {', '.join(map(str, values))}" for name, values in only.items())
    if only and not problems and not keep.any():
        problems.append(f"no cell has all of what only asks for ({said})")
    if problems or not only:
        return raw, problems
    note = f"{int(keep.sum()):,} of {keep.size:,} cells were asked for ({said})"
    kept = replace(
        raw,
        matrix=stacked((raw.matrix[rows][keep[rows]] for rows in cell_blocks(keep.size)), len(raw.var)),
        obs=_without_unused(cast(pd.DataFrame, raw.obs[keep])),
        totals=None if raw.totals is None else raw.totals[keep],
        embedding=None if raw.embedding is None else raw.embedding[keep],
        notes=(*raw.notes, note),
    )
    return kept, []


def _wrong(obs: pd.DataFrame, column: str, values: Sequence[object]) -> list[str]:
    if isinstance(values, str):
        return [f"only[{column!r}] is the text {values!r}; expected a list of values, such as [{values!r}]"]
    if column not in obs:
        likely = suggestion(column, possible_columns(obs) or list(map(str, obs.columns)))
        return [f"obs has no column {column!r} to choose cells by (only); {likely}"]
    if not values:
        return [f"only[{column!r}] names no value; expected at least one"]
    held = [str(v) for v in cell_types(obs, column).value_counts().index]
    return [
        f"obs[{column!r}] has no value {value!r} (only); {suggestion(value, held)}"
        for value in _texts(values)
        if value not in held
    ]


def _texts(values: Sequence[object]) -> list[str]:
    return [str(int(v) if isinstance(v, float) and v.is_integer() else v) for v in values]


def _without_unused(obs: pd.DataFrame) -> pd.DataFrame:
    kept = obs.copy()
    for name in kept.columns:
        if isinstance(kept[name].dtype, pd.CategoricalDtype):
            kept[name] = kept[name].cat.remove_unused_categories()
    return kept
