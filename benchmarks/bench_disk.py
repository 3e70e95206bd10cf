"""Cells a second from disk into blocks of counts, and how well batches are mixed, for several ways of reading, as JSON.

    python benchmarks/bench_disk.py FOLDER [--cells 100000]

FOLDER is that of ``bench_scale.py``, whose cells and model are used, as .h5ad and as a zarr folder of format 3. The
cells are taken to be sorted, those of ``DONORS`` donors one after the other. Each way reads batches of 512 cells as CSR
in the model's genes:

- ``ours, in order``: ``AlignedRows``, as encoding reads;
- ``plain, in order``: AnnData backed by the file, slices of it (of zarr: its own sparse dataset);
- ``plain, at random``: the same, rows drawn at random, of ``FEW`` cells;
- ``blocks at random``: runs of 16 neighbouring cells drawn at random, 64 batches by one such read, shuffled in memory,
  as block samplers do;
- ``ours, windows``: cells drawn at random for a window of 64 batches, read in ascending order a run at a time, shuffled
  in memory, as training mixes cells;
- ``annbatch``, where it is installed (Python 3.12): its loader over its own mixed and sharded copy of the cells, 64
  batches by one read, 16 neighbours at a time as above, or 512, which a mixed copy bears. ``copy_seconds`` is what that
  copy took.

``apart`` is the mean total variation distance between a batch's donors and those of all cells: 0.9 where a batch is one
donor's, and ``expected`` for batches drawn at random. Ways take turns over three rounds; the median
is told, and all three beside it. FOLDER keeps the rounds: the same command goes on.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import zarr
from anndata.io import sparse_dataset
from bench_scale import trained, written
from made_with import made_with

from cellprism.cells.align import GeneMapping, align
from cellprism.cells.stored import stored_cells
from cellprism.cells.streamed import AlignedRows, checked_cells
from cellprism.models.registry import load_model

try:
    import annbatch
except ImportError:
    annbatch = None

BATCH, RUN, AT_ONCE, DONORS, ROUNDS, MOST, FEW = 512, 16, 64, 10, 3, 32_768, 2_048
Read = Callable[[Any], Any]
"""Rows of the stored matrix, a slice of them or some in rising order."""
Batch = tuple[np.ndarray, sp.csr_matrix]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--cells", type=int, default=100_000)
    given = asked.parse_args()
    trained(given.folder)
    path = written(given.folder, given.cells)
    aligned, packed = (aligned_cells(one, given.folder / "model") for one in (path, as_zarr(path)))
    whole: Any = anndata.read_h5ad(path, backed="r")
    group: Any = zarr.open_group(path.with_suffix(".zarr"), mode="r")["X"]
    stored: Any = sparse_dataset(group)
    backed, lazy = (lambda rows: whole.X[rows]), (lambda rows: stored[rows])
    ways: dict[str, Callable[[np.random.Generator], Iterator[Batch]]] = {
        "ours, in order": lambda rng: in_order(aligned, given.cells),
        "plain, in order": lambda rng: plain(backed, aligned, ordered(given.cells)),
        "plain, at random": lambda rng: plain(backed, aligned, at_random(given.cells, rng), FEW),
        "blocks at random": lambda rng: blocks(backed, aligned, given.cells, rng),
        "ours, windows": lambda rng: in_windows(aligned, given.cells, rng),
        "zarr: ours, in order": lambda rng: in_order(packed, given.cells),
        "zarr: plain, in order": lambda rng: plain(lazy, packed, ordered(given.cells)),
        "zarr: blocks at random": lambda rng: blocks(lazy, packed, given.cells, rng),
        "zarr: ours, windows": lambda rng: in_windows(packed, given.cells, rng),
    }
    if annbatch is not None:
        mixed = mixed_copy(path, given.cells)
        ways |= {f"annbatch, {n} at a time": partial(drawn, mixed, aligned, n) for n in (RUN, BATCH)}
    rounds = []
    for turn in range(ROUNDS):
        kept = given.folder / f"disk-{given.cells}-{turn}.json"
        if not kept.is_file():
            found = {name: measured(way(np.random.default_rng(turn)), given.cells) for name, way in ways.items()}
            kept.write_text(json.dumps(found))
        rounds.append(json.loads(kept.read_text()))
    rows = [row(name, [found[name] for found in rounds]) for name in ways]
    rng = np.random.default_rng(9)
    expected = np.mean([distance(rng.integers(given.cells, size=BATCH), given.cells) for _ in range(200)])
    facts = {"cells": given.cells, "read": min(MOST, given.cells), "genes": len(aligned.names), "batch": BATCH}
    files = [file for file in path.with_suffix(".zarr").rglob("*") if file.is_file()]
    facts |= {"h5ad_bytes": path.stat().st_size, "zarr_bytes": sum(f.stat().st_size for f in files)}
    if annbatch is not None:
        facts |= {"annbatch": version("annbatch"), **json.loads(mixed.with_suffix(".annbatch.json").read_text())}
    print(json.dumps({**made_with(), **facts, "rows": rows, "expected": round(float(expected), 3)}, indent=2))


def row(name: str, rounds: list[tuple[float, float]]) -> dict[str, Any]:
    """One way: median and all rounds."""
    rates = [round(rate) for rate, _ in rounds]
    apart = round(statistics.median(apart for _, apart in rounds), 3)
    return {"way": name, "cells_a_processor_second": statistics.median(rates), "rounds": rates, "apart": apart}


def aligned_cells(path: Path, model: Path) -> AlignedRows:
    """The cells of a store in the model's genes."""
    stored = stored_cells(path, None, None)
    assert stored is not None, "it was written cell by cell"
    return checked_cells(stored, load_model(str(model)).gene_table).aligned


