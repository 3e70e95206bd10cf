"""Reading the cells, and training the autoencoder with its controls.

- Everything computes on the run's device.
- How many cells go through the model at once is planned for the memory that is free, and then kept in ``run.json``: a
  training that goes on later reads its cells in the same passes.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
from anndata import AnnData

from cellprism.cells.read import read_cells
from cellprism.enrich.labels import UNLABELLED
from cellprism.features.train import train_sae
from cellprism.report.context import CELLS, MODEL, CellFacts
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.distributed import is_first
from cellprism.sae.fit import Progress
from cellprism.store.atomic import write_json
from cellprism.store.h5ad import write_mapped_h5ad
from cellprism.store.place import as_given
from cellprism.studies.common import CommonConfig
from cellprism.studies.study import studies
from cellprism.studies.workbench import Workbench
from cellprism.types import StatesLimits
from cellprism.workflow.sources import cells_identity, model_identity, moved_name, settings_identity
from cellprism.workflow.tracking import tracking

FEW_STEPS = 300  # with fewer, most autoencoders are still improving fast


def cells_settings(config: CommonConfig) -> dict[str, object]:
    """What decides which cells a run has: names, and the bytes of the files that they name."""
    cells, model = cells_identity(config.cells), model_identity(config.model)
    named = ("labels", "counts", "totals", "only", "pool")
    options = settings_identity(config.model_options)
    return {"cells": cells, "model": model, "model_options": options, **{n: getattr(config, n) for n in named}}


def prepare_cells(bench: Workbench) -> list[Path]:
    """Read, check and align the cells; write ``cells.h5ad``, ``cells.json`` and ``model.json``."""
    config = bench.config
    named = [t for t in named_types(config) if t not in config.pool]
    types = [*named, *(label for labels in config.pool.values() for label in labels)]
    cells = read_cells(
        config.cells, bench.loaded, labels=config.labels or None, types=types, counts=config.counts or None,
        totals=config.totals or None, only=config.only,
    )  # fmt: skip
    cells.uns["cellprism"]["source"] = moved_name("cells", config.cells, lambda name: as_given(name, bench.folder))
    if config.pool:
        together = {label: name for name, labels in config.pool.items() for label in labels}
        cells.obs["cell_type"] = cells.obs["cell_type"].astype(str).replace(together).astype("category")
    paths = [bench.folder / "cells.h5ad", bench.folder / CELLS, bench.folder / MODEL]
    write_mapped_h5ad(paths[0], cells)
    model = bench.model  # only now: it may take its genes from the cells
    card, limits = dict(model.card), model.limits_on(cells) if isinstance(model, StatesLimits) else ()
    if limits:
        card["limits"] = [*card.get("limits", ()), *limits]
        bench.say("; ".join(limits))
    facts = {name: getattr(model, name) for name in ("name", "revision", "licence", "n_layers", "d_model")}
    said = {"tokens": model.tokens, "predicts": model.predicts}
    write_json(paths[1], asdict(_cell_facts(cells)))
    write_json(paths[2], {**facts, "n_genes": len(model.genes), **said, "card": card})
    return paths


def named_types(config: CommonConfig) -> list[str]:
    """Cell types that the sections of studies name, in fields of metadata ``cell_type``: refused at once if unknown."""
    sections = [getattr(config, name) for name in studies()]
    named = [getattr(s, f.name) for s in sections for f in fields(s) if f.metadata.get("cell_type")]
    return [name for name in named if name]


def _cell_facts(cells: AnnData) -> CellFacts:
    labels = cells.obs["cell_type"].astype(str) if "cell_type" in cells.obs else pd.Series([UNLABELLED] * cells.n_obs)
    types = {str(name): int(count) for name, count in labels.value_counts().items()}
    return CellFacts(str(cells.uns.get("cellprism", {}).get("source", "")), cells.n_obs, cells.n_vars, types)


def train_settings(config: CommonConfig) -> dict[str, object]:
    """What decides the autoencoder."""
    return {"train": asdict(config.train), "layer": config.layer, "seed": config.seed}


def train(bench: Workbench) -> list[Path]:
    """Train the autoencoder on the run's cells."""
    config = bench.config
    title = "training the autoencoder"
    with bench.bar(title, None) as advance, tracking(bench.track, bench.folder, asdict(config)) as track:

        def progress(done: int, figures: Mapping[str, int | float]) -> None:
            advance(done, f"explained {figures['explained_variance']:.3f}, {figures['l0']:.1f} features a token")
            track(done, figures)

        sae = trained(bench, progress)
    if sae.history is not None and len(sae.history) < FEW_STEPS:
        bench.say(
            f"{len(sae.history)} steps are few for an autoencoder to learn from: these cells make "
            f"{len(sae.history) // config.train.epochs} batches; raise train.epochs, or lower train.batch_size"
        )
    folder = bench.layer_folder("sae")
    return sorted(p for p in folder.iterdir() if p.is_file())


def trained(bench: Workbench, progress: Progress | None = None) -> SparseAutoencoder:
    """Train on the run's device; every process of a training that is shared calls this."""
    config = bench.config
    shared = config.train.tokens == "present" and config.train.target_layer is None  # else it reads others as well
    if shared and config.train.store and is_first():
        bench.say(bench.tokens.plan(store=True))
    return train_sae(
        bench.model, bench.cells, config.layer, config.train, config.seed, bench.folder,
        batch_size=bench.cells_a_pass(), progress=progress, cell_tokens=bench.tokens if shared else None,
    )  # fmt: skip
