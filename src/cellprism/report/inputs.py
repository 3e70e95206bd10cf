"""What the page reads from a run folder: every file, every column and every field that it needs, in one
place.

A file that is not there makes its reader return None: that step was not run, and the page says so. A file
that is
there but lacks a column or field is damaged, and the error names it. Nothing else of a run is looked at.

Files, with ``L1`` standing for the layer; all intervals are 95 %.

``run.json``
    settings and versions, shown as they are
``cells.h5ad``
    ``uns["cellprism"]["source"]``; obs ``cell_type``, missing where there are no labels
``model.json``
    name, revision, licence, n_layers, d_model, n_genes, card. The card may hold data (text), limits [text]
    and assessment (``models.assess.Assessment``: masked {methods {model, ridge, type mean, gene mean: {mse,
    of_gene_mean, interval, minus_model}}, test_cells}, cell_types {readout {residuals, raw expression,
    untrained network: {accuracy, interval}}, largest_type}, neighbours and neighbours_at_start {gene: [genes]}), or
    that of a latent model (``models.latent.assess``: reconstruction {method: {gain, interval}}, cell_types with vectors
    in place of residuals, test_cells)
``sae/L1/cfg.json``
    d_sae (number of features), k
``sae/L1/metrics.json``
    ``SaeMeasures.summary``: explained_variance, explained_within (null where not centred), l0, dead_share,
    dense_share; and controls {name: explained_variance of that control}, names untrained, gene_mean or words
``sae/L1/measures.json``
    tokens (genes, cells); firing {log10_edges, features, never}; classes [{class, genes, tokens, variance_share,
    error_share, explained_variance}] or {absent: why}; loss_recovered {trained, untrained: {cells,
    share_hidden, recovered and interval by ablation, mean or gene_mean}} or {absent: why}; other {source, trained,
    untrained} or null
``sae/L1/history.parquet``
    ``SparseAutoencoder.history``: step, mse
``features/L1/features.parquet``
    feature, firing_rate, participation_ratio, set_size, top_genes (comma-separated, best first), best_term,
    best_padj, n_terms, gene_share, state_share, top_cell_type
``features/L1/cells.h5ad``
    cells x features in the order of features.parquet; obs ``cell_type``, missing where there are no labels;
    ``uns["cellprism"]["tokens"]`` (genes, cells)
``terms/L1/rates.json``
    rows [{name, rate, interval, replicates, n_lists, mean_set_size, distinct_terms}], some
    with excess and excess_interval; names features, uniform, popularity, gene_use, coexpression, untrained,
    neurons or words; family, alpha, collection, n_terms, background_size
``steer/absent.json``, ``contrast/absent.json``
    {what: why it has no meaning for this model}; empty or missing where everything has
``steer/<name>/dose.parquet``
    ``DoseResult.effects``: feature, alpha, gene, effect, baseline, on_target
``steer/<name>/doses.parquet``
    ``DoseResult.doses``: feature, alpha, on_target, off_target, response
``steer/<name>/terms.parquet``
    ``DoseResult.terms``: feature, alpha, direction, genes, term, padj
``steer/<name>/summary.json``
    n_cells, output_kind (expression, token_logit), features: the entries of ``DoseResult.summary``, each with its
    program: feature, program, status, judged_at, edit_ratio, response and antisymmetry {value, random_feature,
    random_direction {mean, low, high, p, n}, difference_of_means}, response.its_own; held_out where there is one
``contrast/<objective>/path.parquet``
    ``ContrastResult.path``: lambda, n_above_0, n_above_0.1, n_above_0.3, n_above_0.5, validation_loss
``contrast/<objective>/genes.parquet``
    gene, source_mean, target_mean, steered_mean, gap_fraction, direction (up, down)
``contrast/<objective>/cells.parquet``
    cell, projection_before, projection_after (0 the source's mean, 1 the target's), closer
``contrast/<objective>/recipe.parquet``
    feature, strength
``contrast/<objective>/summary.json``
    ``ContrastResult.summary``: objective, source, target, output_kind (expression, token_logit, nothing), lambda,
    n_cells {test {source}}, scores {name: {value, low, high, shuffled_labels, random_recipe, random_direction
    {mean, low, high}, difference_of_means}} (shuffled_labels.observed: the true labels' score in an equally short
    search), named
    {gene: {measured, gap, gap_fraction, low, high, random {mean, low, high}}}
"""

