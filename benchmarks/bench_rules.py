"""Which list rule recovers planted programs: lists of a finished run on planted cells, scored against the answers.

    python benchmarks/bench_rules.py RUN [RUN ...]

RUN is a run folder with programs (``bench_planted.py`` makes such runs, on ``cellprism simulate`` cells). Nothing is
trained or read by a model: lists come from the tables of the run. Every rule is scored at the same sizes: 20 and 50
genes, and the sizes that participation ratios give. F1 of lists and AUROC of what ranks the genes are means over
planted programs, each of its own one-to-one match of features and programs; chance is the same under gene names that
change places among genes of like mean expression. Results, one entry a run, go to benchmarks/results/rules.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from bench_truth import plain
from made_with import made_with

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.gene_sets import dense
from cellprism.enrich.list_rules import standardised
from cellprism.equations.footprint import gene_set_size, participation_ratio
from cellprism.equations.recovery import auroc, correlations, one_to_one
from cellprism.simulate.answers import answers_of

RESULT = Path(__file__).parent / "results" / "rules.json"
SIZES = (20, 50)
BINS, SHUFFLES = 10, 9  # of mean expression; of gene names within them
SPREAD = "participation"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    record = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for run in asked.runs:
        began, name = time.perf_counter(), run.resolve().parent.name
        found = scored(run)
        stamp = {"seconds": time.perf_counter() - began, **made_with()}
        record[name] = plain({**found, **stamp})
        asked.out.write_text(json.dumps(record, indent=1) + "\n")
        print(name, shown(record[name]), sep="\n")


def scored(run: Path) -> dict[str, Any]:
    """Every rule of a run beside chance."""
    cells = anndata.read_h5ad(run / "cells.h5ad")
    F, A = (anndata.read_h5ad(run / "programs" / f"{name}.h5ad") for name in ("genes", "cells"))
    answers = answers_of(_simulated(run))
    members = answers.weights.loc[list(cells.var_names)].to_numpy().T > 0
    values = rankings(F, A, cells)
    mean = np.asarray(log1p_cp10k(cells).mean(axis=0)).ravel()
    bins = np.digitize(mean, np.quantile(mean, np.linspace(0, 1, BINS + 1)[1:-1]))
    rng = np.random.default_rng(0)
    orders = [np.lexsort((rng.random(len(bins)), bins)) for _ in range(SHUFFLES)]
    answered = [members, *(_renamed(members, np.argsort(bins, kind="stable"), order) for order in orders)]
    sizes = gene_set_size(participation_ratio(values["mean"]))
    rows = []
    for rule, S in values.items():
        place = np.argsort(np.argsort(-S, axis=1, kind="stable"), axis=1)
        areas = _beside_chance("auroc", [auroc(S.T, some.T) for some in answered])
        for size, n in [*((str(k), np.full(len(S), k)) for k in SIZES), (SPREAD, sizes)]:
            inside = (place < n[:, None]) & (S > 0)
            lists = _beside_chance("f1", [_overlap(inside, some) for some in answered])
            rows.append({"rule": rule, "size": size, "genes": float(inside.sum(axis=1).mean()), **lists, **areas})
    return {"cells": cells.n_obs, "features": len(sizes), "programs": len(members), "rows": rows}


def _simulated(run: Path) -> AnnData:
    """The cells with their answers, which lie beside the run."""
    return anndata.read_h5ad(run.resolve().parent / "cells.h5ad")


def rankings(F: AnnData, A: AnnData, cells: AnnData) -> dict[str, np.ndarray]:
    """What each rule ranks genes by [feature gene], of features that fire; 0 where a gene cannot be in a list."""
    fires = (F.obs["firing_rate"] > 0).to_numpy()
    mean = dense(F)[fires]
    largest = np.asarray(F.layers["max"])[fires] * (mean > 0)
    r = correlations(sp.csr_matrix(A.X).toarray()[:, fires], log1p_cp10k(cells).toarray())
    return {"mean": mean, "maximum": largest, "standardised": standardised(mean).clip(0), "correlation": r.clip(0)}


def _overlap(inside: np.ndarray, members: np.ndarray) -> np.ndarray:
    """F1 of each list for each program."""
    shared = inside.astype(float) @ members.T
    return 2 * shared / np.maximum(inside.sum(axis=1)[:, None] + members.sum(axis=1), 1)


def _beside_chance(name: str, found: list[np.ndarray]) -> dict[str, float]:
    """Means over programs of the matched features' scores: of the true names, and of those that changed places."""
    means = [float(values[one_to_one(values), np.arange(values.shape[1])].mean()) for values in found]
    return {name: means[0], f"chance_{name}": float(np.mean(means[1:]))}


def _renamed(members: np.ndarray, straight: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Programs whose genes changed places within their bins."""
    found = np.empty_like(members)
    found[:, straight] = members[:, order]
    return found


def shown(found: dict[str, Any]) -> str:
    head = f"{'rule':<14}{'size':>14}{'genes':>7}{'F1':>7}{'chance':>8}{'AUROC':>7}{'chance':>8}"
    lines = [
        f"{row['rule']:<14}{row['size']:>14}{row['genes']:>7.1f}{row['f1']:>7.3f}{row['chance_f1']:>8.3f}"
        f"{row['auroc']:>7.3f}{row['chance_auroc']:>8.3f}"
        for row in found["rows"]
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
