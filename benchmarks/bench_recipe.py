"""The published solver of a recipe beside ours: time per step, and the objective at equal time, in one run.

    python benchmarks/bench_recipe.py DATA SAE [--model pbmc2] [--cells 40] [--objective latent-by-cell ...]

DATA holds pbmc3k_raw_labelled.h5ad; SAE is the folder of an autoencoder on block 1. CD4 to CD8 T cells of PBMC3K, the
published objective J(alpha) = mean over cells of the squared distance to the target + lambda |alpha - 1|_1 with lambda
1e-3, of the same cells for both. *Published*: Adam with learning rate .01, 4 cells a step, 10 epochs, a sub-gradient
of the penalty. *Ours*: proximal steps on all cells at once, down a path of penalties that ends at the same lambda
(``steering.contrast.proximal``); it may take as long as the other took. The objective of all cells is told after every
epoch and every evaluation, out of the clock. Results go to benchmarks/results/recipe.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_truth import plain
from made_with import made_with

from cellprism.cells.read import read_cells
from cellprism.models.registry import load_model
from cellprism.sae.files import load_sae
from cellprism.steering.contrast.cell_split import Pair
from cellprism.steering.contrast.objective import ContrastProblem
from cellprism.steering.contrast.proximal import ProximalSolver, falling_penalties
from cellprism.steering.contrast.recipe_search import aim_of, measure
from cellprism.steering.settings import OBJECTIVES
from cellprism.steering.site_cache import read_site_cache

RESULT, LAYER, GENES = Path(__file__).parent / "results" / "recipe.json", 1, 100
SOURCE, TARGET = "CD4 T cells", "CD8 T cells"
RATE, BATCH, EPOCHS, PENALTY = 0.01, 4, 10, 1e-3
PATH, EACH = 4, 3  # penalties on our path, and most gradients at each before the last


class Clock:
    """Seconds of the processor that count, and the objective at some of them."""

    def __init__(self, problem: ContrastProblem):
        self.problem, self.spent, self.rows = problem, 0.0, []
        self.began = time.process_time()

    def stop(self, strengths: torch.Tensor, steps: int) -> None:
        """Note the objective of all cells, out of the clock."""
        self.spent += time.process_time() - self.began
        self.rows.append({
            "seconds": self.spent, "steps": steps, "objective": objective(self.problem, strengths),
            "features": int((strengths != 1).sum()),
        })  # fmt: skip
        print(self.rows[-1], flush=True)
        self.began = time.process_time()


def objective(problem: ContrastProblem, strengths: torch.Tensor) -> float:
    """The published objective of a problem's cells, with its penalty."""
    return problem.loss(strengths) + PENALTY * float((strengths - 1).abs().sum())


def main() -> None:
    parser = argparse.ArgumentParser(description="The published solver of a recipe beside ours.")
    parser.add_argument("data", type=Path)
    parser.add_argument("sae", type=Path)
    parser.add_argument("--model", default="pbmc2")
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--objective", nargs="*", default=["latent-by-cell"], choices=OBJECTIVES)
    asked = parser.parse_args()
    model = load_model(asked.model)
    whole = read_cells(str(asked.data / "pbmc3k_raw_labelled.h5ad"), model=model, labels="louvain")
    rng, kinds = np.random.default_rng(0), whole.obs["cell_type"].astype(str).to_numpy()
    rows = [rng.permutation(np.flatnonzero(kinds == kind))[: asked.cells] for kind in (SOURCE, TARGET)]
    cells = whole[np.concatenate(rows)].copy()
    cache = read_site_cache(model, load_sae(asked.sae), cells, LAYER, BATCH)
    pair = Pair(np.arange(len(rows[0])), np.arange(len(rows[0]), cells.n_obs))
    for name in asked.objective:
        aim = aim_of(cache, name, measure(cache, pair, pair, GENES), rng, pair.target)
        keep(compare(ContrastProblem(cache, pair.source, aim)) | {
            "model": asked.model, "objective": name, "cells": len(pair.source), "features": cache.n_features,
            "genes": len(cache.genes), "read": cache.read, "penalty": PENALTY,
        })  # fmt: skip


def compare(problem: ContrastProblem) -> dict[str, Any]:
    """Both solvers on one problem."""
    neutral = objective(problem, problem.cache.W_dec.new_ones(problem.cache.n_features))
    published = adam(problem)
    limit = published[-1]["seconds"]
    ours = proximal(problem, limit)
    reached = [row for row in ours if row["seconds"] <= limit]
    best = published[-1]["objective"]
    sooner = next((row["seconds"] for row in ours if row["objective"] <= best), None)
    return {
        "neutral": neutral, "published": published, "ours": ours, "at_equal_time": {
            "seconds": limit, "published": best, "ours": reached[-1]["objective"] if reached else neutral,
        },
        "ours_as_low_after": sooner,
        "seconds_a_step": {
            name: rows[-1]["seconds"] / rows[-1]["steps"] for name, rows in (("published", published), ("ours", ours))
        },
    }  # fmt: skip


def adam(problem: ContrastProblem) -> list[dict[str, Any]]:
    """The published one."""
    strengths = torch.ones(problem.cache.n_features)
    moments, rng, steps = torch.zeros(2, problem.cache.n_features), np.random.default_rng(0), 0
    clock = Clock(problem)
    for _ in range(EPOCHS):
        order = rng.permutation(problem.cells)
        for some in np.array_split(order, -(-len(order) // BATCH)):
            part = ContrastProblem(problem.cache, np.sort(some), problem.aim)
            gradient = part.loss_and_gradient(strengths)[1] + PENALTY * (strengths - 1).sign()
            steps += 1
            moments[0].lerp_(gradient, 0.1)
            moments[1].lerp_(gradient.square(), 0.001)
            first, second = moments[0] / (1 - 0.9**steps), moments[1] / (1 - 0.999**steps)
            strengths = strengths - RATE * first / (second.sqrt() + 1e-8)
        clock.stop(strengths, steps)
    return clock.rows


def proximal(problem: ContrastProblem, limit: float) -> list[dict[str, Any]]:
    """Ours, until the time is over."""
    clock, solver = Clock(problem), ProximalSolver(iterations=EACH)
    state = solver.start(problem)
    clock.stop(state.strengths, state.evaluations)
    last = PENALTY / state.scale
    before = falling_penalties(state.largest_penalty, last, PATH) if state.largest_penalty > last else []
    for penalty in [*before, *[last] * 1000]:
        ended = state.evaluations
        state = solver.solve(problem, state, penalty)
        clock.stop(state.strengths, state.evaluations)
        if clock.spent > limit or (penalty == last and state.evaluations == ended):
            break
    return clock.rows


def keep(row: dict[str, Any]) -> None:
    """Write a row beside the others."""
    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    rows = [old for old in rows if (old["model"], old["objective"]) != (row["model"], row["objective"])]
    RESULT.write_text(json.dumps(plain({"rows": [*rows, row | made_with()]}), indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
