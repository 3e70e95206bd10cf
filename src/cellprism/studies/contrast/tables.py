"""What contrasts found: ``contrast/<objective>/`` with a recipe and its scores, and ``contrast/absent.json``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cellprism.steering.settings import OBJECTIVES
from cellprism.store.atomic import write_json
from cellprism.store.tables import write_table
from cellprism.studies.files import objects_of, read_columns, read_object, subfolders

ABSENT, SUMMARY = "absent.json", "summary.json"
FIELDS = [
    "objective",
    "source",
    "target",
    "lambda",
    "n_cells",
    "recipe_sizes",
    "read",
    "passes",
    "gaps",
    "scores",
    "named",
]
COLUMNS = {
    "path": {
        "lambda": float, "n_above_0": int, "n_above_0.1": int, "n_above_0.3": int, "n_above_0.5": int,
        "validation_loss": float,
    },
    "genes": {
        "gene": str, "source_mean": float, "target_mean": float, "steered_mean": float, "gap_fraction": float,
        "direction": str,
    },
    "cells": {"cell": str, "projection_before": float, "projection_after": float, "closer": bool},
    "recipe": {"feature": int, "strength": float},
    "trials": {"kind": str, "replicate": int, "dose": float},
}  # fmt: skip
"""Columns of each table that the page needs."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """One objective's recipe and what became of it; tables and summary are those of ``ContrastResult``."""

    summary: dict[str, Any]
    path: pd.DataFrame
    genes: pd.DataFrame
    cells: pd.DataFrame
    recipe: pd.DataFrame
    trials: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Contrasts:
    """The study's results."""

    recipes: list[Recipe] = field(default_factory=list)
    """In the order of the objectives."""
    absent: dict[str, str] = field(default_factory=dict)
    """Objectives without a meaning for the model, each with the reason."""


def write(folder: Path, found: Contrasts) -> list[Path]:
    """Write the study's folder."""
    write_json(folder / ABSENT, found.absent)
    files = [folder / ABSENT]
    for one in found.recipes:
        place = folder / one.summary["objective"]
        for name in COLUMNS:
            write_table(place / f"{name}.parquet", getattr(one, name))
        write_json(place / SUMMARY, one.summary)
        files += [place / SUMMARY, *(place / f"{name}.parquet" for name in COLUMNS)]
    return files


def read(folder: Path) -> Contrasts:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    found = [_recipe(place) for place in subfolders(folder)]
    order = {name: place for place, name in enumerate(OBJECTIVES)}
    found.sort(key=lambda one: (order.get(one.summary["objective"], len(order)), one.summary["objective"]))
    return Contrasts(found, read_object(folder / ABSENT, ()))


def _recipe(folder: Path) -> Recipe:
    summary = read_object(folder / SUMMARY, FIELDS)
    objects_of(summary, "scores", ["value", "low", "high"], folder / SUMMARY)
    tables = {name: read_columns(folder / f"{name}.parquet", columns) for name, columns in COLUMNS.items()}
    return Recipe(summary, **tables)
