"""Cells a second from disk into blocks of counts, and how well batches are mixed, for several ways of reading, as JSON.

    python benchmarks/bench_disk.py FOLDER [--cells 100000]

FOLDER is that of ``bench_scale.py``, whose cells and model are used. The file is taken to be sorted, with the cells of
``DONORS`` donors one after the other. Each way reads batches of 512 cells as CSR in the model's genes:

- ``ours, in order``: ``AlignedRows``, as encoding reads;
- ``plain, in order``: AnnData backed by the file, slices of it;
- ``plain, at random``: the same, rows drawn at random;
- ``blocks at random``: runs of 16 neighbouring cells drawn at random, 64 batches at once, shuffled in memory, as
  block samplers do;
- ``ours, windows``: cells drawn at random for a window of 64 batches, read in ascending order a run at a time, shuffled
  in memory, as training mixes cells.

``apart`` is the mean total variation distance between a batch's donors and those of all cells: 0.9 where a batch is one
donor's, and ``expected`` for batches drawn at random. Ways take turns over three rounds; the median is told.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from bench_pbmc3k import processor
from bench_scale import trained, written

from cellprism.cells.align import GeneMapping, align
from cellprism.cells.stored import stored_cells
from cellprism.cells.streamed import AlignedRows, checked_cells
from cellprism.models.registry import load_model

BATCH, RUN, AT_ONCE, DONORS, ROUNDS, MOST = 512, 16, 64, 10, 3, 32_768
Batch = tuple[np.ndarray, sp.csr_matrix]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--cells", type=int, default=100_000)
    given = asked.parse_args()
    trained(given.folder)
    path = written(given.folder, given.cells)
    stored = stored_cells(path, None, None)
    assert stored is not None, "it was written cell by cell"
    aligned = checked_cells(stored, load_model(str(given.folder / "model")).gene_table).aligned
    backed = anndata.read_h5ad(path, backed="r")
    ways: dict[str, Callable[[np.random.Generator], Iterator[Batch]]] = {
        "ours, in order": lambda rng: in_order(aligned, given.cells),
        "plain, in order": lambda rng: plain(backed, aligned, ordered(given.cells)),
        "plain, at random": lambda rng: plain(backed, aligned, at_random(given.cells, rng)),
        "blocks at random": lambda rng: blocks(aligned, given.cells, rng),
        "ours, windows": lambda rng: in_windows(aligned, given.cells, rng),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, way in ways.items():
            found[name].append(measured(way(np.random.default_rng(turn)), given.cells))
    rows = [
        {"way": name, "cells_a_processor_second": round(statistics.median(rate for rate, _ in each)),
         "apart": round(statistics.median(apart for _, apart in each), 3)}
        for name, each in found.items()
    ]  # fmt: skip
    rng = np.random.default_rng(9)
    expected = np.mean([distance(rng.integers(given.cells, size=BATCH), given.cells) for _ in range(200)])
    facts = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    facts |= {"date": time.strftime("%Y-%m-%d"), "cells": given.cells, "genes": len(aligned.names), "batch": BATCH}
    print(json.dumps({**facts, "rounds": ROUNDS, "rows": rows, "expected": round(float(expected), 3)}, indent=2))


def measured(batches: Iterator[Batch], n_cells: int) -> tuple[float, float]:
    """Cells a processor second over at most ``MOST`` cells, and how far batches are from all cells."""
    began, seen, apart = time.process_time(), 0, []
    for rows, counts in batches:
        assert counts.shape[0] == len(rows)
        apart.append(distance(rows, n_cells))
        seen += len(rows)
        if seen >= MOST:
            break
    return seen / (time.process_time() - began), float(np.mean(apart))


def distance(rows: np.ndarray, n_cells: int) -> float:
    """Total variation distance of the donors of some cells from equal shares."""
    share = np.bincount(rows * DONORS // n_cells, minlength=DONORS) / len(rows)
    return float(np.abs(share - 1 / DONORS).sum() / 2)


def ordered(n_cells: int) -> Iterator[np.ndarray]:
    for start in range(0, n_cells, BATCH):
        yield np.arange(start, min(start + BATCH, n_cells))


def at_random(n_cells: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(n_cells)
    for start in range(0, n_cells, BATCH):
        yield np.sort(order[start : start + BATCH])


def in_order(aligned: AlignedRows, n_cells: int) -> Iterator[Batch]:
    for rows in ordered(n_cells):
        yield rows, sp.csr_matrix(aligned.part(int(rows[0]), int(rows[-1]) + 1).X)


def plain(backed: AnnData, aligned: AlignedRows, batches: Iterator[np.ndarray]) -> Iterator[Batch]:
    for rows in batches:
        stored = sp.csr_matrix(backed[rows].to_memory().X)[:, aligned.columns]
        yield rows, align(stored, GeneMapping(aligned.place, np.zeros_like(aligned.place)))


def blocks(aligned: AlignedRows, n_cells: int, rng: np.random.Generator) -> Iterator[Batch]:
    starts = rng.permutation(np.arange(0, n_cells - RUN + 1, RUN))
    each = BATCH * AT_ONCE // RUN
    for first in range(0, len(starts), each):
        some = np.sort(starts[first : first + each])
        parts = [(int(start), int(start) + RUN) for start in some]
        yield from _shuffled(aligned, parts, rng)


def in_windows(aligned: AlignedRows, n_cells: int, rng: np.random.Generator) -> Iterator[Batch]:
    order = rng.permutation(n_cells)
    for first in range(0, n_cells, BATCH * AT_ONCE):
        rows = np.sort(order[first : first + BATCH * AT_ONCE])
        cuts = np.flatnonzero(np.diff(rows) > RUN) + 1  # what lies close together is read together
        parts = [(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, cuts)]
        yield from _shuffled(aligned, parts, rng, rows)


def _shuffled(
    aligned: AlignedRows, parts: list[tuple[int, int]], rng: np.random.Generator, wanted: np.ndarray | None = None
) -> Iterator[Batch]:
    """Stretches read, mixed and cut into batches; of ``wanted`` rows alone where these are given."""
    rows = np.concatenate([np.arange(*part) for part in parts])
    counts = sp.csr_matrix(sp.vstack([aligned.part(*part).X for part in parts], format="csr"))
    if wanted is not None:
        keep = np.isin(rows, wanted)
        rows, counts = rows[keep], counts[keep]
    order = rng.permutation(len(rows))
    for start in range(0, len(rows), BATCH):
        some = order[start : start + BATCH]
        yield rows[some], counts[some]


if __name__ == "__main__":
    main()