from collections import Counter
from pathlib import Path
from typing import Any

from cellprism.errors import DamagedError, RunError
from cellprism.report.edits import read_contrast, read_steering
from cellprism.report.facts import (
    CellFacts,
    ContrastFacts,
    FeatureFacts,
    MaskedError,
    Measure,
    MeasureFacts,
    ModelFacts,
    RateFacts,
    RunFacts,
    SpliceFacts,
    TrainingFacts,
)
from cellprism.report.files import (
    UNLABELLED,
    cell_types,
    interval,
    read_columns,
    read_h5ad,
    read_object,
    require,
    subfolders,
)
from cellprism.report.specificity import between_types, type_contrast

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
        record=read_object(folder / "run.json", []) or {},
        cells=read_cells(folder / "cells.h5ad"),
        model=read_model(folder / "model.json"),
        training=None if layer is None else read_training(folder / "sae" / f"L{layer}"),
        features=None if layer is None else read_features(folder / "features" / f"L{layer}"),
        rates=None if layer is None else read_rates(folder / "terms" / f"L{layer}" / "rates.json"),
        steering=[read_steering(f) for f in subfolders(folder / "steer")],
        contrasts=sorted((read_contrast(f) for f in subfolders(folder / "contrast")), key=_objective_order),
        absent={step: why for step in ("steer", "contrast") if (why := read_absent(folder / step / "absent.json"))},
    )


def read_absent(path: Path) -> str:
    """Why the model has nothing to show for a step, or for a part of it; empty where it has."""
    return " ".join(f"{what.capitalize()}: {why}." for what, why in (read_object(path, []) or {}).items())


def read_cells(path: Path) -> CellFacts | None:
    """Counts of cells, genes and types; the count matrix itself stays on disk."""
    if not path.exists():
        return None
    cells = read_h5ad(path, backed="r")
    types = cell_types(cells)
    source = cells.uns.get("cellprism", {}).get("source", "")
    facts = CellFacts(str(source), cells.n_obs, cells.n_vars, dict(Counter(types.tolist()).most_common()))
    cells.file.close()
    return facts


def read_model(path: Path) -> ModelFacts | None:
    """The model and its card."""
    words = ("name", "revision", "licence", "n_layers", "d_model", "n_genes")
    model = read_object(path, [*words, "card"])
    if model is None:
        return None
    card = model["card"]
    assessment = card.get("assessment", {})
    masked = assessment.get("masked", {})
    types = assessment.get("cell_types", {})
    return ModelFacts(
        **{name: model[name] for name in words},
        data=card.get("data", ""),
        limits=tuple(card.get("limits", ())),
        held_out={name: _masked_error(row, f"{path}, {name}") for name, row in masked.get("methods", {}).items()},
        n_held_out=masked.get("test_cells", assessment.get("test_cells")),
        cell_types=_readouts(types, path),
        neighbours=assessment.get("neighbours", {}),
        neighbours_at_start=assessment.get("neighbours_at_start", {}),
        reconstruction={
            name: _gain(row, f"{path}, {name}") for name, row in assessment.get("reconstruction", {}).items()
        },
    )


def read_training(folder: Path) -> TrainingFacts | None:
    """The autoencoder's fit and its training curve."""
    fields = ["explained_variance", "explained_within", "l0", "dead_share", "dense_share", "controls"]
    metrics = read_object(folder / "metrics.json", fields)
    config = read_object(folder / "cfg.json", ["d_sae"])
    history = read_columns(folder / "history.parquet", ["step", "mse"])
    if metrics is None or config is None or history is None:
        return None
    within = metrics.pop("explained_within")
    controls = dict(metrics.pop("controls"))
    if within is not None and within < 1:
        # Both are 1 - error / variance with one error, so their ratio is the variance left within genes.
        controls["gene_mean"] = 1 - (1 - metrics["explained_variance"]) / (1 - within)
    kept = {name: float(metrics[name]) for name in ("explained_variance", "l0", "dead_share", "dense_share")}
    k = float(config.get("k") or round(kept["l0"], 1))
    measures = read_measures(folder / "measures.json")
    return TrainingFacts(history, config["d_sae"], k, **kept, controls=controls, measures=measures)


