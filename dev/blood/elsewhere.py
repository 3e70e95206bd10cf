"""Which way of training an autoencoder sees most on a donor that neither it nor its model knew.

    python dev/blood/elsewhere.py TWIN BLOOD.h5ad OUT.json [--cells 200] [--seeds 3] [--only NAME ...]

TWIN is the folder of a training on the first donor of BLOOD alone. Autoencoders are trained on cells of that donor at
block 1; lists and best features are chosen there and judged on cells of the other donor (``studies.adds.measures``).
``again`` is the share of features that autoencoders trained on the other donor's cells find again, beyond 95 % of
dictionaries with the tokens' covariance. ``own count taken out``: the part of the inner state that follows how many
counts a token itself has (means over tokens with 0, 1, 2, 3 and more, each gene's mean off) is projected out before the
training, and out of the encoder afterwards.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from judge import model_of

import cellprism as cp
from cellprism.features.dictionaries import control_dictionary, sampled_tokens, trained_dictionary, with_centre
from cellprism.features.reappearance import Portrait, exceeds, matched
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.train import SaeJob, train_saes
from cellprism.ontology.gmt import read_gmt
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.studies.adds.halves import Halves
from cellprism.studies.adds.measures import Yardstick
from cellprism.studies.adds.pushes import gene_response
from cellprism.studies.adds.reading import portrait, read_directions
from cellprism.studies.programs.gene_lists import list_background

LAYER, DRAWS = 1, 19
PLAIN = SaeConfig(k=4, expansion=8, epochs=1, centring="group")
SETTINGS: dict[str, tuple[SaeConfig, bool]] = {
    "as it is": (PLAIN, False),
    "own count taken out": (PLAIN, True),
    **{
        f"whitened, shrinkage {shrinkage}": (replace(PLAIN, whitening=1000, shrinkage=shrinkage), False)
        for shrinkage in (1.0, 0.1)
    },
    "whitened, 32 components": (replace(PLAIN, whitening=32, shrinkage=0.0), False),
}


class Projected:
    """A model whose inner state lacks some directions."""

    def __init__(self, model: Any, axes: torch.Tensor):
        self.model, self.kept = model, torch.eye(len(axes)) - axes @ axes.T

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def residual(self, batch, layer):
        return self.model.residual(batch, layer) @ self.kept


@torch.no_grad()
def own_count_axes(model: Any, cells: AnnData) -> torch.Tensor:
    """Orthonormal directions [d_model, 3] between the means of tokens with 1, 2, 3 and more counts."""
    x, gene, count = [], [], []
    for batch in model.batches(cells[:200].copy(), 32):
        x.append(model.residual(batch, LAYER)[batch.present])
        gene.append(batch.gene.expand(batch.values.shape)[batch.present])
        count.append(batch.values[batch.present])
    x, gene, count = torch.cat(x), torch.cat(gene).long(), torch.cat(count)
    means = torch.zeros(int(gene.max()) + 1, x.shape[1]).index_add_(0, gene, x)
    x = x - (means / torch.bincount(gene).clamp(min=1)[:, None])[gene]
    level = count.round().clamp(0, 4)
    rows = torch.stack([x[level == value].mean(dim=0) for value in level.unique()])
    return torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)[2][:3].T


def trained(model: Any, cells: AnnData, setting: tuple[SaeConfig, bool], seeds: int) -> list[SparseAutoencoder]:
    """Autoencoders of some seeds."""
    config, without = setting
    jobs = [SaeJob(LAYER, config, seed, f"seed{seed}") for seed in range(seeds)]
    if not without:
        return train_saes(model, cells, jobs, measured=False)
    seen = Projected(model, own_count_axes(model, cells))
    return [replace(sae, W_enc=seen.kept @ sae.W_enc) for sae in train_saes(seen, cells, jobs, measured=False)]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("twin", "blood", "out"):
        asked.add_argument(name, type=Path)
    asked.add_argument("--cells", type=int, default=200)
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--only", nargs="*", default=list(SETTINGS))
    asked.add_argument("--collection", default="blood")
    given = asked.parse_args()
    model, _, step = model_of(given.twin)
    print(f"{given.twin}: step {step:,}", flush=True)
    whole = cp.read_cells(str(given.blood), model=model, labels="cell_type")
    donors = list(dict.fromkeys(whole.obs["donor"]))
    rng = np.random.default_rng(5)
    parts = [np.sort(rng.permutation(np.flatnonzero(whole.obs["donor"] == d))[: given.cells]) for d in donors]
    cells = whole[np.concatenate(parts)].copy()
    halves = Halves(np.arange(cells.n_obs), cells, (cells.obs["donor"] == donors[0]).to_numpy(), True)
    own, other = cells[halves.first].copy(), cells[~halves.first].copy()
    tokens = CellTokens(model, cells, [LAYER])
    first = Halves(np.flatnonzero(halves.first), own, np.ones(own.n_obs, dtype=bool), False)
    found = json.loads(given.out.read_text()) if given.out.exists() else {}
    yardstick = drawn = None

    def seen(dictionary, sae) -> Portrait:
        return portrait(tokens, with_centre(dictionary, sae), first)

    for name in given.only:
        if name in found:
            continue
        saes = trained(model, own, SETTINGS[name], given.seeds)
        if yardstick is None:
            reading: Any = read_directions(tokens, saes[0], halves)
            background = list_background(reading.genes, own, "paper")
            bench: Any = SimpleNamespace(model=model, sae=saes[0], config=SimpleNamespace(layer=LAYER))
            terms = read_gmt(given.collection)
            yardstick = Yardstick(halves, background, terms, 3, 0.05, gene_response(bench, halves, background))
        sample = sampled_tokens(tokens, saes[0], first.rows, -(-8192 // own.n_obs), 0)
        drawn = [seen(control_dictionary("covariance", sample, saes[0], 100 + i), saes[0]) for i in range(DRAWS)]
        theirs = [seen(trained_dictionary(sae), sae) for sae in trained(model, other, SETTINGS[name], given.seeds)]
        rows = []
        for sae, there in zip(saes, theirs, strict=True):
            measured = yardstick.measure(read_directions(tokens, sae, halves), sae)
            ours = seen(trained_dictionary(sae), sae)
            chance = np.stack([matched(ours, one).likeness for one in drawn])
            again = exceeds(matched(ours, there).likeness[None], chance, 0.05).mean()
            rows.append({**{key: one.at(one.total) for key, one in measured.items()}, "again": float(again)})
        found[name] = {key: [row.get(key) for row in rows] for key in rows[0]}
        given.out.write_text(json.dumps(found, indent=1) + "\n")
        print(name, {key: np.round(np.mean(values), 3) for key, values in found[name].items()}, flush=True)


if __name__ == "__main__":
    main()
