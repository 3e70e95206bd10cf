"""What screening every feature costs, and how well derivatives rank features that were passed exactly.

    python benchmarks/bench_screen.py DATA [--model mini pbmc2] [--cells 200] [--exact-every N]

DATA holds pbmc3k_raw_labelled.h5ad. 200 cells of PBMC3K, or fewer (all times but that of the training are in proportion
to them), as many of each type as there are; an autoencoder of 512
features, 4 at a token, on block 1. Rows go to benchmarks/results/screen.json as parts are done: seconds of the clock,
seconds of the processor (what counts on a machine that others use), operations as torch counts them. Of the exact
sample (the top 5 % and a random 5 % of the features that fire, at strengths 0, 2 and 5) every Nth feature is passed;
the cost of all is that of these times N.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench_truth import machine, plain
from scipy.stats import spearmanr

from cellprism.cells.balanced import balanced
from cellprism.cells.read import read_cells
from cellprism.features.train import train_sae
from cellprism.models.registry import load_model
from cellprism.sae.config import SaeConfig
from cellprism.steering.dose_cells import DoseCells, read_dose_cells
from cellprism.steering.screen.derivatives import gene_derivatives, scalar_derivatives, ways
from cellprism.steering.screen.exact import exact_effects, to_check
from cellprism.steering.screen.scalars import type_axis

RESULT, LAYER, CELLS, LEAST = Path(__file__).parent / "results" / "screen.json", 1, 200, 8
STRENGTHS, SHARE = (0.0, 2.0, 5.0), 0.05
CONFIG = SaeConfig(k=4, expansion=8, centring="group", epochs=1)
SOURCE, TARGET = "CD4 T cells", "CD8 T cells"


def main() -> None:
    parser = argparse.ArgumentParser(description="What screening every feature costs.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", nargs="*", default=["mini", "pbmc2"])
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--exact-every", type=int, default=1)
    asked = parser.parse_args()
    for name in asked.model:
        measure(name, asked.data / "pbmc3k_raw_labelled.h5ad", asked.cells, asked.exact_every)


@contextmanager
def timed(row: dict[str, Any], name: str) -> Iterator[None]:
    """Seconds of the clock and of the processor."""
    clock, used = time.perf_counter(), time.process_time()
    yield
    row[name] = {"seconds": time.perf_counter() - clock, "processor_seconds": time.process_time() - used}
    print(name, row[name], flush=True)


def measure(name: str, path: Path, count: int, every: int) -> None:
    """One model's row."""
    model = load_model(name)
    whole = read_cells(str(path), model=model, labels="louvain")
    labelled = whole[(whole.obs["cell_type"] != "unlabelled").to_numpy()]
    rows = balanced([str(kind) for kind in labelled.obs["cell_type"]], count, np.random.default_rng(0))
    cells = labelled[rows].copy()
    row: dict[str, Any] = {"model": name, "cells": len(rows), "genes": cells.n_vars, "features": 512, "k": 4}
    with timed(row, "training"):
        sae = train_sae(model, cells, LAYER, CONFIG)
    with timed(row, "reading"):
        dose_cells = read_dose_cells(model, sae, cells, LAYER, 16, [])
    live = [f for f in range(sae.n_features) if len(dose_cells.rows(f)) >= LEAST]
    row |= {"live": len(live), "passes": dose_cells.cache.folds}
    scalar = type_axis(dose_cells.cache, [str(kind) for kind in cells.obs["cell_type"]], SOURCE, TARGET)
    scores = {}
    for kind, fixed in (("gradient", False), ("frozen", True)):
        with timed(row, f"scalar, {kind}"):
            scores[kind] = scalar_derivatives(dose_cells.cache, scalar.weights[None], fixed)[0][live]
    found = ways(dose_cells, live)
    row |= {"operations": found.operations, "way": found.cheapest}
    keep(row)
    with timed(row, "matrix"):
        matrix = gene_derivatives(dose_cells, live, found.cheapest)
    row["scalar_from_matrix"] = float(np.abs(matrix @ scalar.weights - scores["gradient"]).max())
    keep(row)
    exact(row, dose_cells, np.array(live), scores, matrix, scalar.weights, every)


def exact(
    row: dict[str, Any], dose_cells: DoseCells, live: np.ndarray, scores: dict[str, np.ndarray], matrix: np.ndarray,
    weights: np.ndarray, every: int,
) -> None:  # fmt: skip
    """Exact passes of the sample, and how derivatives go with them."""
    top, random = to_check(scores["gradient"], SHARE, np.random.default_rng(1))
    sample = {"random": random[::every], "top": top[::every]}
    effects: dict[int, np.ndarray] = {}
    spent = {"seconds": 0.0, "processor_seconds": 0.0}
    for some in sample.values():
        for place in some.tolist():
            clock, used = time.perf_counter(), time.process_time()
            effects[place] = exact_effects(dose_cells, int(live[place]), STRENGTHS)
            spent["seconds"] += time.perf_counter() - clock
            spent["processor_seconds"] += time.process_time() - used
            row["exact"] = {**spent, "features": len(effects), "of": len(top) + len(random), "strengths": STRENGTHS}
            row["agreement"] = agreement(effects, sample, scores, matrix, weights)
            keep(row)


def agreement(
    effects: dict[int, np.ndarray], sample: dict[str, np.ndarray], scores: dict[str, np.ndarray], matrix: np.ndarray,
    weights: np.ndarray,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rank correlations over features of the scalar, and over genes of the matrix (median over features)."""
    rows = []
    for name, wanted in (("random", sample["random"]), ("top and random", np.concatenate(list(sample.values())))):
        some = [place for place in wanted.tolist() if place in effects]
        for number, strength in enumerate(STRENGTHS):
            moved = np.array([effects[place][number] for place in some])
            if len(some) < 4:
                continue
            step = strength - 1
            own = {kind: rank(step * of[some], moved @ weights) for kind, of in scores.items()}
            by_gene = float(np.median([rank(step * matrix[p], m) for p, m in zip(some, moved, strict=True)]))
            rows.append({"features": name, "n": len(some), "strength": strength, **own, "genes": by_gene})
    return rows


def rank(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation."""
    return float(np.asarray(spearmanr(one, other))[0])


def keep(row: dict[str, Any]) -> None:
    """Write a model's row beside those of others."""
    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    rows = [old for old in rows if old["model"] != row["model"]]
    stamp = {"date": time.strftime("%Y-%m-%d"), **machine()}
    RESULT.write_text(json.dumps(plain({"rows": [*rows, {**row, **stamp}]}), indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
