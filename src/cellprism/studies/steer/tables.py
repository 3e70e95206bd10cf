"""What steering did: ``steer/<experiment>/`` with doses and effects, and ``steer/absent.json``.

The experiment ``programs`` is the run's own; others are single features that somebody asked for.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellprism.equations.effects import permutation_p
from cellprism.report.claims import Null
from cellprism.store.atomic import write_json
from cellprism.store.tables import write_table
from cellprism.studies.files import objects_of, read_columns, read_object, require, subfolders

ABSENT, SUMMARY, PROGRAMS = "absent.json", "summary.json", "programs"
JUDGED = "judged"
COLUMNS = {
    "effects": {
        "feature": int, "alpha": float, "gene": str, "effect": float, "direct": float, "rises": float, "falls": float,
        "baseline": float, "on_target": bool,
    },
    "doses": {"feature": int, "alpha": float, "on_target": float, "off_target": float, "response": float},
    "types": {
        "feature": int, "alpha": float, "cell_type": str, "cells": int, "on_target": float, "off_target": float,
        "response": float,
    },
    "genes": {"gene": str, "cells": int, "counts": float, "read": float, "seen": float},
    "nulls": {
        "feature": int, "kind": str, "response": float, "propagated": float, "held_out": float, "antisymmetry": float,
    },
    "terms": {"feature": int, "alpha": float, "direction": str, "genes": int, "term": str, "padj": float},
}  # fmt: skip
"""Columns of each table; they are only there once a feature was judged, of ``nulls`` once one had an effect."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """Some features, turned up and down; the tables are those of ``DoseResult``."""

    name: str
    summary: dict[str, Any]
    """n_cells; read (``hidden`` or ``visible``: where genes were read); passes (of a cell through the model); features:
    the entries of ``DoseResult.summary``, each with its program; together: how many of them move their genes beyond
    control features (``work.together``), or None where none was judged."""
    effects: pd.DataFrame
    doses: pd.DataFrame
    types: pd.DataFrame
    genes: pd.DataFrame
    nulls: pd.DataFrame
    terms: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Steering:
    """The study's results."""

    experiments: list[Experiment] = field(default_factory=list)
    """The run's own first."""
    absent: str = ""
    """Why there is nothing to steer."""


def write(folder: Path, found: Steering) -> list[Path]:
    """Write the study's folder."""
    write_json(folder / ABSENT, {PROGRAMS: found.absent} if found.absent else {})
    return [folder / ABSENT, *(path for one in found.experiments for path in write_experiment(folder, one))]


def write_experiment(folder: Path, found: Experiment) -> list[Path]:
    """Write one experiment into its folder."""
    paths = [folder / found.name / f"{name}.parquet" for name in COLUMNS]
    for path, name in zip(paths, COLUMNS, strict=True):
        write_table(path, getattr(found, name))
    write_json(folder / found.name / SUMMARY, found.summary)
    return [*paths, folder / found.name / SUMMARY]


def read(folder: Path) -> Steering:
    """Read the study's folder. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    found = [_experiment(place) for place in subfolders(folder)]
    absent = read_object(folder / ABSENT, ()).get(PROGRAMS, "")
    return Steering(sorted(found, key=lambda one: (one.name != PROGRAMS, one.name)), absent)


def _experiment(folder: Path) -> Experiment:
    path = folder / SUMMARY
    summary = read_object(path, ["n_cells", "read", "passes", "features", "together"])
    for row in objects_of(summary, "features", ["feature", "program", "status"], path):
        require(row, ["response", "no_effect"] if row["status"] == JUDGED else [], f"{path}, feature {row['feature']}")
    judged = [row for row in summary["features"] if row["status"] == JUDGED]
    wanted = {name: columns if judged else {} for name, columns in COLUMNS.items()}
    if all(row["no_effect"] for row in judged):
        wanted["nulls"] = {}
    tables = {name: read_columns(folder / f"{name}.parquet", columns) for name, columns in wanted.items()}
    return Experiment(folder.name, summary, **tables)


def null_of_draws(name: str, value: float, nulls: pd.DataFrame, feature: int, kind: str, column: str) -> Null:
    """What the draws of one kind beside a feature say of its value; those without a value are left out."""
    drawn = np.empty(0)
    if len(nulls):
        drawn = (
            nulls.loc[(nulls["feature"] == feature) & (nulls["kind"] == kind), column].dropna().to_numpy(dtype=float)
        )
    if not drawn.size:
        return Null(name, None, None)
    low, high = np.quantile(drawn, [0.025, 0.975])
    p = permutation_p(value, drawn)
    return Null(name, float(drawn.mean()), (float(low), float(high)), p, int(drawn.size))
