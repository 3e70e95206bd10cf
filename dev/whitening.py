"""Does whitening find hidden variables that are planted? The benchmark's worlds, whitened and not, at equal L0.

    PYTHONPATH=benchmarks python dev/whitening.py [NAME ...]

The inner state is the latent of a dense network (``benchmarks/truth``). Per setting: mean over seeds of the correlation
of hidden variables with their best features, one to one, on samples that chose nothing (and the smallest and largest);
the same for the programs' activity alone; variance explained. Shrinkage is what each variance is raised by, a share of
their mean.
"""

import sys
from dataclasses import replace

import numpy as np
import torch
from truth.worlds import pieces

from cellprism.sae.config import SaeConfig
from cellprism.sae.evaluate import evaluate
from cellprism.sae.fit import fit_sae
from cellprism.simulate.autoencoders import fit_autoencoder
from cellprism.simulate.dictionaries import sae_encoder
from cellprism.simulate.leaderboard import Entry, parts, recovered, untrained_entry

NAMES = ("planted cells", "large, latent 20, depth 4, narrow", "large, latent 100, depth 4, narrow")
SETTINGS = [(0, 0.0), (5, 0.0), (1000, 1.0), (1000, 0.3), (1000, 0.1), (1000, 0.03), (1000, 0.01), (1000, 0.0)]
SEEDS = 5


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    for piece in (p for p in pieces(False) if p.name in (names or NAMES)):
        world, race = piece.world(), piece.race
        batches = world.data.split(1000)
        x = fit_autoencoder(lambda batches=batches: batches, piece.network).latents(batches)
        train, held = parts(x, 0)
        variance = torch.linalg.eigvalsh(torch.cov(x.T)).flip(0)
        ratio = float(variance.sum() ** 2 / variance.square().sum())
        print(f"{piece.name}: {len(variance)} dimensions, participation ratio {ratio:.1f}", flush=True)
        for components, shrinkage in SETTINGS:
            config: SaeConfig = replace(race.config("topk"), whitening=components, shrinkage=shrinkage)
            rows, fits = [], []
            for seed in range(SEEDS):
                sae = fit_sae(list(train.split(race.batch_size)), config, x.shape[1], race.steps, seed)
                entry = Entry("topk", "architecture", seed, sae_encoder(sae)(x), race.l0, True, 1)
                rows.append(recovered(entry, world.hidden, race, 0))
                fits.append(evaluate(sae, [held]).explained_variance)
            shown(f"{components:5d} {shrinkage:5.2f}", rows, f"{np.mean(fits):.3f}")
        for kind in ("covariance-matched", "sampled vectors"):
            drawn = [untrained_entry(kind, x, race, 0, seed) for seed in range(SEEDS)]
            shown(kind, [recovered(entry, world.hidden, race, 0) for entry in drawn], "")


def shown(name: str, rows: list, fit: str) -> None:
    every = np.array([row["matched"].mean() for row in rows])
    own = [row.loc[row["variable"].isin(("activity", "x2")), "matched"].mean() for row in rows]
    print(f"  {name:20} {every.mean():.3f} [{every.min():.3f}, {every.max():.3f}] {np.mean(own):.3f} {fit}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
