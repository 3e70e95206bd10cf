"""The inner state of a run's cells, made here with its progress shown, or by the workers of a cluster, some cells each.

Workers make the same forward passes as this process would, so that the state has the same bits. Each writes a file a
shard of cells. Where the disk has room for the files of all cells, they stay until the command ends, so that workers
read them too, and a harvest that was stopped goes on. Where it has not, cells are read some shards at a time, whose
files go once they are taken in: such a state is made anew for every step that reads it, each time by the workers.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from cellprism.features.tokens.cell_tokens import CellTokens, Held, Reading, pass_by_pass
from cellprism.features.tokens.token_policy import TokenPolicy
from cellprism.parallel.shards import Arrays, Shard, ShardFolder
from cellprism.store.atomic import discard
from cellprism.studies.mapping import mapped
from cellprism.studies.shards import SHARDS, Shards
from cellprism.studies.workbench import Workbench

TITLE = "reading the inner state"
SHARD = 1 << 27
"""Bytes of a shard, about."""
A_WORKER = 4
"""Shards that are made for each worker before they are taken in, where the disk has no room for all."""


def harvested(bench: Workbench, tokens: CellTokens) -> Iterable[Held]:
    """All tokens of the run's cells, in their order."""
    if not bench.engine.elsewhere:
        return _here(bench, tokens)
    size = int(tokens.counts.sum()) * tokens.bytes_per_token
    room = shutil.disk_usage(bench.folder).free - (size if tokens.on_disk else 0)
    parts = parts_of(tokens)
    return _by_workers(bench, tokens, parts, len(parts) if size < room else A_WORKER * bench.engine.workers)


def _here(bench: Workbench, tokens: CellTokens) -> Iterator[Held]:
    with bench.bar(TITLE, len(tokens.counts)) as advance:
        for held in tokens.reading.passes(np.arange(len(tokens.counts))):
            yield held
            advance(int(held.cell[-1]) + 1 if len(held.cell) else 0)


def _by_workers(bench: Workbench, tokens: CellTokens, parts: Sequence[Shard], at_once: int) -> Iterator[Held]:
    folder = Shards(bench.folder, tokens.identity)
    for start in range(0, len(parts), at_once):
        some = parts[start : start + at_once]
        title = TITLE if len(some) == len(parts) else f"{TITLE}, {some[0].said.split(' to ')[0]} on"
        mapped(bench, title, some, folder, tokens.reading, reading, some_cells, "cells")
        for part in some:
            yield from _in_passes(tokens, part, folder)
            if len(some) < len(parts):
                folder.path(part.name).unlink()
    if at_once < len(parts):
        folder.clear()


def _in_passes(tokens: CellTokens, part: Shard, folder: ShardFolder) -> Iterator[Held]:
    """The tokens of a shard's cells as the forward passes made them."""
    arrays = folder.read(part.name)
    x, gene, cell = (torch.from_numpy(arrays[name]).to(tokens.device) for name in ("x", "gene", "cell"))
    yield from pass_by_pass(Held((x,), gene, cell), tokens.counts[slice(*part.task)], tokens.batch_size)


def on_worker(bench: Workbench, tokens: CellTokens) -> Iterator[Held]:
    """All tokens of the run's cells on a worker: from the files of the command's harvest; made anew without these."""
    folder, parts = Shards.existing(bench.folder, tokens.identity), parts_of(tokens)
    if folder is None or folder.missing(parts):
        yield from tokens.reading.passes(np.arange(len(tokens.counts)))
        return
    for part in parts:
        yield from _in_passes(tokens, part, folder)


def forget(bench: Workbench) -> None:
    """Remove the files of a harvest."""
    if (bench.folder / SHARDS).is_dir():
        discard(bench.folder / SHARDS)


def parts_of(tokens: CellTokens) -> list[Shard]:
    """Cells in shards of about one size that begin where a forward pass does; workers make no difference."""
    counts, a_pass = tokens.counts, tokens.batch_size
    passes = max(1, int(SHARD // max(1.0, float(counts.mean()) * tokens.bytes_per_token * a_pass)))
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
