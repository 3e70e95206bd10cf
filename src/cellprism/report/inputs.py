"""What the page reads from a run folder: every file, every column and every field that it needs, in one place.

A file that is not there makes its reader return None: that step was not run, and the page says so. A file that is
there but lacks a column or field is damaged, and the error names it. Nothing else of a run is looked at.

Files, with ``L1`` standing for the layer. Where a *measure* is asked for, the file holds
``{"value": number, "interval": [low, high] or null}``; intervals are 95 %.

=============================================  =====================================================================
``run.json``                                   free-form settings and versions, shown as they are
``cells.h5ad``                                 obs ``cell_type``; ``uns["cellprism"]["source"]`` and, optional, ``["mapping"]``
``model.json``                                 name, revision, licence, n_layers, d_model, n_genes, card {data, licence, limits [str],
                                               held_out {model, ridge, type_mean, gene_mean: measure of masked error, relative to gene_mean = 1},
                                               cell_types {model, raw, untrained, chance: measure of balanced accuracy},
                                               neighbours {gene: [nearest genes, best first]}}; each part of the card may be missing
``sae/L1/cfg.json``                            d_sae (number of features), k
``sae/L1/metrics.json``                        explained_variance, explained_within (null where not centred), l0, dead_share, dense_share
                                               (``SaeMeasures.summary``); controls {name: explained_variance of that control},
                                               names gene_mean, untrained or words
``sae/L1/history.parquet``                     step, mse (``SparseAutoencoder.history``)
``features/L1/features.parquet``               feature, firing_rate, participation_ratio, set_size, top_genes, best_term, best_padj,
                                               n_terms, gene_share, state_share, top_cell_type
``features/L1/cells.h5ad``                     cells x features in the order of features.parquet; obs ``cell_type``
``terms/L1/rates.json``                        rows [{name, rate, interval, replicates, n_lists, mean_set_size, distinct_terms}] with
                                               names features, uniform, popularity, coexpression, untrained, neurons or words; family, alpha, collection, n_terms, background_size
``steer/<name>/dose.parquet``                  feature, alpha, gene, effect, baseline, on_target (``DoseResult.effects``)
``steer/<name>/doses.parquet``                 feature, alpha, on_target, off_target, response (``DoseResult.doses``)
``steer/<name>/terms.parquet``                 feature, alpha, direction, genes, term, padj (``DoseResult.terms``)
``steer/<name>/summary.json``                  n_cells, features [one entry of ``DoseResult.summary`` each, plus program]: feature, program, status,
                                               judged_at, edit_ratio, response, antisymmetry {value, random_feature, random_direction
                                               {mean, low, high, p, n}, difference_of_means}, response.its_own; optional held_out
``contrast/<objective>/path.parquet``          lambda, n_above_0, n_above_0.1, n_above_0.3, n_above_0.5, validation_loss (1 = unsteered)
``contrast/<objective>/genes.parquet``         gene, source_mean, target_mean, steered_mean, gap_fraction, direction ("up", "down")
``contrast/<objective>/cells.parquet``         cell, projection_before, projection_after (0 = source's mean, 1 = target's), closer
``contrast/<objective>/recipe.parquet``        feature, strength
``contrast/<objective>/summary.json``          ``ContrastResult.summary``: objective, source, target, lambda, n_cells {test: {source}},
                                               scores {name: {value, low, high, <null>: {mean, low, high}, <competitor>: value}},
                                               named {gene: {measured, gap, gap_fraction, low, high, random {mean, low, high}}}
=============================================  =====================================================================
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import anndata
import numpy as np
import pandas as pd

from cellprism.errors import DamagedError, RunError
from cellprism.report.claims import Null
from cellprism.report.facts import (
    CellFacts,
    ContrastFacts,
    FeatureFacts,
    Measure,
    ModelFacts,
    NamedGene,
    Ranked,
    RateFacts,
    RunFacts,
    Score,
    SteeredFeature,
    SteeringFacts,
    TrainingFacts,
)
from cellprism.report.specificity import between_types, type_contrast
from cellprism.report.verdict import Interval
from cellprism.store.atomic import read_json
from cellprism.store.tables import read_table

FEATURE_COLUMNS = [
    "feature",
    "firing_rate",
    "participation_ratio",
    "set_size",
    "top_genes",
    "best_term",
    "best_padj",
    "n_terms",
    "gene_share",
    "state_share",
    "top_cell_type",
]
RATE_FIELDS = ["name", "rate", "interval", "replicates", "n_lists", "mean_set_size", "distinct_terms"]
EFFECT_COLUMNS = ["feature", "alpha", "gene", "effect", "baseline", "on_target"]
DOSE_COLUMNS = ["feature", "alpha", "on_target", "off_target", "response"]
TERM_COLUMNS = ["feature", "alpha", "direction", "genes", "term", "padj"]
PATH_COLUMNS = ["lambda", "n_above_0", "n_above_0.1", "n_above_0.3", "n_above_0.5", "validation_loss"]
GENE_COLUMNS = ["gene", "source_mean", "target_mean", "steered_mean", "gap_fraction", "direction"]
CELL_COLUMNS = ["cell", "projection_before", "projection_after", "closer"]
NULL_WORDS = {
    "shuffled_labels": "shuffled labels",
    "random_recipe": "random recipes of equal norm",
    "random_direction": "random directions of equal norm",
}
COMPETITORS = ("difference_of_means", "difference_of_means_per_gene")
JUDGED = "judged"
Found = TypeVar("Found")


def read_run(folder: Path, layer: int | None = None) -> RunFacts:
    """Everything a page needs from a run folder.

    Args:
        folder: the run folder; steps that were not run may be missing.
        layer: which layer to show, where the run has several.

    Raises:
        RunError: no such folder, no such layer, or several layers and none chosen.
        DamagedError: a file is not readable or lacks what the module docstring says it holds.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is no run folder; make one with `cellprism demo` or `cellprism run`")
    layer = _chosen_layer(folder, layer)
    return RunFacts(
        name=folder.resolve().name,
        layer=layer,
        record=_object(folder / "run.json", []) or {},
        cells=read_cells(folder / "cells.h5ad"),
        model=read_model(folder / "model.json"),
        training=None if layer is None else read_training(folder / "sae" / f"L{layer}"),
        features=None if layer is None else read_features(folder / "features" / f"L{layer}"),
        rates=None if layer is None else read_rates(folder / "terms" / f"L{layer}" / "rates.json"),
        steering=[read_steering(f) for f in _subfolders(folder / "steer")],
        contrasts=sorted((read_contrast(f) for f in _subfolders(folder / "contrast")), key=_objective_order),
    )


