"""Reading the cells, and training the autoencoder with its controls.

- Training computes on the run's device; what comes after it, on the processor.
- How many cells go through the model at once is planned for the memory that is free, and then kept in ``run.json``: a
  training that goes on later reads its cells in the same passes.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from cellprism.cells.read import read_cells
from cellprism.features.baselines import untrained_sae
from cellprism.features.evaluate import evaluate_at
from cellprism.features.train import train_sae
from cellprism.models.aido import AidoCell
from cellprism.models.aido_input import DEPTH_TOKENS
from cellprism.models.memory import free_memory, plan_pass
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.distributed import processes
from cellprism.sae.fit import Progress
from cellprism.store.atomic import read_json, write_json
from cellprism.store.h5ad import write_h5ad
from cellprism.store.identity import identity_of_path
from cellprism.store.run import digest
from cellprism.types import CellModel
from cellprism.workflow.config import RunConfig
from cellprism.workflow.sources import cells_identity, model_identity
from cellprism.workflow.tracking import tracking
from cellprism.workflow.workbench import Workbench

CONTROL_CELLS = 200  # enough tokens to place an untrained autoencoder's fit to the third digit
FEW_STEPS = 300  # with fewer, most autoencoders are still improving fast
CELLS_A_PASS = 32  # of models whose memory is not planned


def cells_settings(config: RunConfig) -> dict[str, object]:
    """What decides which cells a run has: names, and the bytes of the files that they name."""
    cells, model = cells_identity(config.cells), model_identity(config.model)
    options: dict[str, Any] = config.model_options.given()
    if config.model_options.genes:
        options["genes"] = identity_of_path(Path(config.model_options.genes).expanduser())
    return {"cells": cells, "labels": config.labels, "pool": config.pool, "model": model, "model_options": options}


def prepare_cells(bench: Workbench) -> list[Path]:
    """Read, check and align the cells; write ``cells.h5ad`` and ``model.json``."""
    config = bench.config
    named = [t for t in (config.contrast.source, config.contrast.target) if t and t not in config.pool]
    types = [*named, *(label for labels in config.pool.values() for label in labels)]
    cells = read_cells(config.cells, bench.loaded, labels=config.labels or None, types=types)
    if config.pool:
        together = {label: name for name, labels in config.pool.items() for label in labels}
        cells.obs["cell_type"] = cells.obs["cell_type"].astype(str).replace(together).astype("category")
    paths = [bench.folder / "cells.h5ad", bench.folder / "model.json"]
    write_h5ad(paths[0], cells)
    model = bench.model  # only now: it may take its genes from the cells
    card, limits = dict(model.card), getattr(model, "limits_on", lambda cells: [])(cells)
    if limits:
        card["limits"] = [*card.get("limits", ()), *limits]
        bench.say("; ".join(limits))
    facts = {name: getattr(model, name) for name in ("name", "revision", "licence", "n_layers", "d_model")}
    write_json(paths[1], {**facts, "n_genes": len(model.genes), "card": card})
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

        sae = trained(bench, progress)
    if sae.history is not None and len(sae.history) < FEW_STEPS:
        bench.say(
            f"{len(sae.history)} steps are few for an autoencoder to learn from: these cells make "
            f"{len(sae.history) // config.train.epochs} batches; raise train.epochs, or lower train.batch_size"
        )
    folder = bench.layer_folder("sae")
    some = bench.some_cells(CONTROL_CELLS)
    control = evaluate_at(bench.model, untrained_sae(sae, config.seed), some, config.layer)
    if isinstance(bench.model, nn.Module):
        bench.model.to("cpu")
    bench.run.update(device=str(bench.device))
    metrics = read_json(folder / "metrics.json")
    write_json(folder / "metrics.json", {**metrics, "controls": {"untrained": control.explained_variance}})
    return sorted(p for p in folder.iterdir() if p.is_file())


def trained(bench: Workbench, progress: Progress | None = None) -> SparseAutoencoder:
    """Train on the run's device; every process of a training that is shared calls this."""
    config = bench.config
    return train_sae(
        placed(bench), bench.cells, config.layer, config.train, config.seed, bench.folder,
        batch_size=cells_a_pass(bench), progress=progress,
    )  # fmt: skip


def placed(bench: Workbench) -> CellModel:
    """The run's model, on the run's device."""
    if isinstance(bench.model, nn.Module):
        bench.model.to(bench.device)
    return bench.model


def cells_a_pass(bench: Workbench) -> int:
    """Cells that go through the model at once: as planned before for these cells, else for the memory that is free."""
    model = placed(bench)
    if not isinstance(model, AidoCell):
        return CELLS_A_PASS
    layer, identity = f"L{bench.config.layer}", digest(cells_settings(bench.config))
    plans: dict[str, Any] = bench.run.state.get("passes", {})
    if plans.get(layer, {}).get("identity") != identity:
        tokens = (bench.cells.n_vars if model.config.gene_subset else model.config.n_genes) + DEPTH_TOKENS
        share = processes() if bench.device.type == "cpu" else 1  # of one memory for all
        plan = plan_pass(model, tokens, free=free_memory(bench.device) // share)
        plans = {**plans, layer: {"identity": identity, "cells": plan.cells, "plan": str(plan)}}
        bench.run.update(passes=plans)
        bench.say(str(plan))
    return plans[layer]["cells"]
