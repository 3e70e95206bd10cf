"""Fronts of the inner state against expression for ten pairs of types, several autoencoders and two donors.

    python benchmarks/bench_pairs.py DATA FOLDER [--model pbmc2] [--seeds 3] [--permuted 4]

DATA holds pbmc3k_raw_labelled.h5ad and pbmc4k_raw_labelled.h5ad. Cells of both in the genes of the bundled cells; for
each donor autoencoders of 512 features, 4 at a token, on block 1, trained on 800 of its cells. CD4 to CD8 T cells: 11
weights and 12 penalties for each of ``--seeds`` autoencoders of each donor. Nine other pairs: 5 weights and 6
penalties, the first autoencoder of PBMC3K. Per pair the recipes chosen on
validation cells (for either objective alone, and a small one for both), their gains on test cells with 95 % intervals
over cells, the cosine of the gradients where nothing is turned, whether predicted gaps follow the counts, and what as
many searches with permuted labels gain as they are found (``--permuted``). FOLDER keeps what was done, so that a run
that was stopped goes on. Results go to benchmarks/results/pairs.json, or to --out.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from anndata import AnnData
from bench_truth import plain
from made_with import made_with

from cellprism.cells.read import read_cells
from cellprism.features.train import train_sae
from cellprism.models.registry import load_model
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.files import load_sae, save_sae
from cellprism.steering.pareto.cosines import LEFT_IN, TAKEN_OUT
from cellprism.steering.pareto.pooled import ALL, FINAL
from cellprism.studies.pareto.beside import for_both, gains, permuted_for_both
from cellprism.studies.pareto.cosine_rows import neutral_rows
from cellprism.studies.pareto.settings import ParetoSearch, ParetoSettings
from cellprism.studies.pareto.unit import CHOSEN, front_of, path_arrays, read_unit
from cellprism.studies.pareto.work import predicted_gaps
from cellprism.studies.shards import Shards

RESULT, LAYER, TRAINING = Path(__file__).parent / "results" / "pairs.json", 1, 800
CONFIG = SaeConfig(k=4, expansion=8, centring="group", epochs=2)
CD4, CD8, NK, B = "CD4 T cells", "CD8 T cells", "NK cells", "B cells"
CLASSICAL, OTHER = "CD14+ Monocytes", "FCGR3A+ Monocytes"
PAIRS = [
    (CD8, CD4), (CD8, NK), (NK, CD8), (CD4, NK), (CD4, B), (B, CD4), (CLASSICAL, OTHER), (OTHER, CLASSICAL),
    (CD4, CLASSICAL),
]  # fmt: skip
SEARCH = ParetoSearch(iterations=2, train_cells=8, max_cells=80, null_replicates=0, resamples=200)
DONORS = {"pbmc3k": "louvain", "pbmc4k": "cell_type"}
"""Name of each file's start -> its obs column of cell types."""
FULL, FEW = (11, 12), (5, 6)
"""Weights and penalties."""


class Asked(NamedTuple):
    """One front."""

    donor: str
    seed: int
    source: str
    target: str
    weights: int
    penalties: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Fronts for ten pairs of types.")
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="pbmc2")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--permuted", type=int, default=4)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    model = load_model(asked.model)
    genes = set(read_cells("bundled:pbmc68k", model=model).var_names)
    donors = {name: donor_cells(asked.data, name, model, genes) for name in DONORS}
    wanted = [
        Asked("pbmc3k", 0, CD4, CD8, *FULL),
        *(Asked("pbmc3k", 0, *pair, *FEW) for pair in PAIRS),
        Asked("pbmc4k", 0, CD4, CD8, *FULL),
        *(Asked(donor, seed, CD4, CD8, *FULL) for seed in range(1, asked.seeds) for donor in DONORS),
    ]
    rows: list[dict[str, Any]] = []
    for one in wanted:
        cells = donors[one.donor]
        sae = autoencoder(model, cells, asked.folder / f"{one.donor}-sae{one.seed}", one.seed)
        rows.append(pair_row(model, sae, cells, asked.folder, one, asked.permuted))
        print(rows[-1], flush=True)
        stamp = {"model": asked.model, "genes": len(genes), **made_with()}
        asked.out.write_text(json.dumps(plain({**stamp, "rows": rows}), indent=1, allow_nan=False) + "\n")


