"""What screening every feature costs, and how well each coefficient ranks features that were passed exactly.

    python benchmarks/bench_screen.py DATA FOLDER [--model mini pbmc2] [--cells 200] [--least 0] [--out FILE]

DATA holds pbmc3k_raw_labelled.h5ad and tcell_judge_linear.parquet. 200 cells of PBMC3K, as many of each type as there
are; an autoencoder of 512 features, 4 at a token, on block 1, trained on them and kept in FOLDER with all else that was
done, so that a run that was stopped goes on. A model's row goes to benchmarks/results/screen.json, or to FILE, as parts
are done: seconds of the clock, seconds of the processor (what counts on a machine that others use), operations as torch
counts them. The exact sample are the top 5 % by the plain gradient and a random 5 % of all others, at strengths 0 and
5; agreement is told over the random ones, which no screen chose. ``--least`` draws at least as many random features.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench_truth import plain
from made_with import made_with
from scipy.stats import spearmanr

from cellprism.cells.balanced import balanced
from cellprism.cells.read import read_cells
from cellprism.features.train import train_sae
from cellprism.models.registry import load_model
from cellprism.sae.config import SaeConfig
from cellprism.sae.files import load_sae, save_sae
from cellprism.steering.dose_cells import DoseCells, read_dose_cells
from cellprism.steering.screen.derivatives import gene_derivatives, scalar_derivatives, ways
from cellprism.steering.screen.exact import exact_effects, to_check
from cellprism.steering.screen.own_tokens import scalar_secants
from cellprism.steering.screen.scalars import linear_judge, type_axis
from cellprism.store.tables import read_table
from cellprism.studies.screen.summary import bootstrap_rank
from cellprism.studies.shards import Shards

RESULT, LAYER, CELLS, LEAST = Path(__file__).parent / "results" / "screen.json", 1, 200, 8
STRENGTHS, SHARE = (0.0, 5.0), 0.05
CONFIG = SaeConfig(k=4, expansion=8, centring="group", epochs=1)
SOURCE, TARGET = "CD4 T cells", "CD8 T cells"
KINDS: dict[str, Callable[..., np.ndarray]] = {
    "gradient": lambda cache, weights, strength: scalar_derivatives(cache, weights),
    "frozen": lambda cache, weights, strength: scalar_derivatives(cache, weights, True),
    "own tokens exact": scalar_secants,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="What screening every feature costs.")
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", nargs="*", default=["mini", "pbmc2"])
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--least", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    for name in asked.model:
        Bench(name, asked.data, asked.folder / name, asked.cells, asked.least, asked.out).measure()


class Bench:
    """One model's row."""

    def __init__(self, name: str, data: Path, folder: Path, count: int, least: int, out: Path):
        self.name, self.data, self.count, self.least, self.out = name, data, count, least, out
        self.folder, self.spent = folder, folder / "row.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.shards = Shards(folder, {"cells": count, "least": least})
        self.row: dict[str, Any] = json.loads(self.spent.read_text()) if self.spent.exists() else {}

    def measure(self) -> None:
        """Everything that is not done yet."""
        dose_cells, labels = self.read()
        live = [f for f in range(dose_cells.cache.n_features) if len(dose_cells.rows(f)) >= LEAST]
        self.row |= {"live": len(live), "passes": dose_cells.cache.folds, "read": dose_cells.cache.read}
        judge = read_table(self.data / "tcell_judge_linear.parquet")
        numbers = {
            f"{SOURCE} to {TARGET}": type_axis(dose_cells.cache, labels, SOURCE, TARGET).weights,
            "the outside judge": linear_judge(dose_cells.cache, judge, "CD8", "CD4", "the outside judge").weights,
        }
        weights = np.stack(list(numbers.values()))
        scores = {
            (kind, strength): self.part(
                f"two numbers, {kind} at {strength:g}",
                lambda make=make, strength=strength: make(dose_cells.cache, weights, strength),
            )
            for kind, make in KINDS.items() for strength in (STRENGTHS if make is scalar_secants else STRENGTHS[-1:])
        }  # fmt: skip
        found = ways(dose_cells, live)
        self.row |= {"operations": found.operations, "way": found.cheapest}
        matrix = self.part("matrix", lambda: gene_derivatives(dose_cells, live, found.cheapest))
        self.row["number_from_matrix"] = float(
            np.abs(matrix @ weights.T - scores["gradient", 5.0][:, live].T).max() / np.abs(weights @ matrix.T).max()
        )
        self.exact(dose_cells, np.array(live), scores, matrix, numbers)

    def read(self) -> tuple[DoseCells, list[str]]:
        """The cells, as an autoencoder reads them that is trained on them where it is not yet."""
        model = load_model(self.name)
        whole = read_cells(str(self.data / "pbmc3k_raw_labelled.h5ad"), model=model, labels="louvain")
        labelled = whole[(whole.obs["cell_type"] != "unlabelled").to_numpy()]
        rows = balanced([str(kind) for kind in labelled.obs["cell_type"]], self.count, np.random.default_rng(0))
        cells = labelled[rows].copy()
        self.row |= {"model": self.name, "cells": len(rows), "genes": cells.n_vars, "features": 512, "k": 4}
        home = self.folder / "sae"
        if not home.is_dir():
            with self.timed("training"):
                save_sae(train_sae(model, cells, LAYER, CONFIG), home)
        with self.timed("reading"):
            dose_cells = read_dose_cells(model, load_sae(home), cells, LAYER, 16, [])
        return dose_cells, [str(kind) for kind in cells.obs["cell_type"]]

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Seconds of the clock and of the processor."""
        clock, used = time.perf_counter(), time.process_time()
        yield
        took = {"seconds": time.perf_counter() - clock, "processor_seconds": time.process_time() - used}
        self.row[name] = took
        print(name, took, flush=True)
        self.keep()

    def part(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What was computed under this name, or is now, with its time."""

        def timed() -> dict[str, np.ndarray]:
            with self.timed(name):
                return {"made": make()}

        return self.shards.kept(name.replace(" ", "-"), timed)["made"]

    def exact(
        self, dose_cells: DoseCells, live: np.ndarray, scores: dict[tuple[str, float], np.ndarray],
        matrix: np.ndarray, numbers: dict[str, np.ndarray],
    ) -> None:  # fmt: skip
        """Exact passes of the sample, and how derivatives go with them."""
        own = {key: value[:, live] for key, value in scores.items()}
        rng = np.random.default_rng(1)
        top, random = to_check(own["gradient", 5.0][0], SHARE, rng)
        others = rng.permutation(np.setdiff1d(np.arange(len(live)), np.concatenate([top, random])))
        more = others[: max(0, self.least - len(random))]
        effects: dict[int, np.ndarray] = {}
        took = np.zeros(2)
        for place in [*random.tolist(), *more.tolist(), *top.tolist()]:

            def made(place: int = place) -> dict[str, np.ndarray]:
                clock, used = time.perf_counter(), time.process_time()
                found = exact_effects(dose_cells, int(live[place]), STRENGTHS)
                spent = [time.perf_counter() - clock, time.process_time() - used]
                return {"made": found, "took": np.array(spent)}

            kept = self.shards.kept(f"exact-{place}", made)
            effects[place] = kept["made"]
            took += kept["took"]
        some = {"random": np.concatenate([random, more]), "top": top}
        self.row["exact"] = {
            "strengths": STRENGTHS, "sample": len(top) + len(random), "passed": len(effects), "seconds": took[0],
            "processor_seconds": took[1],
        }  # fmt: skip
        self.row["agreement"] = agreement(effects, some, own, matrix, numbers)
        self.keep()

    def keep(self) -> None:
        """Write the row, and beside those of others."""
        self.spent.write_text(json.dumps(plain(self.row), allow_nan=False))
        rows = json.loads(self.out.read_text())["rows"] if self.out.exists() else []
        rows = [old for old in rows if old["model"] != self.row["model"]]
        text = json.dumps(plain({"rows": [*rows, {**self.row, **made_with()}]}), indent=1, allow_nan=False)
        self.out.write_text(text + "\n")