def read_cells(path: Path) -> CellFacts | None:
    """Counts of cells, genes and types; the count matrix itself stays on disk."""
    if not path.exists():
        return None
    cells = _h5ad(path, backed="r")
    types = _labels(cells, path)
    source = cells.uns.get("cellprism", {}).get("source", "")
    facts = CellFacts(
        str(source), cells.n_obs, cells.n_vars, {str(k): int(n) for k, n in types.value_counts().items()}
    )
    cells.file.close()
    return facts


def read_model(path: Path) -> ModelFacts | None:
    """The model and its card."""
    model = _object(path, ["name", "revision", "licence", "n_layers", "d_model", "n_genes", "card"])
    if model is None:
        return None
    card = model.pop("card")
    return ModelFacts(
        **{name: model[name] for name in ("name", "revision", "licence", "n_layers", "d_model", "n_genes")},
        data=card.get("data", ""),
        limits=tuple(card.get("limits", ())),
        held_out=_measures(card.get("held_out", {}), path),
        cell_types=_measures(card.get("cell_types", {}), path),
        neighbours=card.get("neighbours", {}),
    )


def read_training(folder: Path) -> TrainingFacts | None:
    """The autoencoder's fit and its training curve."""
    fields = ["explained_variance", "explained_within", "l0", "dead_share", "dense_share", "controls"]
    metrics = _object(folder / "metrics.json", fields)
    config = _object(folder / "cfg.json", ["d_sae", "k"])
    history = _table(folder / "history.parquet", ["step", "mse"])
    if metrics is None or config is None or history is None:
        return None
    within = metrics.pop("explained_within")
    controls = dict(metrics.pop("controls"))
    if within is not None and within < 1:
        # Both are 1 - error / variance with one error, so their ratio is the variance left within genes.
        controls["gene_mean"] = 1 - (1 - metrics["explained_variance"]) / (1 - within)
    kept = {name: metrics[name] for name in ("explained_variance", "l0", "dead_share", "dense_share")}
    return TrainingFacts(history, config["d_sae"], config["k"], **kept, controls=controls)


