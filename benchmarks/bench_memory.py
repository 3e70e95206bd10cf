"""Peak memory and time of every step at 1,000 to 64,000 simulated cells, as JSON.

    python benchmarks/bench_memory.py FOLDER [CELLS ...]

Runs are those of ``small_run``: a panel of 200 genes, a random model of 16 dimensions, 512 features, 256 MiB for
residuals. Each step is a process of its own. FOLDER keeps inputs, runs and figures, so that the same command goes on
after an interruption, and with more sizes. Figures are in MiB and seconds; ``start`` is a process that does nothing:
interpreter and libraries.

``wide report`` is the report alone of a made-up run with 5,120 features, beside a matrix of so many cells x features.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from made_with import made_with
from small_run import GENES, RUN_STEPS, do_step, forked, write_inputs

HERE = Path(__file__).parent
SIZES = (1_000, 4_000, 16_000, 64_000)
TRAIN = {"n_features": 512, "k": 8, "epochs": 1, "batch_size": 4096, "memory": 1 << 28}
WIDE, FIRING, BLOCK = 5_120, 0.2, 1_000  # features; share of them that fire in a cell; cells that differ


def main(folder: Path, sizes: list[int]) -> None:
    for n_cells in sizes:
        place = folder / str(n_cells)
        place.mkdir(parents=True, exist_ok=True)
        asked = place / "asked.json"
        if not asked.is_file():
            made(forked(write_once, place, n_cells).code, "the inputs")
        for step in RUN_STEPS:
            measure(folder, n_cells, step, do_step, json.loads(asked.read_text()), place / "run", step)
        if not (place / "wide" / "made").is_file():
            made(forked(wide_run, place / "wide", n_cells).code, "the wide run")
        measure(folder, n_cells, "wide report", do_step, {}, place / "wide", "report")
        write(folder)


def measure(folder: Path, n_cells: int, step: str, work: Any, *arguments: Any) -> None:
    """Do a step and keep its figures, unless they are there."""
    path = folder / "figures" / f"{n_cells} {step}.json"
    if path.is_file():
        return
    ended = forked(work, *arguments)
    made(ended.code, f"{step} at {n_cells:,} cells")
    row = {"cells": n_cells, "step": step, "peak": ended.peak, "seconds": round(ended.seconds, 1)}
    print(json.dumps(row), file=sys.stderr, flush=True)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**row, **made_with()}))


def made(code: int, what: str) -> None:
    """Stop where a process failed; what it said is above."""
    if code:
        sys.exit(f"{what} failed with exit code {code}")


def write(folder: Path) -> None:
    """Gather all figures."""
    rows = [json.loads(path.read_text()) for path in (folder / "figures").iterdir()]
    order = (*RUN_STEPS, "wide report")
    result = {
        "genes": GENES,
        "train": TRAIN,
        "wide_features": WIDE,
        "start": forked(int).peak,
        "rows": sorted(rows, key=lambda row: (order.index(row["step"]), row["cells"])),
    }
    out = HERE / "results" / "memory.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)


def write_once(place: Path, n_cells: int) -> None:
    """The inputs, and the configuration that uses them."""
    asked = write_inputs(place, n_cells, TRAIN)
    (place / "asked.json").write_text(json.dumps(asked))


def wide_run(folder: Path, n_cells: int) -> None:
    """A made-up run of few cells with many features, and in place of its cells x features a matrix of many cells."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from anndata import AnnData
    from studies import made_up, made_up_features

    made_up_features.N_FEATURES = WIDE
    made_up.make_run(folder)
    some = sp.random(BLOCK, WIDE, FIRING, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    AnnData(sp.vstack([some] * (n_cells // BLOCK), format="csr")).write_h5ad(folder / "programs" / "cells.h5ad")
    made_up.seal(folder)
    (folder / "made").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), [int(size) for size in sys.argv[2:]] or list(SIZES))