def donor_cells(data: Path, name: str, model: Any, genes: set[str]) -> AnnData:
    """The labelled cells of a donor, in some genes."""
    whole = read_cells(str(data / f"{name}_raw_labelled.h5ad"), model=model, labels=DONORS[name])
    labelled = (whole.obs["cell_type"] != "unlabelled").to_numpy()
    return whole[labelled, [gene for gene in whole.var_names if gene in genes]].copy()


def autoencoder(model: Any, cells: AnnData, home: Path, seed: int) -> SparseAutoencoder:
    """One of a seed, trained where it is not there yet."""
    if not home.is_dir():
        some = np.sort(np.random.default_rng(0).permutation(cells.n_obs)[:TRAINING])
        save_sae(train_sae(model, cells[some].copy(), LAYER, CONFIG, seed=seed), home)
    return load_sae(home)


def pair_row(
    model: Any, sae: SparseAutoencoder, whole: AnnData, folder: Path, asked: Asked, permuted: int
) -> dict[str, Any]:  # fmt: skip
    """One front, and what stands beside it."""
    donor, seed, source, target, weights, penalties = asked
    search = replace(SEARCH, penalties=penalties)
    settings = ParetoSettings(source=source, target=target, weights=weights, search=search)
    bench: Any = SimpleNamespace(model=model, config=SimpleNamespace(layer=LAYER, seed=0))
    cells = whole[np.isin(whole.obs["cell_type"].astype(str), [source, target])].copy()
    name = "-".join("".join(c for c in kind if c.isalnum()) for kind in (source, target))
    shards = Shards(folder / f"{donor}-{name}-{seed}", {"asked": asked, "permuted": permuted})
    began = time.process_time()
    unit = read_unit(bench, settings, cells, sae, seed, "", source, target, None)
    at = np.linspace(0, 1, weights)
    paths = [
        shards.kept(f"path-{seed}-all-{number}", lambda weight=weight: path_arrays(unit, settings, float(weight)))
        for number, weight in enumerate(at)
    ]
    front = front_of(unit, settings, at, paths, 0)
    gaps = predicted_gaps(unit, SEARCH.resamples)
    row: dict[str, Any] = {
        **asked._asdict(), "recipes": len(front.rows),
        "cells": unit.parts.sizes()["test"], "genes": int((unit.judge["test"].base.weight > 0).sum()),
        "gaps": None if gaps is None else [gaps.correlation, gaps.low, gaps.high],
    }  # fmt: skip
    for kind in CHOSEN:
        chosen = front.rows.iloc[front.places[kind]]
        columns = ["features", "norm", "variance_kept"]
        for gain in ("latent", "expression"):
            columns += [f"{gain}_gain", f"{gain}_low", f"{gain}_high"]
        row[kind] = {column: float(chosen[column]) for column in columns}
    cosines = shards.rows("cosines", lambda: neutral_rows(unit, settings, 0, lambda done: None))
    for common in (LEFT_IN, TAKEN_OUT):
        one = next(
            r for r in cosines
            if (r["place"], r["pooling"], r["weighting"], r["common"]) == (FINAL, ALL, settings.weighting, common)
        )  # fmt: skip
        row[f"cosine, common mode {common}"] = [one["cosine"], one["low"], one["high"]]
    row["any size"] = shards.rows("any", lambda: [gains(unit, for_both(unit, settings, 0))])[0]
    row["permuted"] = shards.rows("permuted", lambda: [
        gains(unit, permuted_for_both(unit, settings, 0, i)) for i in range(permuted)
    ])  # fmt: skip
    took = shards.rows("took", lambda: [{"processor_seconds": time.process_time() - began}])[0]
    return row | took


if __name__ == "__main__":
    main()
