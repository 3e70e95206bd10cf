"""Turning the features of chosen programs up and down."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import binom, binomtest

from cellprism.enrich.programs import ProgramFeature, program_features
from cellprism.errors import ConfigError, ModelError
from cellprism.report.claims import judgement
from cellprism.steering.dose import DoseResult, dose_sweep
from cellprism.steering.intervene import check_steerable
from cellprism.steering.model_output import lacks_genes
from cellprism.steering.settings import CONTROL
from cellprism.studies.programs.gene_lists import list_background
from cellprism.studies.programs.tables import Programs, lists_of, read_genes, signed_term
from cellprism.studies.shards import Shards, shards_of
from cellprism.studies.steer.beside import beside
from cellprism.studies.steer.pieces import Pieces
from cellprism.studies.steer.settings import SteerSettings
from cellprism.studies.steer.tables import JUDGED, PROGRAMS, Experiment, Steering, null_of_draws
from cellprism.studies.workbench import Workbench

NO_FEATURE = "no feature found"
NEEDS = ("cells", "train", "programs")
BY_CHANCE = 0.025  # of control features that lie above the others by the two-sided test at .05


def work(bench: Workbench, settings: SteerSettings) -> Steering:
    """Find the strongest feature of each program and sweep it; where there are no effects on genes to read, say why."""
    if why := cannot_steer(bench):
        bench.say(f"nothing to steer: {why}")
        return Steering(absent=why)
    programs: Programs = bench.results("programs")
    lists, collection = lists_of(programs), _collection(bench)
    F = read_genes(bench.folder_of("programs"))
    chosen: dict[int, ProgramFeature] = {}
    missing: list[dict[str, Any]] = []
    for program in settings.programs:
        found = program_features(programs.enrichment, collection, F, lists, program)
        if found.feature is None or int(found.feature) in chosen:
            why = found.why if found.feature is None else f"its feature is that of {chosen[int(found.feature)].term!r}"
            missing.append({"feature": None, "program": program, "status": NO_FEATURE, "why": why})
        else:
            chosen[int(found.feature)] = found
    others = {f: _others(bench, p, lists) for f, p in chosen.items()}
    terms = {f: found.term or "" for f, found in chosen.items()}
    cells, shards = bench.balanced_cells(settings.cells), _shards(bench, settings, terms, "program")
    result = _sweep(
        bench, settings, cells, programs, {f: lists[str(f)] for f in chosen}, others, terms, shards, by_program=True
    )
    shards.clear()
    rows = [_named(programs, row, chosen[row["feature"]]) for row in result.summary]
    return Steering([_experiment(cells, PROGRAMS, result, rows + missing)])


def steer_feature(bench: Workbench, settings: SteerSettings, feature: int) -> Experiment:
    """Sweep one feature given by number, as an experiment of its own.

    Raises:
        ConfigError: there is no such feature, or it never fires.
        ModelError: the model has no effects on genes to read.
    """
    if why := cannot_steer(bench):
        raise ModelError(why)
    programs: Programs = bench.results("programs")
    lists = lists_of(programs)
    if str(feature) not in lists:
        known = f"features run from 0 to {len(programs.features) - 1}"
        raise ConfigError(f"feature {feature} does not exist or never fires in these cells; {known}")
    term = str(programs.features.set_index("feature").loc[feature, "best_term"])
    cells, shards = bench.balanced_cells(settings.cells), _shards(bench, settings, {feature: term}, "number")
    result = _sweep(
        bench, settings, cells, programs, {feature: lists[str(feature)]}, {}, {feature: term}, shards, by_program=False
    )  # fmt: skip
    shards.clear()
    program = _signed(programs.features, feature, term) if term else f"feature {feature} (no program)"
    rows = [{**row, "program": program} for row in result.summary]
    return _experiment(cells, f"feature-{feature}", result, rows)


def cannot_steer(bench: Workbench) -> str:
    """Why turning a feature up or down has no effects on genes that could be read; empty where it has."""
    try:
        check_steerable(bench.model, bench.sae, bench.config.layer)
    except ModelError as error:
        return str(error)
    return lacks_genes(bench.model)


def together(rows: list[dict[str, Any]], nulls: pd.DataFrame) -> dict[str, Any] | None:
    """How many of the judged features move their genes beyond control features, beside how many control features would;
    None where none was judged. Intervals hold 95 %: Wilson's of the share, and of a binomial count, widened to its own
    mean where there are few."""
    judged = [row for row in rows if row["status"] == JUDGED and row["response"]["value"] is not None]
    if not judged:
        return None
    n, beat = len(judged), sum(_beats_controls(row, nulls) for row in judged)
    interval = binomtest(beat, n).proportion_ci(method="wilson")
    low, high = binom.interval(0.95, n, BY_CHANCE)
    return {
        "features": n, "beat_controls": beat, "share": beat / n,
        "interval": [float(interval.low), float(interval.high)], "null": BY_CHANCE,
        "null_interval": [min(float(low) / n, BY_CHANCE), max(float(high) / n, BY_CHANCE)],
    }  # fmt: skip


def _beats_controls(row: dict[str, Any], nulls: pd.DataFrame) -> bool:
    value = row["response"]["value"]
    null = null_of_draws("", value, nulls, row["feature"], CONTROL, "response")
    return judgement(value, None, null).verdict == "above chance" and not row["no_effect"]


def _named(programs: Programs, row: dict[str, Any], found: ProgramFeature) -> dict[str, Any]:
    """A feature's entry with the program that it was found for."""
    said = {"program": _signed(programs.features, row["feature"], found.term or ""), "asked_for": found.program}
    return {**row, **said, "padj": found.padj, "why": found.why}


