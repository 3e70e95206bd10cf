"""How well the run's autoencoder stands for the model: firing, fit per class of genes, loss recovered, other cells."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from cellprism.cells.read import read_cells
from cellprism.errors import ModelError
from cellprism.features.baselines import untrained_sae
from cellprism.features.classes import fit_by_class
from cellprism.features.evaluate import evaluate_at
from cellprism.features.splice import loss_recovered
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.atomic import write_json
from cellprism.workflow.config import RunConfig
from cellprism.workflow.training import source_identity
from cellprism.workflow.workbench import Workbench

DECADES = 6  # of firing rates shown; a feature that fires less often than once in a million tokens counts as silent


def measure_settings(config: RunConfig) -> dict[str, object]:
    """What decides the measures."""
    return {**asdict(config.measure), "other": source_identity(config.measure.other), "seed": config.seed}


def measure(bench: Workbench) -> list[Path]:
    """Measure the run's autoencoder beside an untrained one; everything goes to ``measures.json``."""
    asked, sae = bench.config.measure, bench.sae
    with bench.bar("measuring the autoencoder", None):
        found: dict[str, Any] = {
            "tokens": bench.model.tokens,
            "firing": firing_histogram(sae),
            "classes": _classes(bench),
            "loss_recovered": _loss_recovered(bench),
            "other": None if not asked.other else _fit_elsewhere(bench, asked.other),
        }
    path = bench.layer_folder("sae") / "measures.json"
    write_json(path, found)
    return [path]


def firing_histogram(sae: SparseAutoencoder) -> dict[str, Any]:
    """Features by how often they fire: counts per quarter of a decade, and how many never do."""
    assert sae.firing_rate is not None, "training measures firing rates"
    rate = sae.firing_rate.double().numpy()
    edges = np.linspace(-DECADES, 0, 4 * DECADES + 1)
    fired = rate[rate > 0]
    counts, _ = np.histogram(np.log10(fired).clip(-DECADES, 0), edges)
    return {"log10_edges": edges.tolist(), "features": counts.tolist(), "never": int((rate == 0).sum())}


def _classes(bench: Workbench) -> list[dict[str, Any]] | dict[str, str]:
    """Fit per class of genes; the reason where there are none."""
    try:
        table = fit_by_class(bench.model, bench.sae, bench.cells, bench.config.layer)
    except ModelError as error:
        return {"absent": str(error)}
    return [{str(k): v for k, v in row.items()} for row in table.to_dict(orient="records")]


def _loss_recovered(bench: Workbench) -> dict[str, Any]:
    """Loss recovered by the autoencoder and by an untrained one of its shape; the reason where the model has none."""
    asked, config = bench.config.measure, bench.config
    some = bench.some_cells(asked.cells)
    pair = {"trained": bench.sae, "untrained": untrained_sae(bench.sae, config.seed)}
    try:
        found = {
            name: loss_recovered(bench.model, sae, some, config.layer, share=asked.hidden, seed=config.seed)
            for name, sae in pair.items()
        }
    except ModelError as error:
        return {"absent": str(error)}
    numbers = [
        n for one in found.values() for name in one.recovered for n in (one.recovered[name], *one.interval[name])
    ]
    if not np.isfinite(numbers).all():
        return {"absent": "taking the site away makes predictions no worse, so there is no loss to recover"}
    return {name: asdict(one) for name, one in found.items()}


def _fit_elsewhere(bench: Workbench, source: str) -> dict[str, Any]:
    """The fit on cells that the autoencoder was not trained on, beside an untrained one."""
    cells: AnnData = read_cells(source, bench.model)
    pair = {"trained": bench.sae, "untrained": untrained_sae(bench.sae, bench.config.seed)}
    fits = {name: evaluate_at(bench.model, sae, cells, bench.config.layer).summary() for name, sae in pair.items()}
    return {"source": source, "n_cells": cells.n_obs, **fits}
