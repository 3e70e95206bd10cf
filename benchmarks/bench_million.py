"""Whole runs on many cells: seconds, cells a second and memory by step.

    python benchmarks/bench_million.py FOLDER [--cells 10000 100000 1000000] [--model obsm tokens]
        [--steps cells train ...] [--workers 1]

The cells are those of ``bench_scale.py`` (a panel of 200 genes, counts drawn about those of planted cells). ``obsm`` is
a model that reads a cell as a whole: an embedding of 16 dimensions, a fixed random projection of the logarithms.
``tokens`` is the random model of ``small_run.py``, which reads each gene: 16 dimensions, 2 blocks. Every step is a
process of its own, whose processor seconds and largest memory are its own and those of its workers; ``held_mib`` is of
the process alone and leaves out pages of files, which the system takes back where memory is short. What a cell takes is
the difference of two sizes over the difference of cells. All figures in FOLDER are printed as JSON; steps that are done
are not done again.
"""

import argparse
import itertools
import json
import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
from anndata.io import write_elem
from bench_scale import TRAIN, TRAINED_ON, trained, written
from made_with import made_with
from small_run import do_step, forked, write_inputs

STEPS = ("cells", "train", "assess", "fit", "programs", "steer", "contrast", "report")
OBSM, TOKENS = "obsm", "tokens"
DIMENSIONS, BLOCK = 16, 10_000
KEY = "X_embedding"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    asked.add_argument("--model", nargs="+", choices=(OBSM, TOKENS), default=[OBSM, TOKENS])
    asked.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    asked.add_argument("--workers", type=int, default=1)
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    trained(given.folder)  # the planted cells that counts are drawn about, and their gene sets
    for kind, n_cells in itertools.product(given.model, given.cells):
        name = f"{kind}-{n_cells}-{given.workers}"
        path = given.folder / f"steps-{name}.json"
        done = json.loads(path.read_text()) if path.is_file() else []
        source = embedded(given.folder, n_cells)
        for step in [step for step in given.steps if step not in {row["step"] for row in done}]:
            run = given.folder / f"run-{name}"
            done.append(measured(settings(given.folder, source, kind), run, step, n_cells, given.workers))
            path.write_text(json.dumps(done))
    print(json.dumps({**made_with(), **{kind: found_in(given.folder, kind) for kind in (OBSM, TOKENS)}}, indent=2))


def found_in(folder: Path, kind: str) -> dict[str, Any]:
    """All that was measured with a model, and what a cell takes in one process."""
    paths = sorted(folder.glob(f"steps-{kind}-*.json"), key=lambda path: int(path.stem.split("-")[2]))
    rows = [row for path in paths for row in json.loads(path.read_text())]
    return {"rows": rows, "a_cell": a_cell([row for row in rows if row["workers"] == 1])}


def embedded(folder: Path, n_cells: int) -> Path:
    """The cells with their embedding beside the counts."""
    path = written(folder, n_cells)
    with h5py.File(path, "r+") as file:
        if "obsm" in file and KEY in file["obsm"]:
            return path
        counts = anndata.io.sparse_dataset(file["X"])
        across = np.random.default_rng(2).normal(size=(counts.shape[1], DIMENSIONS)) / np.sqrt(DIMENSIONS)
        blocks = [np.log1p(counts[i : i + BLOCK].toarray()) @ across for i in range(0, n_cells, BLOCK)]
        write_elem(file, f"obsm/{KEY}", np.concatenate(blocks).astype(np.float32))
    return path


def settings(folder: Path, source: Path, kind: str) -> dict[str, Any]:
    """A whole run of little effort, all cells in every step that can take them."""
    asked = write_inputs(folder, TRAINED_ON, TRAIN)
    if kind == OBSM:
        asked |= {"model": f"obsm:{KEY}", "train": {**TRAIN, "n_features": 64, "k": 3, "centring": "global"}}
    return {**asked, "cells": str(source), "fit": {"cells": 1000, "draws": 3}}


def measured(asked: dict[str, Any], run: Path, step: str, n_cells: int, workers: int) -> dict[str, Any]:
    """One step."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = forked(do_step, asked, run, step, f"local:{workers}" if workers > 1 else "")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.code:
        raise SystemExit(f"{step} of {n_cells:,} cells failed")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "cells": n_cells, "workers": workers, "step": step, "seconds": round(ended.seconds, 1),
        "processor_seconds": round(used, 1), "cells_a_processor_second": round(n_cells / used),
        "peak_mib": ended.peak, "held_mib": ended.held,
    }  # fmt: skip


def a_cell(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Processor microseconds of a cell more, between each size and the next, by step."""
    found: dict[str, list[float]] = {}
    for step in STEPS:
        some = sorted((row for row in rows if row["step"] == step), key=lambda row: row["cells"])
        found[step] = [
            round(1e6 * (b["processor_seconds"] - a["processor_seconds"]) / (b["cells"] - a["cells"]), 1)
            for a, b in pairwise(some)
        ]
    return found


if __name__ == "__main__":
    main()
