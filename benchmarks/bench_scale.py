"""Cells encoded by a dictionary: cells a second and memory at several sizes, one process against two, as JSON.

    python benchmarks/bench_scale.py FOLDER [--cells 5000 20000] [--workers 1 2]

The cells have a panel of 200 genes, written block by block; the dictionary is that of a run on 2,000 such cells, of a
random model of 16 dimensions and 2 blocks. Each encoding is a command of its own: seconds and the largest memory of any
of its processes are those of the whole command. What a cell takes is the difference of two sizes over the difference of
cells. Where no million cells were encoded, a row for them is reckoned from it, and says so. FOLDER keeps inputs and
figures: the same command goes on, and with other sizes.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from bench_pbmc3k import processor
from small_run import no_bar, write_inputs

from cellprism.store.h5ad import write_h5ad_rows
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run

TRAINED_ON, BLOCK, MILLION = 2_000, 1_000, 1_000_000
TRAIN = {"n_features": 128, "k": 8, "epochs": 1, "batch_size": 4096}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--cells", type=int, nargs="+", default=[5_000, 20_000])
    asked.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    run = trained(given.folder)
    for n_cells in given.cells:
        cells = written(given.folder, n_cells)
        for workers in given.workers:
            path = given.folder / f"figures-{n_cells}-{workers}.json"
            if not path.is_file():
                path.write_text(json.dumps(encoded(cells, run, workers, n_cells)))
                print(path.read_text(), file=sys.stderr, flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(given.folder.glob("figures-*.json"))]
    print(json.dumps({**made_on(), "rows": rows, "reckoned": reckoned(rows)}, indent=2))


def made_on() -> dict[str, Any]:
    """The commit, the machine and the day."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    facts = {"commit": commit, "processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    return {**facts, "date": time.strftime("%Y-%m-%d")}


def trained(folder: Path) -> Path:
    """A run with a dictionary."""
    if not (folder / "run" / "run.json").is_file():
        config = make_config(write_inputs(folder, TRAINED_ON, TRAIN))
        start_run(config, folder / "run", no_bar, lambda text: None, ("cells", "train"))
    return folder / "run"


def written(folder: Path, n_cells: int) -> Path:
    """Cells whose counts are drawn about those of the training cells, a block in memory at a time."""
    path = folder / f"cells-{n_cells}.h5ad"
    if path.is_file():
        return path
    known = anndata.read_h5ad(folder / "cells.h5ad")
    rates = np.asarray(sp.csr_matrix(known.X).toarray(), dtype=np.float64) + 0.05

    def blocks() -> Iterator[sp.csr_matrix]:
        rng = np.random.default_rng(1)
        for start in range(0, n_cells, BLOCK):
            drawn = rng.poisson(rates[rng.integers(len(rates), size=min(BLOCK, n_cells - start))])
            drawn[:, 0] += drawn.sum(axis=1) == 0
            yield sp.csr_matrix(drawn.astype(np.float32))

    values = sum(block.nnz for block in blocks())
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    parts = ((block.data, block.indices, block.indptr) for block in blocks())
    write_h5ad_rows(path, AnnData(obs=obs, var=pd.DataFrame(index=known.var_names)), parts, values)
    return path


def encoded(cells: Path, run: Path, workers: int, n_cells: int) -> dict[str, Any]:
    """What one command takes."""
    out = cells.with_name(f"features-{workers}.h5ad")
    words = ["encode", str(cells), "--with", str(run), "--out", str(out), "--again", "--device", "cpu"]
    words += ["--cluster", f"local:{workers}"] if workers > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    clock = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "cellprism", *words], env=environment, stdout=sys.stderr)
    _, code, used = os.wait4(process.pid, 0)  # of the command and of all that it waited for
    if code:
        raise SystemExit(f"encoding {n_cells:,} cells with {workers} workers failed")
    return {
        "cells": n_cells, "workers": workers, "seconds": round(time.perf_counter() - clock, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1), "peak_mib": round(used.ru_maxrss / 1024),
        "result_mb": round(out.stat().st_size / 1e6, 1), "cells_mb": round(cells.stat().st_size / 1e6, 1),
    }  # fmt: skip


def reckoned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A million cells by what a cell more takes, between the least and the most cells that were measured."""
    found = []
    for workers in sorted({row["workers"] for row in rows}):
        some = sorted((row for row in rows if row["workers"] == workers), key=lambda row: row["cells"])
        if len(some) < 2 or some[-1]["cells"] >= MILLION:
            continue
        few, many = some[0], some[-1]
        a_cell = {
            name: (many[name] - few[name]) / (many["cells"] - few["cells"])
            for name in ("seconds", "processor_seconds", "result_mb")
        }
        whole = {name: round(few[name] + each * (MILLION - few["cells"]), 1) for name, each in a_cell.items()}
        rate = round(1 / a_cell["seconds"], 1) if a_cell["seconds"] > 0 else None
        found.append({"workers": workers, "cells": MILLION, "not_run": True, "cells_a_second": rate, **whole})
    return found


if __name__ == "__main__":
    main()
