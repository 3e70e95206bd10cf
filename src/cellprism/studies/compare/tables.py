"""What differs between conditions: the files of ``compare/``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellprism.report.verdict import Interval
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

SUMMARY, FEATURES, DONORS = "compare.json", "features.parquet", "donors.parquet"
COLUMNS = {
    "features": {
        "feature": int, "difference": float, "low": float, "high": float, "t": float, "p": float, "q": float,
        "permuted_p": float, "level": float, "term": str, "top_genes": str,
    },
    "donors": {"donor": str, "condition": str, "cells": int, "cells_control": int},
}  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """What was compared, and how many features differ."""

    condition: str
    """The obs column."""
    donor: str
    case: str
    control: str
    cell_type: str
    """Within which type; empty for all cells."""
    paired: bool
    """Whether each donor has both conditions."""
    donors: tuple[int, int]
    """Of the case and of the control."""
    cells: tuple[int, int]
    features: int
    """Features that differ between donors at all."""
    alpha: float
    differ: int
    """Features whose q is below ``alpha``."""
    share: float
    """Their share."""
    null: float
    """Its mean over the ways to deal donors to conditions."""
    null_interval: Interval
    """Where 95 % of them lie."""
    p: float
    """Two-sided, among them."""
    permutations: int
    exact: bool
    """Whether these are all other ways that there are."""
    left_out: list[str]
    """Donors that take no part, with the reason."""


@dataclass(frozen=True, eq=False)
class Compare:
    """The study's results."""

    summary: Summary
    features: pd.DataFrame
    """One row a feature that varies over donors, surest first: case minus control with its t interval, p by the t test
    and among permuted donors, q, mean level, its program and genes."""
    donors: pd.DataFrame


def write(folder: Path, found: Compare) -> list[Path]:
    """Write the study's folder."""
    write_table(folder / FEATURES, found.features)
    write_table(folder / DONORS, found.donors)
    return [folder / FEATURES, folder / DONORS, write_record(folder / SUMMARY, found.summary)]


def read(folder: Path) -> Compare:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return Compare(
        read_record(Summary, folder / SUMMARY), read_columns(folder / FEATURES, COLUMNS["features"]),
        read_columns(folder / DONORS, COLUMNS["donors"]),
    )  # fmt: skip
