"""The inner state of a run's cells, made here with its progress shown, or by the workers of a cluster, some cells each.

Workers make the same forward passes as this process would, so that the state has the same bits. Each writes a file a
shard of cells, so a harvest that was stopped goes on; this process takes them in one after the other, and each file
goes once it is taken in. Where the disk has no room for these files, this process does all of it.
"""

import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from cellprism.display import in_bytes
from cellprism.features.tokens.cell_tokens import CellTokens, Held, Reading
from cellprism.features.tokens.token_policy import TokenPolicy
from cellprism.parallel.shards import Arrays, Shard
from cellprism.studies.mapping import mapped
from cellprism.studies.shards import Shards
from cellprism.studies.workbench import Workbench

TITLE = "reading the inner state"
SHARD = 1 << 27
"""Bytes of a shard, about."""


def harvested(bench: Workbench, tokens: CellTokens) -> Iterable[Held]:
    """All tokens of the run's cells, in their order."""
    if not bench.engine.elsewhere:
        return _here(bench, tokens)
    size = int(tokens.counts.sum()) * tokens.bytes_per_token
    needed, free = size * (1 if tokens.fits else 2), shutil.disk_usage(bench.folder).free
    if needed > free:
        held = (
            f"files of workers would take up to {in_bytes(needed)} in {bench.folder}, where {in_bytes(free)} are free"
        )
        bench.say(f"{TITLE} in this process: {held}")
        return _here(bench, tokens)
    return _by_workers(bench, tokens)


def _here(bench: Workbench, tokens: CellTokens) -> Iterator[Held]:
    with bench.bar(TITLE, len(tokens.counts)) as advance:
        for held in tokens.reading.passes(np.arange(len(tokens.counts))):
            yield held
            advance(int(held.cell[-1]) + 1 if len(held.cell) else 0)


def _by_workers(bench: Workbench, tokens: CellTokens) -> Iterator[Held]:
    folder = Shards(bench.folder, tokens.identity)
    parts = shards_of(tokens.counts, tokens.batch_size, tokens.bytes_per_token)
    results = mapped(bench, TITLE, parts, folder, tokens.reading, reading, some_cells, "cells")
    for part, arrays in zip(parts, results.gather(), strict=True):
        x, gene, cell = (torch.from_numpy(arrays[name]).to(tokens.device) for name in ("x", "gene", "cell"))
        yield Held((x,), gene, cell)
        folder.path(part.name).unlink()
    folder.clear()


def shards_of(counts: Int[np.ndarray, " cell"], a_pass: int, bytes_per_token: int) -> list[Shard]:
    """Cells in shards of about one size that begin where a forward pass does; workers make no difference.

    Args:
        counts: tokens of each cell.
        a_pass: cells of a forward pass.
        bytes_per_token: of a token that is kept.
    """
    passes = max(1, int(SHARD // max(1.0, float(counts.mean()) * bytes_per_token * a_pass)))
    each = passes * a_pass
    return [
        Shard(f"{start:08}", f"cells {start + 1:,} to {min(start + each, len(counts)):,}",
              [start, min(start + each, len(counts))], min(each, len(counts) - start))
        for start in range(0, len(counts), each)
    ]  # fmt: skip


def reading(bench: Workbench) -> Reading:
    """How the run's cells are read at its site."""
    model, cells = bench.model, bench.cells
    return Reading(model, cells, (bench.config.layer,), TokenPolicy("present", model, cells), bench.cells_a_pass())


def some_cells(state: Reading, task: Any) -> Arrays:
    """The tokens of the cells of a shard."""
    parts = list(state.passes(np.arange(*task)))
    return {
        "x": torch.cat([held.x[0] for held in parts]).cpu().numpy(),
        "gene": torch.cat([held.gene for held in parts]).cpu().numpy(),
        "cell": torch.cat([held.cell for held in parts]).cpu().numpy(),
    }
