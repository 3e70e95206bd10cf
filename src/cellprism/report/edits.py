"""Reading what edits did: steering experiments and contrasts. What their files hold is said in ``inputs``."""

from pathlib import Path
from typing import Any

import pandas as pd

from cellprism.report.claims import Null
from cellprism.report.facts import (
    ContrastFacts,
    NamedGene,
    Ranked,
    Score,
    SteeredFeature,
    SteeringFacts,
)
from cellprism.report.files import interval, needed, read_columns, read_object, require
from cellprism.report.frames import where
from cellprism.report.verdict import Interval

EFFECT_COLUMNS = ["feature", "alpha", "gene", "effect", "baseline", "on_target"]
DOSE_COLUMNS = ["feature", "alpha", "on_target", "off_target", "response"]
TERM_COLUMNS = ["feature", "alpha", "direction", "genes", "term", "padj"]
PATH_COLUMNS = ["lambda", "n_above_0", "n_above_0.1", "n_above_0.3", "n_above_0.5", "validation_loss"]
GENE_COLUMNS = ["gene", "source_mean", "target_mean", "steered_mean", "gap_fraction", "direction"]
CELL_COLUMNS = ["cell", "projection_before", "projection_after", "closer"]
CONTRAST_FIELDS = ["objective", "source", "target", "output_kind", "lambda", "n_cells", "scores", "named"]
NULL_WORDS = {
    "shuffled_labels": "shuffled labels",
    "random_recipe": "random recipes of equal norm",
    "random_direction": "random directions of equal norm",
}
COMPETITORS = ("difference_of_means", "difference_of_means_per_gene")
JUDGED = "judged"


def read_steering(folder: Path) -> SteeringFacts:
    """One steering experiment: its doses and its summary."""
    path = folder / "summary.json"
    summary = needed(read_object(path, ["n_cells", "output_kind", "features"]), path)
    features, silent = [], []
    tables = _dose_tables(folder) if any(row.get("status") == JUDGED for row in summary["features"]) else []
    for row in summary["features"]:
        require(row, ["feature", "program", "status"], f"{path}, features")
        if row["status"] != JUDGED:
            silent.append(f"{row['program']}: {row.get('why') or row['status']}")
            continue
        genes, doses, terms = (where(table, table["feature"] == row["feature"]) for table in tables)
        steered = _steered(row, genes, doses, terms, f"{path}, feature {row['feature']}")
        if steered is None:
            silent.append(f"{row['program']}: no genes to compare")
        else:
            features.append(steered)
    return SteeringFacts(folder.name, summary["n_cells"], features, silent, summary["output_kind"])


def _dose_tables(folder: Path) -> list[pd.DataFrame]:
    """Effects, doses and terms; their columns are only there once a feature was judged."""
    columns = {"dose": EFFECT_COLUMNS, "doses": DOSE_COLUMNS, "terms": TERM_COLUMNS}
    paths = [folder / f"{name}.parquet" for name in columns]
    return [needed(read_columns(p, wanted), p) for p, wanted in zip(paths, columns.values(), strict=True)]


def read_contrast(folder: Path) -> ContrastFacts:
    """One contrast: its path of recipes, and what the chosen one did on cells kept aside."""
    path = folder / "summary.json"
    summary = needed(read_object(path, CONTRAST_FIELDS), path)
    columns = {
        "path": PATH_COLUMNS,
        "genes": GENE_COLUMNS,
        "cells": CELL_COLUMNS,
        "recipe": ["feature", "strength"],
    }
    tables = {
        name: needed(read_columns(folder / f"{name}.parquet", wanted), folder / f"{name}.parquet")
        for name, wanted in columns.items()
    }
    scores = {
        name: _score(row, f"{path}, {name}") for name, row in summary["scores"].items() if row["value"] is not None
    }
    named = {
        gene: NamedGene(
            gene,
            float(row["gap"]),
            float(row["gap_fraction"]),
            _span(row),
            _drawn("random edits of equal norm", row["random"]),
        )
        for gene, row in summary["named"].items()
        if row["measured"] and row["gap_fraction"] is not None
    }
    return ContrastFacts(
        objective=summary["objective"],
        source=summary["source"],
        target=summary["target"],
        n_test=summary["n_cells"]["test"]["source"],
        penalty=float(summary["lambda"]),
        path=tables["path"],
        genes=tables["genes"],
        cells=tables["cells"],
        recipe=tables["recipe"],
        scores=scores,
        named=named,
        quantity=summary["output_kind"],
    )


def _steered(
    row: dict[str, Any], genes: pd.DataFrame, doses: pd.DataFrame, terms: pd.DataFrame, place: str
) -> SteeredFeature | None:
    """None where its genes, or genes to match them, are missing, so that there is no response to judge."""
    require(row, ["judged_at", "edit_ratio", "response", "antisymmetry"], place)
    response = _ranked(row["response"], place)
    if response is None:
        return None
    own = row["response"].get("its_own") or {"mean": None, "low": None, "high": None}
    return SteeredFeature(
        feature=row["feature"],
        program=row["program"],
        judged_at=float(row["judged_at"]),
        response=response,
        its_own=_drawn("random features on their own genes", own),
        held_out=_ranked(row.get("held_out"), place),
        antisymmetry=_ranked(row["antisymmetry"], place),
        edit_ratio=float(row["edit_ratio"]),
        doses=doses,
        genes=genes,
        terms=terms,
    )


def _ranked(row: dict[str, Any] | None, place: str) -> Ranked | None:
    if row is None or row["value"] is None:
        return None
    require(row, ["random_feature", "random_direction"], place)
    features, directions = row["random_feature"], row["random_direction"]
    return Ranked(
        value=float(row["value"]),
        random_feature=_drawn("random features of equal firing and edit size", features),
        random_direction=_drawn("random directions of equal norm", directions),
        p=features["p"],
        n=features["n"],
        competitor=_number(row.get("difference_of_means")),
    )


def _drawn(name: str, null: dict[str, Any]) -> Null:
    return Null(name, _number(null["mean"]), _span(null))


def _score(row: dict[str, Any], place: str) -> Score:
    require(row, ["value", "low", "high"], place)
    nulls = {name: _drawn(words, row[name]) for name, words in NULL_WORDS.items() if row.get(name)}
    rivals = {name: float(row[name]) for name in COMPETITORS if row.get(name) is not None}
    short = _number((row.get("shuffled_labels") or {}).get("observed"))
    return Score(float(row["value"]), _span(row), nulls, rivals, short)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _span(row: dict[str, Any]) -> Interval | None:
    return None if row["low"] is None or row["high"] is None else interval((row["low"], row["high"]))
