"""What was read of features through the cells in which they are high: the files of ``lens/``."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cellprism.report.verdict import Interval
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

SUMMARY = "lens.json"
TABLES = {
    "features": {
        "feature": int, "high": int, "low": int, "up": int, "down": int, "term": str, "term_padj": float,
        "direction": str, "high_in": str, "type_share": float, "neighbours": float, "expected": float, "p": float,
        "q": float, "local": bool,
    },
    "genes": {
        "feature": int, "direction": str, "rank": int, "gene": str, "difference": float, "auroc": float, "q": float,
    },
    "terms": {
        "feature": int, "direction": str, "term": str, "genes": int, "term_size": int, "pvalue": float, "padj": float,
    },
    "moved": {"feature": int, "direction": str, "rank": int, "gene": str, "effect": float, "own": bool},
}  # fmt: skip
"""Columns of each table: one row a feature that could be read; its differential genes; its terms; genes that the model
moves most when a feature is set high."""


@dataclass(frozen=True)
class RareCells:
    """Features whose high cells lie together."""

    local: int
    """Features that are local, each by its own q."""
    beyond: float
    """Share of features that exceed 95 % of their own draws."""
    null: float
    """Its mean over the draws."""
    null_interval: Interval
    """Where 95 % of the draws lie."""
    p: float
    """Two-sided, among the draws."""
    draws: int
    by_type: bool
    """Whether random cells are of the same types."""
    untrained: list[float]
    """``beyond`` of each random dictionary."""


@dataclass(frozen=True)
class Moved:
    """One feature, set high in all cells."""

    feature: int
    term: str
    """The term that it stands for; empty where it has none."""
    genes: int
    """Differential genes that the model predicts."""
    value: float
    """Mean effect on them minus that on other genes of the same predicted level."""
    null: float | None
    null_interval: Interval | None
    p: float | None
    """Two-sided, among the controls."""
    controls: int
    """Features of random dictionaries beside it."""
    edit_ratio: float
    """Size of the edit over that of the residual stream."""
    own_moved: int
    """Of the genes that rise most, as many as it has differential ones, those that are."""
    terms: list[str]
    """Terms of the genes that rise most, surest first."""


@dataclass(frozen=True)
class Summary:
    """Sizes, settings and results of the study."""

    cells: int
    genes: int
    features: int
    """Features that fire."""
    read: int
    """Of these, those that are high in enough cells."""
    high: float
    low: float
    against: str
    fewest: int
    test: str
    terms_by: str
    collection: str
    terms: int
    """Terms tested."""
    alpha: float
    annotated: float
    """Share of the features read that have a term."""
    untrained: list[float]
    """The same of each random dictionary."""
    rare: RareCells | None
    """None where no feature could be read."""
    moved: list[Moved] = field(default_factory=list)
    not_moved: str = ""
    """Why no feature was set high."""
    set_cells: int = 0
    """Cells in which features were set high."""
    hidden: bool = False
    """Whether genes were read where the model does not see them."""


@dataclass(frozen=True, eq=False)
class Lens:
    """The study's results."""

    summary: Summary
    features: pd.DataFrame
    genes: pd.DataFrame
    terms: pd.DataFrame
    moved: pd.DataFrame


def write(folder: Path, found: Lens) -> list[Path]:
    """Write the study's folder."""
    paths = [folder / f"{name}.parquet" for name in TABLES]
    for path, name in zip(paths, TABLES, strict=True):
        write_table(path, getattr(found, name))
    return [*paths, write_record(folder / SUMMARY, found.summary)]


def read(folder: Path) -> Lens:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    tables = {name: read_columns(folder / f"{name}.parquet", columns) for name, columns in TABLES.items()}
    return Lens(read_record(Summary, folder / SUMMARY), **tables)
