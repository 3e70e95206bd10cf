"""What is measured of an autoencoder: ``fit/measures.json`` and ``fit/history.parquet``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellprism.report.verdict import Interval
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

FILE, HISTORY = "measures.json", "history.parquet"


@dataclass(frozen=True)
class Firing:
    """A histogram of how often features fire."""

    log10_edges: list[float]
    """Edges, as powers of ten."""
    features: list[int]
    never: int
    """Features that never fire."""


@dataclass(frozen=True)
class GeneClass:
    """The fit on one class of genes."""

    name: str
    genes: int
    tokens: int
    variance_share: float
    error_share: float
    explained_variance: float | None
    """None where its tokens do not vary."""


@dataclass(frozen=True)
class Recovered:
    """Loss recovered when the reconstruction takes the site's place, against the strongest ablation."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Splice:
    """Loss recovered by the autoencoder, beside an untrained one of its shape and the hardest fair dictionary."""

    trained: Recovered
    untrained: Recovered
    fair: Recovered
    fair_kind: str
    """Which dictionary: one of ``features.dictionaries.KINDS``."""
    cells: int
    share_hidden: float
    """Share of each cell's genes, or of its counts where the cell is the one token, that was hidden."""
    ablation: str
    """``gene_mean``: each gene's mean vector; ``mean``: that of all cells."""


@dataclass(frozen=True)
class Elsewhere:
    """Variance explained on cells of another data set."""

    source: str
    cells: int
    trained: float
    untrained: float


@dataclass(frozen=True)
class Stream:
    """How many dimensions the inner state fills once each gene's mean, or that of all cells, is off."""

    width: int
    effective: float
    """Participation ratio of the covariance's eigenvalues: as many equal ones would vary as much."""
    components_90: int
    """Principal components that hold 90 % of the variance."""
    components_99: int


@dataclass(frozen=True)
class FairControl:
    """Dictionaries that nobody trained, drawn again and again."""

    kind: str
    """One of ``features.dictionaries.KINDS``."""
    atoms: int
    explained: float
    """Mean over draws."""
    interval: Interval
    """Where 95 % of the draws lie."""
    p: float
    """Two-sided p-value of the trained dictionary among them."""
    draws: int


@dataclass(frozen=True)
class Beside:
    """The trained dictionary and fair ones, all used by matching pursuit with k atoms, on cells that gave no atoms."""

    k: int
    tokens: int
    cells: int
    trained: float
    """Variance explained, each gene's mean taken off."""
    rows: list[FairControl]
    hardest: int
    """The row with the largest mean."""

    @property
    def best(self) -> FairControl:
        """The hardest control."""
        return self.rows[self.hardest]


@dataclass(frozen=True)
class Measures:
    """Everything but the training curve."""

    n_features: int
    k: float
    """Features that fire per token: fixed, or the mean where it is not."""
    explained_variance: float
    l0: float
    dead_share: float
    dense_share: float
    controls: dict[str, float]
    """Variance explained by simpler things: ``gene_mean``, gene identity alone; ``untrained``, an untrained
    autoencoder."""
    firing: Firing
    classes: list[GeneClass]
    """Empty where tokens are no genes, or do not vary once each gene's mean is off."""
    splice: Splice | None
    """None where the model has no loss of its own."""
    no_splice: str
    """Why not."""
    other: Elsewhere | None
    stream: Stream
    fair: Beside | None
    """None for a transcoder, which rebuilds something else than it reads, and where tokens do not vary."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The study's results."""

    measures: Measures
    history: pd.DataFrame
    """step, mse and what else the training kept."""


def write(folder: Path, found: Fit) -> list[Path]:
    """Write the study's folder."""
    write_table(folder / HISTORY, found.history)
    return [write_record(folder / FILE, found.measures), folder / HISTORY]


def read(folder: Path) -> Fit:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    history = read_columns(folder / HISTORY, {"step": int, "mse": float}, float)
    return Fit(read_record(Measures, folder / FILE), history)
