"""Seconds for the differential genes of hundreds of overlapping groups of cells, beside scanpy and illico.

    python benchmarks/bench_lens.py DATA [--out benchmarks/results/lens.json]

DATA holds pbmc3k_raw_labelled.h5ad. Each group is the cells above the 99th percentile of a direction of the counts, as
a feature's high cells are, against those below its median. Groups overlap, so that the others are called group by group
(some of them, the rest is reckoned from these); rounds alternate between all, and medians are kept. Times are of the
processor, of all threads together: a machine that does other things as well takes longer on the clock. illico (``pip
install illico``) and scanpy are left out where they are not installed.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata
import numpy as np
from anndata import AnnData
from bench_truth import plain
from made_with import made_with

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.differential import differential

GROUPS, SOME, ROUNDS, FEWEST = 512, 4, 3, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "lens.json")
    asked = parser.parse_args()
    cells = expressed(anndata.read_h5ad(asked.data / "pbmc3k_raw_labelled.h5ad"))
    high, low = groups(cells)
    found = differential(cells.X, high[:, :SOME], low[:, :SOME])  # compiles, and is what others are compared with
    others = {name: run for name, run in PEERS.items() if find_spec(name)}
    agree = {name: largest_difference(run, cells, high, low, found.p) for name, run in others.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ("cellprism", *others)}
    for _ in range(ROUNDS):
        seconds["cellprism"].append(timed(lambda: differential(cells.X, high, low)))
        for name, run in others.items():
            took = [timed(lambda g=g, run=run: run(subset(cells, high[:, g], low[:, g]))) for g in range(SOME)]
            seconds[name].append(statistics.median(took) * GROUPS)
    medians = {name: statistics.median(some) for name, some in seconds.items()}
    result = {
        "cells": cells.n_obs, "genes": cells.n_vars, "groups": GROUPS, "seconds": medians, "rounds": seconds,
        "times": {name: medians[name] / medians["cellprism"] for name in others}, "largest_difference_in_p": agree,
        "reckoned_from_groups": SOME, **made_with(),
    }  # fmt: skip
    asked.out.write_text(json.dumps(plain(result), indent=1) + "\n")
    print(json.dumps(plain(result), indent=1))


def expressed(raw: AnnData) -> AnnData:
    """log1p counts per ten thousand of the genes that some cells have."""
    some = raw[:, np.asarray((raw.X > 0).sum(axis=0)).ravel() >= FEWEST].copy()
    some.X = log1p_cp10k(some)
    return some


def groups(cells: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Cells high and low along random directions of the counts."""
    score = cells.X @ np.random.default_rng(0).standard_normal((cells.n_vars, GROUPS))
    return score > np.quantile(score, 0.99, axis=0), score < np.quantile(score, 0.5, axis=0)


def subset(cells: AnnData, high: np.ndarray, low: np.ndarray) -> AnnData:
    """Cells of one group and of what it is compared with, as the others want them."""
    some = cells[high | low].copy()
    some.obs["group"] = np.where(high[high | low], "high", "low")
    return some


def by_scanpy(some: AnnData) -> np.ndarray:
    """p-values of the genes; scanpy has no continuity correction."""
    import scanpy

    scanpy.tl.rank_genes_groups(
        some, "group", groups=["high"], reference="low", method="wilcoxon", tie_correct=True, use_raw=False
    )
    table = scanpy.get.rank_genes_groups_df(some, "high").set_index("names")
    return table.loc[some.var_names, "pvals"].to_numpy()


def by_illico(some: AnnData) -> np.ndarray:
    """p-values of the genes."""
    from illico import asymptotic_wilcoxon

    found = asymptotic_wilcoxon(some, group_keys="group", reference="low", is_log1p=True, return_as_scanpy=False)
    return found.xs("high", level=0)["p_value"].reindex(some.var_names).to_numpy()


PEERS: dict[str, Callable[[AnnData], np.ndarray]] = {"scanpy": by_scanpy, "illico": by_illico}


def timed(work: Callable[[], Any]) -> float:
    """Seconds of the processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def largest_difference(
    run: Callable[[AnnData], np.ndarray], cells: AnnData, high: np.ndarray, low: np.ndarray, ours: np.ndarray
) -> float:
    """Of the p-values of the first groups."""
    theirs = [run(subset(cells, high[:, g], low[:, g])) for g in range(SOME)]
    return max(float(np.nanmax(np.abs(p - ours[g]))) for g, p in enumerate(theirs))


if __name__ == "__main__":
    main()