def read_measures(path: Path) -> MeasureFacts | None:
    """What was measured of the autoencoder after its training."""
    found = read_object(path, ["tokens", "firing", "classes", "loss_recovered", "other"])
    if found is None:
        return None
    firing, classes, splice, other = (found[name] for name in ("firing", "classes", "loss_recovered", "other"))
    pair = None
    if "trained" in splice:
        trained = splice["trained"]
        ablation = "gene_mean" if "gene_mean" in trained["recovered"] else "mean"
        ours, control = (
            Measure(splice[name]["recovered"][ablation], tuple(splice[name]["interval"][ablation]))
            for name in ("trained", "untrained")
        )
        pair = SpliceFacts(ours, control, trained["cells"], trained["share_hidden"], ablation)
    return MeasureFacts(
        firing["log10_edges"],
        firing["features"],
        firing["never"],
        classes if isinstance(classes, list) else [],
        pair,
        splice.get("absent", ""),
        other and (other["source"], *(other[name]["explained_variance"] for name in ("trained", "untrained"))),
        found["tokens"],
    )


def read_features(folder: Path) -> FeatureFacts | None:
    """The table of features, and how they differ between cell types."""
    table = read_columns(folder / "features.parquet", FEATURE_COLUMNS)
    if table is None:
        return None
    table = table.assign(feature=table["feature"].astype(int))  # AnnData keeps names as text
    path = folder / "cells.h5ad"
    if not path.exists():
        return FeatureFacts(table, None, None, {})
    cells = read_h5ad(path)
    tokens = str(cells.uns["cellprism"].get("tokens", "genes"))
    if cells.n_vars != len(table):
        raise DamagedError(f"{path} has {cells.n_vars} features, features.parquet {len(table)}; rerun `interpret`")
    labels = cell_types(cells)
    known = labels != UNLABELLED
    labels = labels[known]
    counts = dict(Counter(labels.tolist()).most_common())
    if len(counts) < 2 or len(labels) <= len(counts):
        return FeatureFacts(table, None, None, counts, tokens)
    activation = cells.to_df().to_numpy(dtype=float)[known]
    found = between_types(activation, labels)
    table = table.assign(type_share=found.share, type_padj=found.padj)
    return FeatureFacts(table, type_contrast(activation, labels), found.chance, counts, tokens)


def read_rates(path: Path) -> RateFacts | None:
    """How often features, and lists made by chance, match a known program."""
    rates = read_object(path, ["rows", "family", "alpha", "collection", "n_terms", "background_size"])
    if rates is None:
        return None
    for row in rates["rows"]:
        require(row, RATE_FIELDS, f"{path}, row {row.get('name')!r}")
    return RateFacts(**{name: rates[name] for name in RateFacts.__dataclass_fields__})


def _masked_error(row: dict[str, Any], place: str) -> MaskedError:
    require(row, ["of_gene_mean", "interval", "minus_model", "mse"], place)
    unit = row["mse"] / row["of_gene_mean"]  # the gene means' own error, in which minus_model is not yet counted
    low, high = row["minus_model"]
    return MaskedError(float(row["of_gene_mean"]), interval(row["interval"]), (low / unit, high / unit))


def _gain(row: dict[str, Any], place: str) -> Measure:
    require(row, ["gain", "interval"], place)
    return Measure(float(row["gain"]), interval(row["interval"]))


def _readouts(types: dict[str, Any], path: Path) -> dict[str, Measure]:
    found = {}
    for name, row in types.get("readout", {}).items():
        require(row, ["accuracy", "interval"], f"{path}, {name}")
        found[name] = Measure(float(row["accuracy"]), interval(row["interval"]))
    if found and "largest_type" in types:
        found["largest type"] = Measure(float(types["largest_type"]))
    return found


def _objective_order(contrast: ContrastFacts) -> tuple[int, str]:
    """The paper's order: latent, expression, others."""
    known = ("latent", "expression")
    return (
        known.index(contrast.objective) if contrast.objective in known else len(known),
        contrast.objective,
    )


def _chosen_layer(folder: Path, layer: int | None) -> int | None:
    found = sorted({int(f.name[1:]) for kind in ("sae", "features", "terms") for f in subfolders(folder / kind)})
    if layer is None and len(found) > 1:
        raise RunError(
            f"{folder} holds layers {', '.join(map(str, found))}; say which to show, for example layer={found[0]}"
        )
    if layer is not None and layer not in found:
        raise RunError(f"{folder} has no layer {layer}; it has {', '.join(map(str, found)) or 'none yet'}")
    return layer if layer is not None else next(iter(found), None)