def read_features(folder: Path) -> FeatureFacts | None:
    """The table of features, and how they differ between cell types."""
    table = _table(folder / "features.parquet", FEATURE_COLUMNS)
    if table is None:
        return None
    path = folder / "cells.h5ad"
    if not path.exists():
        return FeatureFacts(table, None, None, {})
    cells = _h5ad(path)
    if cells.n_vars != len(table):
        raise DamagedError(
            f"{path} has {cells.n_vars} features, features.parquet {len(table)}; rerun `interpret`"
        )
    labels = _labels(cells, path)
    counts = {str(k): int(n) for k, n in labels.value_counts().items()}
    if len(counts) < 2 or len(labels) <= len(counts):
        return FeatureFacts(table, None, None, counts)
    activation = cells.X if isinstance(cells.X, np.ndarray) else cells.X.toarray()
    activation = np.asarray(activation, dtype=float)
    found = between_types(activation, labels.to_numpy())
    table = table.assign(type_share=found.share, type_padj=found.padj)
    return FeatureFacts(table, type_contrast(activation, labels.to_numpy()), found.chance, counts)


def read_rates(path: Path) -> RateFacts | None:
    """How often features, and lists made by chance, match a known program."""
    rates = _object(path, ["rows", "family", "alpha", "collection", "n_terms", "background_size"])
    if rates is None:
        return None
    for row in rates["rows"]:
        _require(row, RATE_FIELDS, f"{path}, row {row.get('name')!r}")
    return RateFacts(**{name: rates[name] for name in RateFacts.__dataclass_fields__})


def read_steering(folder: Path) -> SteeringFacts:
    """One steering experiment: its doses and its summary."""
    path = folder / "summary.json"
    summary = _needed(_object(path, ["n_cells", "features"]), path)
    columns = {"dose": EFFECT_COLUMNS, "doses": DOSE_COLUMNS, "terms": TERM_COLUMNS}
    tables = [
        _needed(_table(folder / f"{name}.parquet", needed), folder / f"{name}.parquet")
        for name, needed in columns.items()
    ]
    features, silent = [], []
    for row in summary["features"]:
        _require(row, ["feature", "program", "status"], f"{path}, features")
        if row["status"] != JUDGED:
            silent.append(row["program"])
            continue
        own = [table[table["feature"] == row["feature"]] for table in tables]
        features.append(_steered(row, *own, f"{path}, feature {row['feature']}"))
    return SteeringFacts(folder.name, summary["n_cells"], features, silent)


def read_contrast(folder: Path) -> ContrastFacts:
    """One contrast: its path of recipes, and what the chosen one did on cells kept aside."""
    path = folder / "summary.json"
    summary = _needed(
        _object(path, ["objective", "source", "target", "lambda", "n_cells", "scores", "named"]), path
    )
    columns = {
        "path": PATH_COLUMNS,
        "genes": GENE_COLUMNS,
        "cells": CELL_COLUMNS,
        "recipe": ["feature", "strength"],
    }
    tables = {
        name: _needed(_table(folder / f"{name}.parquet", needed), folder / f"{name}.parquet")
        for name, needed in columns.items()
    }
    scores = {
        name: _score(row, f"{path}, {name}")
        for name, row in summary["scores"].items()
        if row["value"] is not None
    }
    named = {
        gene: NamedGene(
            gene,
            row["gap"],
            row["gap_fraction"],
            _span(row),
            _drawn("random edits of equal norm", row["random"]),
        )
        for gene, row in summary["named"].items()
        if row["measured"] and row["gap_fraction"] is not None
    }
    words = {name: summary[name] for name in ("objective", "source", "target")}
    n_test = summary["n_cells"]["test"]["source"]
    return ContrastFacts(
        **words, n_test=n_test, penalty=summary["lambda"], **tables, scores=scores, named=named
    )


