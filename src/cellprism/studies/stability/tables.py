"""Which features another training finds again: ``stability/stability.json`` and ``stability/features.parquet``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellprism.report.verdict import Interval
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

FILE, FEATURES = "stability.json", "features.parquet"
FEATURE_COLUMNS = {
    "feature": int, "grade": str, "found_again": float, "as_subspace": float, "cosine": float, "profile": float,
    "likeness": float, "chance": float, "rebuilt": float, "chance_rebuilt": float, "found_elsewhere": float,
    "program": str,
}  # fmt: skip
GRADES = {"A": "found again", "B": "found again as a mixture", "C": "not found again"}


@dataclass(frozen=True)
class Again:
    """Features of the run's autoencoder that others find again."""

    shares: list[float]
    """Of the features that fire, those found again, one an autoencoder."""
    share: float
    """Their mean."""
    by_chance: float
    """The same when dictionaries that were drawn pass for trainings, mean over permutations."""
    interval: Interval
    """Where 95 % of these lie."""
    p: float
    """Two-sided p-value of the share among them."""
    permutations: int
    mean_cosine: float
    """PW-MCC: mean cosine of decoder rows matched one to one, over the autoencoders."""
    chance_cosine: float
    """The same of dictionaries drawn."""


@dataclass(frozen=True)
class Consensus:
    """A dictionary of means of the directions that were found again, beside each training's own."""

    explained: float
    """Variance that it explains, used by matching pursuit, each gene's mean taken off."""
    own: list[float]
    """What the decoders of the trainings explain, the run's own first."""
    tokens: int
    k: int


@dataclass(frozen=True)
class Agreement:
    """What all features together say."""

    seeds: list[int]
    """The run's own first."""
    cells: int
    draws: int
    level: float
    """A match counts where at most this share of the dictionaries drawn reach it, itself counted."""
    atoms: int
    """Directions of another training that may rebuild one together."""
    firing: int
    """Features that fire on these cells."""
    grades: dict[str, int]
    """Of these: A, found again by at least half of the other trainings; B, else rebuilt by at least half of them beyond
    chance; C, neither."""
    again: Again
    elsewhere: Again | None
    """By autoencoders trained on cells of another donor."""
    other: str
    """These cells; empty where there are none."""
    consensus: Consensus | None
    """None where tokens do not vary."""


@dataclass(frozen=True, eq=False)
class Stability:
    """The study's results."""

    agreement: Agreement | None
    """None for a transcoder, whose directions lie in another block than the tokens that it reads."""
    features: pd.DataFrame
    """FEATURE_COLUMNS, one row a feature: its grade (empty for one that is silent); shares of the other trainings that
    find it again, alone and as a subspace; means over them of cosine, correlation of gene profiles, and the smaller of
    the two, and what ``level`` of the draws exceed; the same of the share rebuilt; the share of autoencoders of
    other cells that find it again (missing without); its program, where it has one."""


def write(folder: Path, found: Stability) -> list[Path]:
    """Write the study's folder."""
    write_table(folder / FEATURES, found.features)
    files = [folder / FEATURES]
    if found.agreement is not None:
        files.append(write_record(folder / FILE, found.agreement))
    return files


def read(folder: Path) -> Stability:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    agreement = read_record(Agreement, folder / FILE) if (folder / FILE).is_file() else None
    return Stability(agreement, read_columns(folder / FEATURES, FEATURE_COLUMNS))
