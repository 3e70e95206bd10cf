"""The published simulation at its full size: how long it takes to make and to train on, and in how much memory.

Notable choices

- Each part runs in a process of its own, so that its peak of memory is its own.
- Cells are made block by block and never all held: the same memory at any number of cells.
- Fewer cells than published may be asked for, of as many genes. A wide network of 1,000 units has 40 million weights on
  20,000 genes and is trained on a tenth of them. ``core_seconds_of_all`` is then the time measured times the published
  number over the cells, and ``extrapolated`` says so.
- Probes read the latents of ``JUDGED`` cells that come after those that were learned from.
"""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cellprism.simulate.autoencoders import AutoencoderSettings, fit_autoencoder
from cellprism.simulate.large_file import read_blocks, write_large
from cellprism.simulate.recovery import halves, probe_table
from cellprism.simulate.schuster_large import BLOCK, LargeSettings, LargeSimulation

FULL = LargeSettings()
JUDGED = 2_000  # cells
NARROW = AutoencoderSettings(latent=100, depth=4, wide=False, epochs=1)
WIDE = AutoencoderSettings(latent=100, depth=4, wide=True, epochs=1)
SHARES = {"generation": 1.0, "narrow": 1.0, "wide": 0.1}
"""Share of the cells that each part is run on, in whole blocks."""


def parts(settings: LargeSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part's name, time and memory."""
    for name, share in SHARES.items():
        cells = max(BLOCK, round(share * settings.cells / BLOCK) * BLOCK)
        found = _apart(_WORK[name], replace(settings, cells=cells))
        whole = {"core_seconds_of_all": found["core_seconds"] * FULL.cells / cells, "extrapolated": cells < FULL.cells}
        yield name, {**found, **whole}


def generation(settings: LargeSettings) -> dict[str, Any]:
    """Write all cells to a file, and read it once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.h5ad"
        write_large(LargeSimulation(settings), path)
        written = time.process_time()
        total = sum(float(block.sum(dtype=torch.float64)) for block in read_blocks(path))
        return {
            "gigabytes": path.stat().st_size / 1e9, "mean_value": total / settings.cells / settings.genes,
            "core_seconds_reading": time.process_time() - written,
        }  # fmt: skip


def training(network: AutoencoderSettings, settings: LargeSettings) -> dict[str, Any]:
    """Train a network on cells as they are made, and read its latents."""
    simulation = LargeSimulation(settings)
    fitted = fit_autoencoder(simulation.data, network)
    trained = time.process_time()
    longer = LargeSimulation(replace(settings, cells=settings.cells + JUDGED))
    blocks = list(longer.blocks(settings.cells))
    y = [block.y for block in blocks]
    x = fitted.latents(y)
    probe = probe_table(x.numpy(), simulation.hidden(blocks), *halves(JUDGED, 0))
    return {
        "network": vars(network), "weights": sum(p.numel() for p in fitted.parameters()),
        "error": float(fitted.error(y[0])), "probe": probe.groupby("variable")["probe"].mean().to_dict(),
        "core_seconds_probe": time.process_time() - trained,
    }  # fmt: skip


def narrow(settings: LargeSettings) -> dict[str, Any]:
    return training(NARROW, settings)


def wide(settings: LargeSettings) -> dict[str, Any]:
    return training(WIDE, settings)


_WORK: dict[str, Callable[[LargeSettings], dict[str, Any]]] = {
    "generation": generation, "narrow": narrow, "wide": wide,
}  # fmt: skip


def _apart(work: Callable[[LargeSettings], dict[str, Any]], settings: LargeSettings) -> dict[str, Any]:
    """Do it in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, settings))


def _measured(work: Callable[[LargeSettings], dict[str, Any]], settings: LargeSettings) -> dict[str, Any]:
    start, before = peak(), (time.perf_counter(), time.process_time())
    found = work(settings)
    return {
        "cells": settings.cells, "genes": settings.genes, **found, "seconds": time.perf_counter() - before[0],
        "core_seconds": time.process_time() - before[1], "peak_gb": peak(), "peak_gb_before": start,
    }  # fmt: skip


def peak() -> float:
    """Largest resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