def _steered(
    row: dict[str, Any], genes: pd.DataFrame, doses: pd.DataFrame, terms: pd.DataFrame, place: str
) -> SteeredFeature:
    _require(row, ["judged_at", "edit_ratio", "response", "antisymmetry"], place)
    own = row["response"].get("its_own") or {"mean": None, "low": None, "high": None}
    return SteeredFeature(
        feature=row["feature"],
        program=row["program"],
        judged_at=row["judged_at"],
        response=_needed(_ranked(row["response"], place), Path(place)),
        its_own=_drawn("random features on their own genes", own),
        held_out=_ranked(row.get("held_out"), place),
        antisymmetry=_ranked(row["antisymmetry"], place),
        edit_ratio=row["edit_ratio"],
        doses=doses,
        genes=genes,
        terms=terms,
    )


def _ranked(row: dict[str, Any] | None, place: str) -> Ranked | None:
    if row is None or row["value"] is None:
        return None
    _require(row, ["random_feature", "random_direction"], place)
    features, directions = row["random_feature"], row["random_direction"]
    return Ranked(
        value=row["value"],
        random_feature=_drawn("random features of equal firing and edit size", features),
        random_direction=_drawn("random directions of equal norm", directions),
        p=features["p"],
        n=features["n"],
        competitor=row.get("difference_of_means"),
    )


def _drawn(name: str, null: dict[str, Any]) -> Null:
    return Null(name, null["mean"], _span(null))


def _score(row: dict[str, Any], place: str) -> Score:
    _require(row, ["value", "low", "high"], place)
    nulls = {name: _drawn(words, row[name]) for name, words in NULL_WORDS.items() if row.get(name)}
    rivals = {name: row[name] for name in COMPETITORS if row.get(name) is not None}
    return Score(row["value"], _span(row), nulls, rivals)


def _span(row: dict[str, Any]) -> Interval | None:
    return None if row["low"] is None or row["high"] is None else (row["low"], row["high"])


def _measures(rows: dict[str, Any], path: Path) -> dict[str, Measure]:
    for name, row in rows.items():
        if not isinstance(row, dict) or "value" not in row:
            raise DamagedError(
                f"{path}: {name} should be {{value, interval}}, found {row!r}; rerun the step that wrote it"
            )
    return {name: Measure(row["value"], _interval(row.get("interval"))) for name, row in rows.items()}


def _interval(pair: Any) -> Interval | None:
    return None if pair is None else (float(pair[0]), float(pair[1]))


def _objective_order(contrast: ContrastFacts) -> tuple[int, str]:
    """The paper's order: latent, expression, others."""
    known = ("latent", "expression")
    return (
        known.index(contrast.objective) if contrast.objective in known else len(known),
        contrast.objective,
    )


def _chosen_layer(folder: Path, layer: int | None) -> int | None:
    found = sorted(
        {int(f.name[1:]) for kind in ("sae", "features", "terms") for f in _subfolders(folder / kind)}
    )
    if layer is None and len(found) > 1:
        raise RunError(
            f"{folder} holds layers {', '.join(map(str, found))}; say which to show, for example layer={found[0]}"
        )
    if layer is not None and layer not in found:
        raise RunError(f"{folder} has no layer {layer}; it has {', '.join(map(str, found)) or 'none yet'}")
    return layer if layer is not None else next(iter(found), None)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir()) if folder.is_dir() else []


def _object(path: Path, fields: Sequence[str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedError(
            f"{path} should hold one JSON object, found {type(value).__name__}; rerun the step that wrote it"
        )
    _require(value, fields, str(path))
    return value


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    if not path.exists():
        return None
    table = read_table(path)
    _require(table.columns, columns, str(path))
    return table


def _require(present: Any, needed: Sequence[str], place: str) -> None:
    missing = [name for name in needed if name not in present]
    if missing:
        raise DamagedError(f"{place} lacks {', '.join(missing)}; rerun the step that wrote it")


def _needed(value: Found | None, path: Path) -> Found:
    if value is None:
        raise DamagedError(f"{path} is missing though its folder is there; rerun the step that writes it")
    return value


def _h5ad(path: Path, backed: Any = None) -> anndata.AnnData:
    try:
        return anndata.read_h5ad(path, backed=backed)
    except (OSError, KeyError) as error:
        raise DamagedError(
            f"{path} is not a readable h5ad file ({error}); rerun the step that wrote it"
        ) from error


def _labels(cells: anndata.AnnData, path: Path) -> pd.Series:
    if "cell_type" not in cells.obs:
        raise DamagedError(f"{path} lacks obs['cell_type']; rerun the step that wrote it")
    return cells.obs["cell_type"].astype(str)
