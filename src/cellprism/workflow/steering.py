"""Turning the features of chosen programs up and down."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.enrich.programs import ProgramFeature, program_features
from cellprism.errors import ConfigError, ModelError
from cellprism.steering.dose import DoseResult, dose_sweep
from cellprism.steering.intervene import check_steerable
from cellprism.steering.readout import lacks_genes
from cellprism.store.atomic import write_json
from cellprism.store.tables import read_table, write_table
from cellprism.workflow.config import RunConfig
from cellprism.workflow.interpretation import Lists, firing_lists, list_background
from cellprism.workflow.workbench import Workbench

NO_FEATURE = "no feature found"
ABSENT = "absent.json"


def steer_settings(config: RunConfig) -> dict[str, object]:
    """What decides the sweep."""
    return {"steer": asdict(config.steer), "seed": config.seed}


def steer_programs(bench: Workbench) -> list[Path]:
    """Find the strongest feature of each program and sweep it; write ``steer/programs``.

    Where there are no effects on genes to read, ``steer/absent.json`` says why.
    """
    absent, why = bench.folder / "steer" / ABSENT, cannot_steer(bench)
    write_json(absent, {"programs": why} if why else {})
    if why:
        bench.say(f"nothing to steer: {why}")
        return [absent]
    F, lists = _features(bench)
    table = read_table(bench.layer_folder("terms") / "enrichment.parquet")
    chosen: dict[int, ProgramFeature] = {}
    missing: list[dict[str, Any]] = []
    for program in bench.config.steer.programs:
        found = program_features(table, bench.collection, F, lists, program)
        if found.feature is None or int(found.feature) in chosen:
            why = found.why if found.feature is None else f"its feature is that of {chosen[int(found.feature)].term!r}"
            missing.append({"feature": None, "program": program, "status": NO_FEATURE, "why": why})
        else:
            chosen[int(found.feature)] = found
    result = _sweep(bench, {f: lists[str(f)] for f in chosen}, {f: _others(bench, p, lists) for f, p in chosen.items()})
    rows = [
        {**row, "program": chosen[row["feature"]].term, "asked_for": chosen[row["feature"]].program,
         "padj": chosen[row["feature"]].padj, "why": chosen[row["feature"]].why}
        for row in result.summary
    ]  # fmt: skip
    return [absent, *_write(bench, "programs", result, rows + missing)]


def steer_feature(bench: Workbench, feature: int) -> list[Path]:
    """Sweep one feature given by number; write ``steer/feature-<number>``.

    Raises:
        ConfigError: there is no such feature, or it never fires.
        ModelError: the model has no effects on genes to read.
    """
    if why := cannot_steer(bench):
        raise ModelError(why)
    F, lists = _features(bench)
    if str(feature) not in lists:
        known = f"features run from 0 to {F.n_obs - 1}"
        raise ConfigError(f"feature {feature} does not exist or never fires in these cells; {known}")
    result = _sweep(bench, {feature: lists[str(feature)]}, {})
    label = read_table(bench.layer_folder("features") / "features.parquet").set_index("feature").loc[str(feature)]
    program = label["best_term"] or f"feature {feature} (no program)"
    return _write(bench, f"feature-{feature}", result, [{**row, "program": program} for row in result.summary])


def cannot_steer(bench: Workbench) -> str:
    """Why turning a feature up or down has no effects on genes that could be read; empty where it has."""
    try:
        check_steerable(bench.model, bench.sae, bench.config.layer)
    except ModelError as error:
        return str(error)
    return lacks_genes(bench.model)


def _features(bench: Workbench) -> tuple[AnnData, Lists]:
    """The run's features x genes, and the features' gene lists."""
    F = anndata.read_h5ad(bench.layer_folder("features") / "genes.h5ad")
    return F, firing_lists(F, list_background(F, bench.cells, bench.config.interpret.gene_filter))


def _sweep(bench: Workbench, programs: dict[int, tuple[str, ...]], held_out: dict[int, tuple[str, ...]]) -> DoseResult:
    config = bench.config
    cells = bench.some_cells(config.steer.cells)
    with bench.bar("turning features up and down", None):
        return dose_sweep(
            bench.model, bench.sae, cells, config.layer, programs,
            held_out={f: genes for f, genes in held_out.items() if genes},
            groups={f: group for f in programs if (group := _group(bench, f, cells)) is not None},
            collection=bench.collection, settings=config.steer.doses, seed=config.seed,
        )  # fmt: skip


def _others(bench: Workbench, found: ProgramFeature, lists: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Genes of the program that are not in the feature's own list: where an effect is not built in."""
    assert found.feature is not None
    assert found.term is not None
    own, measured = set(lists[found.feature]), set(bench.cells.var_names)
    return tuple(g for g in bench.collection[found.term] if g in measured and g not in own)


def _group(bench: Workbench, feature: int, cells: AnnData) -> np.ndarray | None:
    """The cells of the type in which the feature stands out, for the difference of means."""
    table = read_table(bench.layer_folder("features") / "features.parquet").set_index("feature")
    kind = table.loc[str(feature), "top_cell_type"]
    inside = (cells.obs["cell_type"] == kind).to_numpy() if kind else np.zeros(cells.n_obs, dtype=bool)
    return inside if 2 <= inside.sum() <= cells.n_obs - 2 else None


def _write(bench: Workbench, name: str, result: DoseResult, rows: list[dict[str, Any]]) -> list[Path]:
    folder = bench.folder / "steer" / name
    tables: dict[str, pd.DataFrame] = {
        "dose": result.effects, "doses": result.doses, "nulls": result.nulls, "terms": result.terms,
    }  # fmt: skip
    for kind, table in tables.items():
        write_table(folder / f"{kind}.parquet", table)
    n_cells = min(bench.config.steer.cells, bench.cells.n_obs)
    write_json(folder / "summary.json", {"n_cells": n_cells, "quantity": result.quantity, "features": rows})
    return [folder / f"{kind}.parquet" for kind in tables] + [folder / "summary.json"]
