"""Reading the cells, and training the autoencoder with its controls."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from cellprism.cells.read import read_cells
from cellprism.features.baselines import untrained_sae
from cellprism.features.tokens import residual_tokens
from cellprism.features.train import train_sae
from cellprism.models.aido_files import WEIGHTS
from cellprism.models.registry import model_location
from cellprism.sae.evaluate import evaluate
from cellprism.store.atomic import read_json, replacing, sha256, write_json
from cellprism.store.run import digest
from cellprism.workflow.config import RunConfig
from cellprism.workflow.tracking import tracking
from cellprism.workflow.workbench import Workbench

CONTROL_CELLS = 200  # enough tokens to place an untrained autoencoder's fit to the third digit


def cells_settings(config: RunConfig) -> dict[str, object]:
    """What decides which cells a run has: names, and the bytes of the files that they name."""
    cells, model = source_identity(config.cells), source_identity(model_location(config.model))
    return {"cells": cells, "labels": config.labels, "pool": config.pool, "model": model}


def prepare_cells(bench: Workbench) -> list[Path]:
    """Read, check and align the cells; write ``cells.h5ad`` and ``model.json``."""
    config, model = bench.config, bench.model
    named = [t for t in (config.contrast.source, config.contrast.target) if t and t not in config.pool]
    types = [*named, *(label for labels in config.pool.values() for label in labels)]
    cells = read_cells(config.cells, model, labels=config.labels or None, types=types)
    if config.pool:
        together = {label: name for name, labels in config.pool.items() for label in labels}
        cells.obs["cell_type"] = cells.obs["cell_type"].astype(str).replace(together).astype("category")
    paths = [bench.folder / "cells.h5ad", bench.folder / "model.json"]
    with replacing(paths[0]) as scratch:
        cells.write_h5ad(scratch, compression="gzip")
    facts = {name: getattr(model, name) for name in ("name", "revision", "licence", "n_layers", "d_model")}
    write_json(paths[1], {**facts, "n_genes": len(model.genes), "card": model.card})
    return paths


def train_settings(config: RunConfig) -> dict[str, object]:
    """What decides the autoencoder."""
    return {"train": asdict(config.train), "layer": config.layer, "seed": config.seed}


def train(bench: Workbench) -> list[Path]:
    """Train the autoencoder on the run's cells; its measures beside an untrained one's go to ``metrics.json``."""
    config = bench.config
    title = "training the autoencoder"
    with bench.bar(title, None) as advance, tracking(bench.track, bench.folder, asdict(config)) as track:

        def progress(done: int, figures: Mapping[str, int | float]) -> None:
            advance(done, f"explained {figures['explained_variance']:.3f}, {figures['l0']:.1f} features a token")
            track(done, figures)

        sae = train_sae(
            bench.model, bench.cells, config.layer, config.train, config.seed, bench.folder, progress=progress
        )
    folder = bench.layer_folder("sae")
    some = bench.some_cells(CONTROL_CELLS)
    pairs = ((x, gene) for x, gene, _ in residual_tokens(bench.model, some, config.layer, 32))
    control = evaluate(untrained_sae(sae, config.seed), pairs)
    metrics = read_json(folder / "metrics.json")
    write_json(folder / "metrics.json", {**metrics, "controls": {"untrained": control.explained_variance}})
    return sorted(p for p in folder.iterdir() if p.is_file())


def source_identity(source: str) -> object:
    """What a name stands for: the hashes of the file or folder where it is one, else the name itself."""
    path = Path(source)
    if (path / WEIGHTS).is_file():
        path = path / WEIGHTS  # a model's card may be rewritten without changing the model
    if path.is_file():
        return sha256(path)
    if path.is_dir():
        return digest({p.name: sha256(p) for p in sorted(path.iterdir()) if p.is_file()})
    return source
