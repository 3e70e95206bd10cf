"""Peak resident memory of training on 700, 2,700 and 100,000 cells, as JSON.

    python benchmarks/bench_training_memory.py DATA

DATA holds pbmc3k_raw_labelled.h5ad. Cells beyond the 2,700 are drawn from them again, each count kept with probability
0.9, so that all sets have the same genes. Every training is a process of its own with the bundled model and 128 MiB for
residuals, stopped after STEPS steps: by then it is in its fourth window wherever there are so many. Figures are in MiB:

- start: interpreter, libraries and model; counts: the matrix of counts, which is there whatever is done with it (none
  where cells stay in their file); beyond: what training adds to both, at the peak;
- forward: what one forward pass of 32 cells adds, a part of beyond;
- per_100_steps: the largest resident memory seen in each hundred steps.
"""

import json
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from made_with import made_with

HERE = Path(__file__).parent
MEMORY, STEPS, BATCH = 1 << 27, 400, 4096
RUNS = [(700, False), (2_700, False), (100_000, False), (100_000, True)]  # cells, whether they stay in their file
MB = 1 << 20


def main(data: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "prepare", str(data), folder], check=True)
        rows = []
        for n_cells, backed in RUNS:
            command = [sys.executable, __file__, "measure", f"{folder}/{n_cells}.h5ad", str(int(backed))]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(json.dumps(rows[-1]), file=sys.stderr)
    result = {
        **made_with(),
        "memory_setting": MEMORY // MB,
        "batch_size": BATCH,
        "rows": rows,
    }
    out = HERE / "results" / "training_memory.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)


def prepare(data: Path, folder: Path) -> None:
    """The sets of cells, aligned to the model's genes, as files."""
    import anndata

    import cellprism as cp

    cells = cp.read_cells(data / "pbmc3k_raw_labelled.h5ad", model=cp.load_model("mini"))
    rng = np.random.default_rng(0)
    for n_cells in sorted({n for n, _ in RUNS}):
        if n_cells <= cells.n_obs:
            some = cells[np.sort(rng.permutation(cells.n_obs)[:n_cells])].copy()
        else:
            x = cells.X[rng.integers(cells.n_obs, size=n_cells)]
            x.data = rng.binomial(x.data.astype(np.int64), 0.9).astype(np.float32)
            x.eliminate_zeros()
            some = anndata.AnnData(x, var=cells.var)
            some.obs["total_counts"] = np.asarray(x.sum(axis=1)).ravel()
        some.write_h5ad(folder / f"{n_cells}.h5ad")


class Enough(Exception):
    """The training has gone far enough."""


def measure(path: Path, backed: bool) -> None:
    """Train on one set and print what it took."""
    import anndata

    import cellprism as cp

    model, config = cp.load_model("mini"), cp.SaeConfig(memory=MEMORY, batch_size=BATCH)
    train = cp.train_sae
    start = resident()
    cells = anndata.read_h5ad(path, backed="r" if backed else None)
    counts = 0 if backed else sum(a.nbytes for a in (cells.X.data, cells.X.indices, cells.X.indptr))
    before = resident()
    forget_peak()
    batch = next(model.batches(cells[:32].to_memory(), 32))
    model.residual(batch, 1)
    forward = peak() - before
    seen: list[int] = []
    forget_peak()

    def progress(done: int, _: object) -> None:
        if done % 100 == 1:
            seen.append(0)
        seen[-1] = max(seen[-1], resident())
        if done == STEPS:
            raise Enough

    with suppress(Enough):
        train(model, cells, 1, config, progress=progress)
    most = peak()
    print(json.dumps({
        "cells": cells.n_obs, "genes": cells.n_vars, "in_file": backed, "start": start, "counts": counts // MB,
        "peak": most, "beyond": most - start - counts // MB, "forward": forward, "per_100_steps": seen, "steps": STEPS,
    }))  # fmt: skip


def resident() -> int:
    """Resident memory now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // MB


def peak() -> int:
    """Largest resident memory since it was last forgotten, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1] == "measure":
        measure(Path(sys.argv[2]), sys.argv[3] == "1")
    else:
        main(Path(sys.argv[1]))
