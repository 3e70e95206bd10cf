"""Turning the features of chosen programs up and down."""

from typing import Any

import numpy as np
from anndata import AnnData
from scipy.stats import binom, binomtest

from cellprism.enrich.programs import ProgramFeature, program_features
from cellprism.errors import ConfigError, ModelError
from cellprism.report.verdict import judge, not_significant
from cellprism.steering.dose import DoseResult, dose_sweep
from cellprism.steering.intervene import check_steerable
from cellprism.steering.model_output import lacks_genes
from cellprism.studies.programs.tables import Programs, lists_of, read_genes
from cellprism.studies.steer.settings import SteerSettings
from cellprism.studies.steer.tables import JUDGED, PROGRAMS, Experiment, Steering
from cellprism.studies.workbench import Workbench

NO_FEATURE = "no feature found"
BY_CHANCE = 0.025  # of random features that lie above the central 95 % of random features


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
    result = _sweep(bench, settings, programs, {f: lists[str(f)] for f in chosen}, others)
    rows = [
        {**row, "program": chosen[row["feature"]].term, "asked_for": chosen[row["feature"]].program,
         "padj": chosen[row["feature"]].padj, "why": chosen[row["feature"]].why}
        for row in result.summary
    ]  # fmt: skip
    return Steering([_experiment(bench, settings, PROGRAMS, result, rows + missing)])


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
    result = _sweep(bench, settings, programs, {feature: lists[str(feature)]}, {})
    label = programs.features.set_index("feature").loc[feature, "best_term"]
    program = label or f"feature {feature} (no program)"
    rows = [{**row, "program": program} for row in result.summary]
    return _experiment(bench, settings, f"feature-{feature}", result, rows)


def cannot_steer(bench: Workbench) -> str:
    """Why turning a feature up or down has no effects on genes that could be read; empty where it has."""
    try:
        check_steerable(bench.model, bench.sae, bench.config.layer)
    except ModelError as error:
        return str(error)
    return lacks_genes(bench.model)


def together(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How many of the judged features move their genes beyond 95 % of random features, beside how many random features
    would; None where none was judged. Intervals hold 95 %: Wilson's of the share, and of a binomial count, widened to
    its own mean where there are few."""
    judged = [row["response"] for row in rows if row["status"] == JUDGED and row["response"]["value"] is not None]
    if not judged:
        return None
    n, beat = len(judged), sum(_beats_random(response) for response in judged)
    interval = binomtest(beat, n).proportion_ci(method="wilson")
    low, high = binom.interval(0.95, n, BY_CHANCE)
    return {
        "features": n, "beat_random": beat, "share": beat / n, "interval": [float(interval.low), float(interval.high)],
        "null": BY_CHANCE, "null_interval": [min(float(low) / n, BY_CHANCE), max(float(high) / n, BY_CHANCE)],
    }  # fmt: skip


def _beats_random(response: dict[str, Any]) -> bool:
    null = response["random_feature"]
    interval = None if null["low"] is None else (null["low"], null["high"])
    above = judge(response["value"], None, interval).verdict == "above chance"
    return above and not not_significant(response["value"], interval, null["p"], null["n"])


def _experiment(
    bench: Workbench, settings: SteerSettings, name: str, result: DoseResult, rows: list[dict[str, Any]]
) -> Experiment:
    summary = {
        "n_cells": min(settings.cells, bench.cells.n_obs), "read": result.read, "passes": result.passes,
        "features": rows,
        "together": together(rows) if name == PROGRAMS else None,
    }  # fmt: skip
    return Experiment(name, summary, result.effects, result.doses, result.nulls, result.terms)


def _collection(bench: Workbench) -> Any:
    return bench.collection(bench.settings("programs").collection)


def _sweep(
    bench: Workbench, settings: SteerSettings, programs: Programs, own: dict[int, tuple[str, ...]],
    held_out: dict[int, tuple[str, ...]],
) -> DoseResult:  # fmt: skip
    cells = bench.some_cells(settings.cells)
    with bench.bar("turning features up and down", None):
        return dose_sweep(
            bench.model, bench.sae, cells, bench.config.layer, own,
            held_out={f: genes for f, genes in held_out.items() if genes},
            groups={f: group for f in own if (group := _group(programs, f, cells)) is not None},
            collection=_collection(bench), settings=settings.doses, seed=bench.config.seed,
        )  # fmt: skip


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
