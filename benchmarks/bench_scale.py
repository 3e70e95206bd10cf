"""Cells encoded by a dictionary: cells a second and memory at several sizes, one process against two, as JSON.

    python benchmarks/bench_scale.py FOLDER [--cells 5000 20000] [--workers 1 2] [--rounds 1]
    python benchmarks/bench_scale.py FOLDER --model mini --about PBMC3K.h5ad --cells 1000 4000 --rounds 3

The dictionary is that of a short run; the cells have its counts, drawn anew about each cell, and are written block by
block. Without ``--model`` they are planted cells with a panel of 200 genes, and the model is a random one of 16
dimensions and 2 blocks. Each encoding is a command of its own: seconds and the largest memory of any of its processes
are those of the whole command. Sizes and numbers of workers take turns in each round. What a cell takes is the
difference of two sizes over the difference of cells (medians over rounds); a row for a million cells is reckoned from
it where none were encoded, and says so. FOLDER keeps inputs and figures: the same command goes on.
"""

import argparse
import itertools
import json
import os
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
from made_with import made_with
from small_run import no_bar, write_inputs

from cellprism.store.h5ad import write_h5ad_rows
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run

TRAINED_ON, BLOCK, MILLION = 2_000, 1_000, 1_000_000
TAKEN = ("seconds", "processor_seconds", "result_mb")
TRAIN = {"n_features": 128, "k": 8, "epochs": 1, "batch_size": 4096}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--cells", type=int, nargs="+", default=[5_000, 20_000])
    asked.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked.add_argument("--rounds", type=int, default=1)
    asked.add_argument("--model", default="")
    asked.add_argument("--about", type=Path, help="cells that a dictionary of the model is trained on")
    given = asked.parse_args()
    if bool(given.model) != bool(given.about):
        asked.error("--model and --about go together: a model, and cells to train its dictionary on")
    given.folder.mkdir(parents=True, exist_ok=True)
    run = trained(given.folder, given.model, given.about)
    turns = itertools.product(range(given.rounds), given.cells, given.workers)
    for turn, n_cells, workers in turns:
        path = given.folder / f"figures-{n_cells}-{workers}-{turn}.json"
        if not path.is_file():
            path.write_text(json.dumps(encoded(written(given.folder, n_cells, given.about), run, workers, n_cells)))
            print(path.read_text(), file=sys.stderr, flush=True)
    rows = medians([json.loads(path.read_text()) for path in sorted(given.folder.glob("figures-*.json"))])
    subject = {"model": given.model or "random, 16 dimensions"}
    found = {"rows": rows, "a_cell": a_cell(rows), "reckoned": reckoned(rows)}
    print(json.dumps({**made_with(), **subject, **found}, indent=2))


def trained(folder: Path, model: str = "", about: Path | None = None) -> Path:
    """A run with a dictionary: of a known model and of cells that are there, or of a random one and planted cells."""
    if not (folder / "run" / "run.json").is_file():
        known = {"cells": str(about), "model": model, "layer": 1, "train": {"n_features": 512, "k": 4, "epochs": 1}}
        config = make_config(known if model else write_inputs(folder, TRAINED_ON, TRAIN))
        start_run(config, folder / "run", no_bar, lambda text: None, ("cells", "train"))
    return folder / "run"


def written(folder: Path, n_cells: int, about: Path | None = None) -> Path:
    """Cells whose counts are drawn about those of known cells, a block in memory at a time."""
    path = folder / f"cells-{n_cells}.h5ad"
    if path.is_file():
        return path
    known = anndata.read_h5ad(about or folder / "cells.h5ad")
    counts, about_which = sp.csr_matrix(known.X), np.random.default_rng(3).integers(known.n_obs, size=n_cells)

    def blocks() -> Iterator[sp.csr_matrix]:
        rng = np.random.default_rng(1)
        for start in range(0, n_cells, BLOCK):
            drawn = rng.poisson(counts[about_which[start : start + BLOCK]].toarray() + 0.05)
            drawn[:, 0] += drawn.sum(axis=1) == 0
            yield sp.csr_matrix(drawn.astype(np.float32))

    values = sum(block.nnz for block in blocks())
    obs = known.obs.filter(["cell_type"]).iloc[about_which].set_axis([f"cell{i}" for i in range(n_cells)])
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


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each size and number of workers, over rounds; seconds of each round beside."""
    table = pd.DataFrame(rows)
    found = table.groupby(["cells", "workers"]).median().reset_index().to_dict("records")
    rounds = {key: list(some) for key, some in table.groupby(["cells", "workers"])["seconds"]}
    return [{**row, "rounds": rounds[row["cells"], row["workers"]]} for row in found]


def a_cell(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a cell more takes between the least and the most cells, by number of workers, and how many times as fast as
    one process that is, beyond the start."""
    found = []
    for workers in sorted({row["workers"] for row in rows}):
        some = sorted((row for row in rows if row["workers"] == workers), key=lambda row: row["cells"])
        if len(some) > 1:
            few, many = some[0], some[-1]
            each = {name: round((many[name] - few[name]) / (many["cells"] - few["cells"]), 6) for name in TAKEN}
            found.append(
                {"workers": workers, **each, "start_seconds": round(few["seconds"] - few["cells"] * each["seconds"], 1)}
            )
    alone = [row["seconds"] for row in found if row["workers"] == 1]
    return [{**row, "times_as_fast": round(alone[0] / row["seconds"], 2)} if alone else row for row in found]


def reckoned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A million cells by what a cell more takes, where none were encoded."""
    found = []
    for each in a_cell(rows):
        many = max((row for row in rows if row["workers"] == each["workers"]), key=lambda row: row["cells"])
        if many["cells"] < MILLION:
            whole = {name: round(many[name] + each[name] * (MILLION - many["cells"]), 1) for name in TAKEN}
            found.append({"workers": each["workers"], "cells": MILLION, "not_run": True, **whole})
    return found


if __name__ == "__main__":
    main()