def _signed(features: pd.DataFrame, feature: int, term: str) -> str:
    """A program's name for a feature, which says where its genes are low."""
    return signed_term(term, str(features.set_index("feature").loc[feature, "sign"]))


def _experiment(cells: AnnData, name: str, result: DoseResult, rows: list[dict[str, Any]]) -> Experiment:
    summary = {
        "n_cells": cells.n_obs, "read": result.read, "passes": result.passes,
        "features": rows,
        "together": together(rows, result.nulls) if name == PROGRAMS else None,
    }  # fmt: skip
    tables = (result.effects, result.doses, result.types, result.genes, result.nulls, result.terms)
    return Experiment(name, summary, *tables)


def _collection(bench: Workbench) -> Any:
    return bench.collection(bench.settings("programs").collection)


def _sweep(
    bench: Workbench, settings: SteerSettings, cells: AnnData, programs: Programs, own: dict[int, tuple[str, ...]],
    held_out: dict[int, tuple[str, ...]], terms: dict[int, str], shards: Shards, by_program: bool,
) -> DoseResult:  # fmt: skip
    sign = programs.features.set_index("feature")["sign"]
    F, gene_filter = read_genes(bench.folder_of("programs")), bench.settings("programs").gene_filter
    background = list_background(F, bench.cells, gene_filter)
    with bench.bar("turning features up and down", None):
        return dose_sweep(
            bench.model, bench.sae, cells, bench.config.layer, own,
            held_out={f: genes for f, genes in held_out.items() if genes},
            low=[f for f in own if sign[f] == "low"],
            groups={f: group for f in own if (group := _group(programs, f, cells)) is not None},
            beside=partial(beside, bench, programs, terms, by_program),
            collection=_collection(bench), background=background, settings=settings.doses,
            each=Pieces(bench, shards),
        )  # fmt: skip


def _shards(bench: Workbench, settings: SteerSettings, terms: dict[int, str], found_by: str) -> Shards:
    """Where the pieces of a sweep of these features lie until it is done."""
    return shards_of(bench, "steer", NEEDS, settings, features=sorted(terms.items()), found_by=found_by)


def _others(bench: Workbench, found: ProgramFeature, lists: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Genes of the program that are not in the feature's own list: where an effect is not built in."""
    assert found.feature is not None
    assert found.term is not None
    own, measured = set(lists[found.feature]), set(bench.cells.var_names)
    return tuple(g for g in _collection(bench)[found.term] if g in measured and g not in own)


def _group(programs: Programs, feature: int, cells: AnnData) -> np.ndarray | None:
    """The cells of the type in which the feature stands out, for the difference of means."""
    kind = programs.features.set_index("feature").loc[feature, "top_cell_type"]
    inside = (cells.obs["cell_type"] == kind).to_numpy() if kind else np.zeros(cells.n_obs, dtype=bool)
    return inside if 2 <= inside.sum() <= cells.n_obs - 2 else None