def agreement(
    effects: dict[int, np.ndarray], sample: dict[str, np.ndarray], scores: dict[tuple[str, float], np.ndarray],
    matrix: np.ndarray, numbers: dict[str, np.ndarray],
) -> list[dict[str, Any]]:  # fmt: skip
    """Rank correlations over features of each number, and over genes of the matrix (median over features)."""
    rows = []
    for name, some in (("random", sample["random"]), ("top and random", np.concatenate(list(sample.values())))):
        for at, strength in enumerate(STRENGTHS):
            moved = np.array([effects[place][at] for place in some.tolist()])
            step = strength - 1
            genes = [rank(step * matrix[p], m) for p, m in zip(some, moved, strict=True)]
            for number, (scalar, weights) in enumerate(numbers.items()):
                exact = moved @ weights
                row: dict[str, Any] = {"features": name, "n": len(some), "strength": strength, "number": scalar}
                for kind in KINDS:
                    said = step * scores.get((kind, strength), scores[kind, STRENGTHS[-1]])[number, some]
                    row[kind] = {"r": rank(said, exact), "interval": bootstrap_rank(said, exact, 0)}
                rows.append(row | {"genes": float(np.median(genes))})
    return rows


def rank(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation."""
    return float(np.asarray(spearmanr(one, other))[0])


if __name__ == "__main__":
    main()
