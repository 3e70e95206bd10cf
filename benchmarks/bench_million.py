"""Whole runs on many cells with a model that reads a cell as a whole: seconds, cells a second and memory by step.

    python benchmarks/bench_million.py FOLDER [--cells 10000 100000 1000000]

The cells are those of ``bench_scale.py`` (a panel of 200 genes, counts drawn about those of planted cells), with an
embedding of 16 dimensions, a fixed random projection of their logarithms, that ``obsm:X_embedding`` reads. Every step
is a process of its own, whose processor seconds and largest memory are its own; ``held_mib`` leaves out pages of files,
which the system takes back where memory is short. What a cell takes is the difference of two sizes over the difference
of cells. Figures are printed as JSON; steps that are done are not done again.
"""

import argparse
import json
import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
from anndata.io import write_elem
from bench_scale import trained, written
from made_with import made_with
from small_run import do_step, forked

STEPS = ("cells", "train", "fit", "programs", "report")
DIMENSIONS, BLOCK = 16, 10_000
KEY = "X_embedding"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    trained(given.folder)  # the planted cells that counts are drawn about, and their gene sets
    rows = []
    for n_cells in given.cells:
        path = given.folder / f"steps-{n_cells}.json"
        done = json.loads(path.read_text()) if path.is_file() else []
        source = embedded(given.folder, n_cells)
        for step in STEPS[len(done) :]:
            done.append(measured(settings(given.folder, source), given.folder / f"run-{n_cells}", step, n_cells))
            path.write_text(json.dumps(done))
        rows += done
    print(json.dumps({**made_with(), "rows": rows, "a_cell": a_cell(rows)}, indent=2))


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


def settings(folder: Path, source: Path) -> dict[str, Any]:
    """A whole run of little effort, all cells in every step that can take them."""
    return {
        "cells": str(source), "model": f"obsm:{KEY}", "layer": 0,
        "train": {"n_features": 64, "k": 3, "centring": "global", "epochs": 1, "batch_size": 1024},
        "fit": {"cells": 1000, "draws": 3},
        "programs": {
            "seeds": 2, "replicates": 3, "draws": 3, "gene_filter": "all", "collection": str(folder / "sets.gmt"),
        },
    }  # fmt: skip


def measured(asked: dict[str, Any], run: Path, step: str, n_cells: int) -> dict[str, Any]:
    """One step."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = forked(do_step, asked, run, step)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.code:
        raise SystemExit(f"{step} of {n_cells:,} cells failed")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "cells": n_cells, "step": step, "seconds": round(ended.seconds, 1), "processor_seconds": round(used, 1),
        "cells_a_processor_second": round(n_cells / used), "peak_mib": ended.peak, "held_mib": ended.held,
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
