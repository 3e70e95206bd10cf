"""The published simulation at its full size: how long it takes to make and to train on, and in how much memory.

Notable choices

- Generation is writing all cells to a file and reading it once; training is one pass over cells as they are made.
- Each part runs in a process of its own, so that its peak of memory is its own.
- Cells are made block by block and never all held: the same memory at any number of cells.
- Fewer cells than published may be asked for, of as many genes. ``core_seconds_of_all`` is then the time measured times
  the published number over the cells, and ``extrapolated`` says so.
- Probes read the latents of ``JUDGED`` cells that come after those that were learned from.
"""

import multiprocessing
import resource
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cellprism.simulate.autoencoders import AutoencoderSettings, DenseAutoencoder, fit_autoencoder
from cellprism.simulate.large_file import read_blocks, write_large
from cellprism.simulate.recovery import halves, probe_table
from cellprism.simulate.schuster_large import LargeSettings, LargeSimulation

FULL = LargeSettings()
JUDGED = 2_000  # cells
NARROW = AutoencoderSettings(latent=100, depth=4, wide=False, epochs=1)
WIDE = AutoencoderSettings(latent=100, depth=4, wide=True, epochs=1)


@dataclass(frozen=True)
class Part:
    """One thing that is measured."""

    name: str
    settings: LargeSettings
    network: AutoencoderSettings | None = None
    """What is trained; None: the cells are written to a file."""

    def asked(self) -> dict[str, Any]:
        """All that decides what is measured."""
        return {"settings": asdict(self.settings), "network": self.network and asdict(self.network)}

    def run(self) -> dict[str, Any]:
        """Time and memory, measured in a process of its own."""
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measured, (self,))
        scale = FULL.cells / self.settings.cells
        whole = {"core_seconds_of_all": found["core_seconds"] * scale, "extrapolated": scale > 1}
        return {"asked": self.asked(), **found, **whole}


def parts(cells: int) -> list[Part]:
    """Generation, a narrow network, and a wide one of 1,000 units, which has 40 million weights."""
    every = replace(FULL, cells=cells)
    return [Part("generation", every), Part("narrow", every, NARROW), Part("wide", every, WIDE)]


def measured(part: Part) -> dict[str, Any]:
    """Time and memory of a part in this process; what a network then reads of other cells is not counted."""
    s, before = part.settings, peak()
    began = time.perf_counter(), time.process_time()
    if part.network is None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.h5ad"
            write_large(LargeSimulation(s), path)
            total = sum(float(block.sum(dtype=torch.float64)) for block in read_blocks(path))
            found = {"gigabytes": path.stat().st_size / 1e9, "mean_value": total / s.cells / s.genes}
            spent = _spent(began)
    else:
        fitted = fit_autoencoder(LargeSimulation(s).data, part.network)
        spent = _spent(began)
        found = _judged(fitted, s)
    return {"cells": s.cells, "genes": s.genes, **found, **spent, "peak_gb_before": before}


def _judged(fitted: DenseAutoencoder, settings: LargeSettings) -> dict[str, Any]:
    """Error and probes on cells that come after those learned from."""
    longer = LargeSimulation(replace(settings, cells=settings.cells + JUDGED))
    blocks = list(longer.blocks(settings.cells))
    x = fitted.latents([block.y for block in blocks])
    probe = probe_table(x.numpy(), longer.hidden(blocks), *halves(JUDGED, 0))
    return {
        "weights": sum(p.numel() for p in fitted.parameters()), "error": float(fitted.error(blocks[0].y)),
        "probe": probe.groupby("variable")["probe"].mean().to_dict(),
    }  # fmt: skip


def _spent(began: tuple[float, float]) -> dict[str, float]:
    wall, core = time.perf_counter() - began[0], time.process_time() - began[1]
    return {"seconds": wall, "core_seconds": core, "peak_gb": peak()}


def peak() -> float:
    """Largest resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
