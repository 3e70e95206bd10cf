"""The whole pipeline on planted cells, scored against what is planted: a model pretrained on them, its features, what
steering them does, and a recipe from one type to another.

    python benchmarks/bench_planted.py FOLDER [--seed 0] [--steps 600]

FOLDER keeps cells, model and run; a call that was interrupted goes on. Results, one entry a seed, go to
benchmarks/results/planted.json. What each figure is stands in ``scores``.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from bench_truth import plain
from calibration.world import ABOVE
from made_with import made_with

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.recovery import auroc, correlations
from cellprism.simulate.answers import Answers, answers_of
from cellprism.simulate.truth import ProgramTruth, program_truth, recipe_truth

RESULT = Path(__file__).parent / "results" / "planted.json"
STEERED = 3  # programs
BINS = 10  # of mean expression, within which gene names change places
LIKE_PBMC2 = {"objective": "split", "factors": 24, "dimension": 0.05, "second-moment": 0.99, "warmup": 120}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=600)
    asked = parser.parse_args()
    folder, began = asked.folder / f"seed{asked.seed}", time.perf_counter()
    if not (cells := folder / "cells.h5ad").exists():
        cellprism("simulate", folder / "cells", "--seed", asked.seed)
    flags = [word for name, value in LIKE_PBMC2.items() for word in (f"--{name}", value)]
    if not (folder / "model" / "config.json").exists():
        cellprism("pretrain", cells, "--out", folder / "model", "--steps", asked.steps, *flags)
    answers = answers_of(anndata.read_h5ad(cells))
    source, target = most_different(answers)
    (folder / "run.toml").write_text(configuration(folder, answers, source, target))
    cellprism("run", folder / "run.toml", "--out", folder / "run")
    found = scores(folder / "run", answers, source, target)
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    took = {"steps": asked.steps, "seconds": time.perf_counter() - began}
    record[f"seed {asked.seed}"] = plain({**found, **took, **made_with()})
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record[f"seed {asked.seed}"], indent=1))


def cellprism(*words: Any) -> None:
    """One verb, as on the command line."""
    subprocess.run([sys.executable, "-m", "cellprism", *map(str, words)], check=True)


def most_different(answers: Answers) -> tuple[str, str]:
    """The two types that differ in most programs, the first pair of them."""
    pairs = [(a, b) for i, a in enumerate(answers.types) for b in answers.types[i + 1 :]]
    return max(pairs, key=lambda pair: len(answers.differing(*pair)))


def configuration(folder: Path, answers: Answers, source: str, target: str) -> str:
    """The run: programs are the planted ones, steered are features of some; one autoencoder, since rates have no part
    in the scores."""
    named = ", ".join(f'"{program}"' for program in answers.programs[:STEERED])
    return f"""cells = "{folder / "cells.h5ad"}"
model = "{folder / "model"}"
layer = 1
labels = "cell_type"

[train]
k = 4
epochs = 1

[programs]
collection = "{folder / "cells.gmt"}"
seeds = 1

[stability]
seeds = 3

[adds]
cells = 300
seeds = 1

[steer]
programs = [{named}]
cells = 48

[contrast]
source = "{source}"
target = "{target}"
objectives = ["latent"]

[contrast.search]
max_cells = 100
"""


def scores(run: Path, answers: Answers, source: str, target: str) -> dict[str, Any]:
    """What is right.

    ``programs``: one-to-one match of features and programs by gene profiles (correlation over cells), mean AUROC and F1
    beside names that changed places among genes of like expression. ``enrichment``: of the features that match a
    program and know one, the share whose best program is the one that they know best; its chance is that of shuffled
    answers. ``steering``: of the features steered for a program, AUROC of its genes not in the feature's own list in
    what turning it up moves, in the feature's direction (.5 is chance), and how many the page calls above controls.
    ``recipe``: precision and recall of the programs that differ between the two types, beside permuted recipes.
    """
    activity, cells = anndata.read_h5ad(run / "programs" / "cells.h5ad"), anndata.read_h5ad(run / "cells.h5ad")
    codes, expression = sp.csr_matrix(activity.X).toarray(), log1p_cp10k(cells).toarray()
    members = answers.weights.loc[list(cells.var_names)].to_numpy().T > 0
    mean = expression.mean(axis=0)
    alike = np.digitize(mean, np.quantile(mean, np.linspace(0, 1, BINS + 1)[1:-1]))
    fires = codes.any(axis=0)
    profiles = np.zeros((codes.shape[1], cells.n_vars))
    profiles[fires] = correlations(codes[:, fires], expression)
    truth = program_truth(profiles, members, list(answers.programs), 39, alike=alike)
    return {
        "cells": cells.n_obs, "genes": cells.n_vars, "features": int(fires.sum()), "programs": truth.summary(),
        "enrichment": enriched(run, truth), "steering": steered(run, answers),
        "recipe": recipe(run, truth, answers.differing(source, target), np.flatnonzero(fires)),
    }  # fmt: skip


def enriched(run: Path, truth: ProgramTruth) -> dict[str, float]:
    """Best programs of features by enrichment against the programs that their profiles know best."""
    table = pd.read_parquet(run / "programs" / "features.parquet").set_index("feature")
    known = truth.features.set_index("feature")["program"]
    both = table.loc[(table["best_padj"] < 0.05)].join(known[known != ""], how="inner")
    right = both["best_term"].to_numpy() == both["program"].to_numpy()
    rng = np.random.default_rng(0)
    shuffled = [np.mean(both["best_term"].to_numpy() == rng.permutation(both["program"])) for _ in range(199)]
    return {"features": len(both), "right": float(right.mean()), "chance": float(np.mean(shuffled))}


def steered(run: Path, answers: Answers) -> dict[str, Any]:
    """Whether what a feature moves are the genes of the program that it was steered for."""
    summary = json.loads((run / "steer" / "programs" / "summary.json").read_text())
    claims = {claim["id"]: claim["verdict"] for claim in json.loads((run / "claims.json").read_text())}
    effects = pd.read_parquet(run / "steer" / "programs" / "effects.parquet")
    areas, called = [], []
    for row in (row for row in summary["features"] if row["status"] == "judged"):
        moved = effects[(effects["feature"] == row["feature"]) & (effects["alpha"] == 1 + row["judged_at"])]
        others = moved[~moved["on_target"]]
        member = others["gene"].isin(answers.genes_of(row["asked_for"])).to_numpy()
        if member.any():
            areas.append(float(auroc(row["direction"] * others[["effect"]].to_numpy(), member[:, None])[0, 0]))
        called.append(claims[f"steer-programs-{row['feature']}-genes"] == ABOVE)
    return {"features": len(called), "other_genes_auroc": np.mean(areas), "each": areas, "above_controls": sum(called)}


def recipe(run: Path, truth: ProgramTruth, differing: dict[str, int], firing: np.ndarray) -> dict[str, float]:
    """The recipe of the inner state, its strengths moved by more than .1."""
    table = pd.read_parquet(run / "contrast" / "latent" / "recipe.parquet")
    table = table[(table["strength"] - 1).abs() > 0.1]
    strengths = dict(zip(table["feature"].astype(int), table["strength"].astype(float), strict=True))
    return {"moved": len(strengths), "differing": len(differing), **recipe_truth(strengths, truth, differing, firing)}


if __name__ == "__main__":
    main()
