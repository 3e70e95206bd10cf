"""What is known of regulation: ``regulation/regulation.json`` and parquet tables beside it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pandas as pd

from cellprism.regulation.inference import Overall, Relabelled
from cellprism.regulation.measured import MeanAgreement, RankAgreement
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

FILE = "regulation.json"
MODEL, UNTRAINED, RIDGE, COEXPRESSION, WITHOUT_EDGE = (
    "model", "untrained model", "ridge regression", "co-expression", "pairs without an edge",
)  # fmt: skip
"""Whose effects."""
DOSE, DELETION = "dose", "deletion"
"""Probes, beside those of ``regulation.token_edits``."""
TARGET, NO_TARGET = "target", "no target"
"""Groups of genes, beside ``matched``."""
PUBLISHED = {
    "CXCR3": TARGET, "IFNG": TARGET, "TNF": TARGET, "CCL5": NO_TARGET, "KPNA2": NO_TARGET, "OASL": NO_TARGET,
}  # fmt: skip
"""TBX21's genes in Yanovsky and Chernomoretz 2026."""
EVERY = "all types"
"""In place of a cell type: the mean over types."""
COLUMNS = {
    "factors": {
        "factor": str, "type": str, "probe": str, "targets": int, "matches": int, "forward": float, "reverse": float,
        "direction": float, "alike": float, "forward_p": float, "direction_p": float, "agreement": float,
        "detectable": float, "forward_q": float, "direction_q": float, "answer": str,
    },
    "pairs": {
        "factor": str, "gene": str, "group": str, "forward": float, "reverse": float, "forward_change": float,
        "reverse_change": float,
    },
    "doses": {"factor": str, "gene": str, "group": str, "quantile": float, "forward": float, "reverse": float},
    "preset": {"gene": str, "group": str, "way": str, "feature": int, "alpha": float, "effect": float, "cells": int},
}  # fmt: skip
"""Tables and their columns.

- factors: ``regulation.inference.factor_rows``.
- pairs: effects of each factor on its targets and on the genes matched to them, and back, balanced and (``_change``)
  as they are, in log1p of counts per ten thousand; the group is ``target`` or ``matched``.
- doses: the same of the first factor before balancing, at each dose.
- preset: features at one token turned by themselves, and the change at the other; way is ``forward`` or ``reverse``.
"""


@dataclass(frozen=True)
class OneFactor:
    """A factor that was asked for by name, against its matched genes by permutation within sets."""

    factor: str
    measure: str
    targets: int
    detectable: float
    """Difference of the AUROC from one half that would be found with 80 % power."""
    value: float
    mean: float
    interval: tuple[float, float]
    """95 % of what genes in the targets' place at random give."""
    p: float
    draws: int


@dataclass(frozen=True)
class Committees:
    """Regulators of one target raised together."""

    targets: int
    members: float
    """Mean number of regulators."""
    sets: int
    """Matched sets beside each."""
    value: float
    """Mean share of matched sets that move the target less."""
    p: float
    """Sign flips by target."""


@dataclass(frozen=True)
class Design:
    """What was asked, before anything was measured."""

    factors: list[str]
    missing: dict[str, str]
    """Factors that were left out, and why."""
    dropped: dict[str, int]
    """Literature edges that were left out, by reason."""
    edges: int
    """Edges that were asked about."""
    genes: int
    context: int
    types: dict[str, int]
    """Cells of each type."""
    doses: list[float]
    """Quantiles; the last one is judged."""
    rows: int
    """Rows that went through the model."""
    seconds: float
    without_edits: str = ""
    """Why no feature was turned at a token; empty where some were."""
    penalty: float | None = None
    """Of the ridge regression."""
    imbalance: dict[str, float] = field(default_factory=dict)
    """How much higher targets rank than their matches, as a share of the panel, by what they are matched by."""


@dataclass(frozen=True)
class Facts:
    """All that is no table."""

    design: Design
    overall: list[Overall] = field(default_factory=list)
    relabelled: list[Relabelled] = field(default_factory=list)
    one: list[OneFactor] = field(default_factory=list)
    committees: Committees | None = None
    measured: list[RankAgreement] = field(default_factory=list)
    regulators: list[MeanAgreement] = field(default_factory=list)
    """Perturbed regulators together."""
    unread: dict[str, str] = field(default_factory=dict)
    """Experiments that stand beside nothing, and why."""

    def of(self, measure: str, source: str = MODEL, probe: str = DOSE) -> Overall | None:
        """One measure over all factors."""
        found = (o for o in self.overall if (o.measure, o.source, o.probe) == (measure, source, probe))
        return next(found, None)

    def beside(self, measure: str) -> Relabelled | None:
        """The same among relabelled regulons."""
        return next((r for r in self.relabelled if r.measure == measure), None)


@dataclass(frozen=True, eq=False)
class Regulation:
    """The study's results."""

    facts: Facts
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    """By the names of ``COLUMNS``."""


def write(folder: Path, found: Regulation) -> list[Path]:
    """Write the study's folder."""
    paths = [write_record(folder / FILE, found.facts)]
    for name, table in found.tables.items():
        write_table(folder / f"{name}.parquet", cast(pd.DataFrame, table[list(COLUMNS[name])]))
        paths.append(folder / f"{name}.parquet")
    return paths


def read(folder: Path) -> Regulation:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    facts: Facts = read_record(Facts, folder / FILE)
    return Regulation(facts, {name: read_columns(folder / f"{name}.parquet", COLUMNS[name]) for name in COLUMNS})