def as_zarr(path: Path) -> Path:
    """The cells as a zarr folder of format 3."""
    out = path.with_suffix(".zarr")
    if not out.exists():
        with anndata.settings.override(zarr_write_format=3):
            anndata.read_h5ad(path).write_zarr(out)
    return out


def mixed_copy(path: Path, n_cells: int) -> Path:
    """The cells as annbatch mixes and shards them, with their rows in the first file; beside it what it took."""
    out, took = path.with_suffix(".annbatch"), path.with_suffix(".annbatch.json")
    if not took.exists():
        began = time.process_time()
        cells = anndata.read_h5ad(path)
        plain = anndata.AnnData(cells.X, obs=pd.DataFrame({"row": np.arange(n_cells)}, cells.obs_names), var=cells.var)
        plain.write_zarr(part := path.with_suffix(".rows.zarr"))
        annbatch.DatasetCollection(str(out)).add_adatas([str(part)])
        took.write_text(json.dumps({"copy_seconds": round(time.process_time() - began, 1)}))
    return out


def drawn(mixed: Path, aligned: AlignedRows, each: int, rng: np.random.Generator) -> Iterator[Batch]:
    loader = annbatch.Loader(
        batch_size=BATCH, chunk_size=each, preload_nchunks=BATCH * AT_ONCE // each, shuffle=True, rng=rng
    )
    for some in loader.use_collection(annbatch.DatasetCollection(str(mixed))):
        yield some["obs"]["row"].to_numpy(), in_genes(some["X"], aligned)


def measured(batches: Iterator[Batch], n_cells: int) -> tuple[float, float]:
    """Cells a processor second over at most ``MOST`` cells, and how far batches are from all cells."""
    began, seen, apart = time.process_time(), 0, []
    for rows, counts in batches:
        assert counts.get_shape()[0] == len(rows)
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


def plain(read: Read, aligned: AlignedRows, batches: Iterator[Any], most: int = MOST) -> Iterator[Batch]:
    for number, rows in enumerate(batches):
        if number * BATCH >= most:
            return
        at = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) == rows[-1] - rows[0] + 1 else rows
        yield rows, in_genes(read(at), aligned)


def in_genes(stored: Any, aligned: AlignedRows) -> sp.csr_matrix:
    """Rows as they are stored in the model's genes."""
    counts = sp.csr_matrix(stored)[:, aligned.columns]
    return align(sp.csr_matrix(counts), GeneMapping(aligned.place, np.zeros_like(aligned.place)))


def blocks(read: Read, aligned: AlignedRows, n_cells: int, rng: np.random.Generator) -> Iterator[Batch]:
    starts = rng.permutation(np.arange(0, n_cells - RUN + 1, RUN))
    each = BATCH * AT_ONCE // RUN
    for first in range(0, len(starts), each):
        rows = (np.sort(starts[first : first + each])[:, None] + np.arange(RUN)).ravel()
        counts = in_genes(read(rows), aligned)
        order = rng.permutation(len(rows))
        for start in range(0, len(rows), BATCH):
            yield rows[order[start : start + BATCH]], sp.csr_matrix(counts[order[start : start + BATCH]])


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
