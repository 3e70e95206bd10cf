"""What every feature does: ``screen/cards.parquet``, a row a feature, ``screen/screen.json`` with what holds for all,
``screen/matrix.h5ad`` (features x genes: change per unit of strength, by derivatives) and ``screen/exact.h5ad`` (a row
a feature and strength: changes by exact passes). The page reads neither matrix.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from anndata import AnnData

from cellprism.report.verdict import Interval
from cellprism.store.h5ad import write_h5ad
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_h5ad, read_record, write_record

CARDS, SUMMARY, MATRIX, EXACT = "cards.parquet", "screen.json", "matrix.h5ad", "exact.h5ad"
CARD_COLUMNS = {
    "feature": int, "program": str, "sign": str, "described": float, "firing_rate": float, "cells": int,
    "edit_size": float, "edit_ratio": float, "genes_own": int, "effect": float, "reach": int, "specificity": float,
    "specificity_expected": float, "response": float, "control": float, "control_low": float, "control_high": float,
    "p": float, "q": float, "passed": str, "mirror": float, "linear_genes": float, "plausible_low": float,
    "plausible_high": float, "percentile_at_5": float, "misfit_at_5": float, "quadrant": str, "apart": float,
}  # fmt: skip
"""feature; program (its best term, empty without); sign; described: -log10 of its q; firing_rate: share of tokens;
cells in which it fires; edit_size: root mean square over these cells of the norm of an edit of one unit; edit_ratio: at
strength 5, over the norm of the residuals; genes_own; effect: root mean square over genes of the change per unit of
strength, over edit_size; reach: genes that change by ``reach_from`` at strength 5; specificity: share of its summed
absolute changes on its own genes, and what as many genes would have if all changed alike; response: change of its own
genes against others as high, at strength 5, in the direction that it stands for; control: mean of the features beside
it, scaled to its edit, and their 95 %; p, and q over all features; passed: top, random or empty; mirror: symmetry of
strengths 0 and 2; linear_genes: rank correlation over genes of derivative and exact change at 5; plausible_low and
_high: strengths within which steered cells look like cells; percentile_at_5, misfit_at_5: see ``steering.plausible``;
quadrant; apart: rank by description minus rank by effect, from -1 to 1. Then, for each number S that features are
screened for, ``gradient: S``, ``frozen: S``, ``own tokens exact A: S`` (per unit of strength, the last from 1
to A) and ``exact A: S``. Missing values where nothing
was measured."""


GRADIENT, FROZEN, OWN_TOKENS = "gradient", "frozen", "own tokens exact"
KINDS = {
    GRADIENT: "gradient", FROZEN: "with attention and norms held fixed",
    OWN_TOKENS: "own tokens exactly, others by the gradient",
}  # fmt: skip
"""What is told of all features at once, in words."""


def score_of(kind: str, strength: float) -> str:
    """What a kind's score for a strength is called: only ``OWN_TOKENS`` has another one for each."""
    return f"{kind} {strength:g}" if kind == OWN_TOKENS else kind


@dataclass(frozen=True)
class Agreement:
    """How derivatives go with exact passes, for one number and one kind of derivative."""

    scalar: str
    kind: str
    """One of ``KINDS``."""
    features: str
    """``random`` or ``top and random``."""
    n: int
    strength: float
    r: float | None
    """Rank correlation over features; null where it has none."""
    interval: Interval | None
    """95 % bootstrap interval over features."""


@dataclass(frozen=True)
class Cost:
    """What a part of the screen took."""

    part: str
    seconds: float
    processor_seconds: float
    operations: float | None = None
    """Multiplications and additions, where they were counted."""


@dataclass(frozen=True)
class Others:
    """Dictionaries of one kind that nobody trained."""

    kind: str
    describes: list[float | None]
    """Rank correlation of description and effect over the features of each."""
    moves: list[float | None] = field(default_factory=list)
    """Share of the features of each that move their genes beyond those of the others; of one kind alone."""


@dataclass(frozen=True)
class Standing:
    """A number of the autoencoder beside the same of dictionaries that nobody trained."""

    kind: str
    value: float
    mean: float
    interval: Interval | None
    """Within which the value would lie in 95 % of draws if the autoencoder were one more dictionary."""
    difference: Interval | None
    """The value with the width of that interval."""
    p: float | None
    dictionaries: int


@dataclass(frozen=True)
class Summary:
    """What holds for all features."""

    cells: int
    types: dict[str, int]
    genes: int
    features: int
    live: int
    """Features that fire in enough of the cells; all else is of these."""
    read: str
    passes: int
    way: str
    """How the matrix was had, and ``operations`` of all ways."""
    operations: dict[str, float]
    scalars: dict[str, str]
    """Name of each number, and what a change of it is."""
    agreement: list[Agreement]
    costs: list[Cost]
    reach_from: float
    own_genes: int
    """Features beyond their controls at q < .05."""
    others: list[Others]
    moves: Standing | None
    describes: list[Standing]
    described_effect: float | None
    """Rank correlation of description and effect over features, and its 95 % bootstrap interval."""
    described_interval: Interval | None
    quadrants: dict[str, int]


@dataclass(frozen=True, eq=False)
class Screen:
    """The study's results."""

    absent: str = ""
    """Why nothing could be screened."""
    summary: Summary | None = None
    cards: pd.DataFrame | None = None
    matrices: tuple[AnnData, AnnData] | None = None
    """Only when they are written."""


@dataclass(frozen=True)
class _Kept:
    absent: str
    summary: Summary | None


def write(folder: Path, found: Screen) -> list[Path]:
    """Write the study's folder."""
    files = [write_record(folder / SUMMARY, _Kept(found.absent, found.summary))]
    if found.cards is not None:
        write_table(folder / CARDS, found.cards)
        files.append(folder / CARDS)
    if found.matrices is not None:
        for name, data in zip((MATRIX, EXACT), found.matrices, strict=True):
            write_h5ad(folder / name, data)
            files.append(folder / name)
    return files


def read(folder: Path) -> Screen:
    """Read it, but for the matrices. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    kept = read_record(_Kept, folder / SUMMARY)
    cards = read_columns(folder / CARDS, CARD_COLUMNS, float) if kept.summary is not None else None
    return Screen(kept.absent, kept.summary, cards)


def read_matrix(folder: Path) -> AnnData:
    """Features x genes: change of each gene's mean value per unit of strength."""
    return read_h5ad(folder / MATRIX)
