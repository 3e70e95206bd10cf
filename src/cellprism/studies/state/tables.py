"""What the variance of features is made of, and what goes with them: the files of ``state/``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellprism.report.verdict import Interval
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

FEATURES, FILE = "features.parquet", "state.json"
DEPTH, MITOCHONDRIAL, RIBOSOMAL, S, G2M = "depth", "mitochondrial", "ribosomal", "S phase", "G2M phase"
FEATURE_COLUMNS = {
    "feature": int, "firing_rate": float, "of_gene": float, "of_state": float, "of_rest": float, "score": float,
    "common": float,
}  # fmt: skip
FOLLOWED = ("r", "q", "r_within", "q_within")
"""For each covariate a column of features.parquet, ``depth_r`` and so on; the last two where cells have types."""


@dataclass(frozen=True)
class Followers:
    """How many features go with something, beside the same thing dealt out among the cells at random."""

    share: float
    """Of the features that fire, those whose association is beyond the limit that one in twenty exceeds by chance."""
    null: float
    """Mean share over permutations, the features kept together."""
    interval: Interval
    """Where 95 % of these lie."""
    p: float
    """Two-sided p-value of ``share`` among them."""
    significant: int
    """Features with q below .05."""


@dataclass(frozen=True)
class Followed:
    """Something known of the cells."""

    name: str
    origin: str
    """What it was made from, in words."""
    groups: int
    """Groups of cells that it makes; 0 where it is a number."""
    over_cells: Followers
    within_types: Followers | None
    """The same with what differs between cell types taken off, dealt out within types; None without types."""


@dataclass(frozen=True)
class State:
    """The study's summary."""

    cells: int
    """Cells over which features are followed."""
    firing: int
    """Features that fire in some of them, and differ between them."""
    types: int
    """Cell types within which they are followed; 0 without."""
    permutations: int
    residual: dict[str, float]
    """Shares of the residuals' variance: gene, cell, gene_by_cell; empty for a model that reads a cell as a whole."""
    by_chance: float | None
    """What genes would explain of values dealt to the tokens at random; None for such a model."""
    followed: list[Followed]
    absent: dict[str, str]
    """What was looked for in vain, and why."""


@dataclass(frozen=True, eq=False)
class Found:
    """The study's results."""

    state: State
    features: pd.DataFrame
    """One row a feature: FEATURE_COLUMNS, then FOLLOWED for each covariate. of_gene, of_state and of_rest are shares of
    its variance (``equations.common_pattern.gene_or_state``), score is state - gene, common the mean correlation
    between its genes; missing where the model reads a cell as a whole. r is a rank correlation, of groups eta; r and q
    are missing for features that do not differ between cells."""


def write(folder: Path, found: Found) -> list[Path]:
    """Write the study's folder."""
    write_table(folder / FEATURES, found.features)
    return [folder / FEATURES, write_record(folder / FILE, found.state)]


def read(folder: Path) -> Found:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    state = read_record(State, folder / FILE)
    followed = {f"{row.name}_{kind}": float for row in state.followed for kind in _kinds(row)}
    return Found(state, read_columns(folder / FEATURES, FEATURE_COLUMNS | followed))


def _kinds(row: Followed) -> tuple[str, ...]:
    return FOLLOWED if row.within_types else FOLLOWED[:2]
