"""The worlds of the benchmark: data, the dense network that presses them together, and what every method gets.

Thinner than what was published, so that it ends within half an hour of one core:

- One training of each dense network, of few passes, so that claims have networks of different shapes as their unit.
- In the grid one L0, 300 features at every latent, TopK alone for the architectures.
- All architectures only in the worlds with a leaderboard; other weights of the penalty, as half and twice the L0, in
  one world with two seeds; transcoders in the worlds with a leaderboard and at latent 20, depth 4.
- Wide networks of latent 1,000 are narrow ones of the same width and left out, as are wide ones of depth 2, which have
  no layers that could be wide.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch

from cellprism.cells.expression import log1p_cp10k
from cellprism.sae.architectures import ARCHITECTURES
from cellprism.simulate.answers import answers_of
from cellprism.simulate.autoencoders import WIDE, AutoencoderSettings
from cellprism.simulate.cell_settings import PlantedSettings
from cellprism.simulate.cells import planted_cells
from cellprism.simulate.dictionaries import DENSE
from cellprism.simulate.leaderboard import Race
from cellprism.simulate.null_cells import independent_cells
from cellprism.simulate.schuster_large import LargeSettings, LargeSimulation
from cellprism.simulate.schuster_small import small_world
from cellprism.simulate.world import HiddenVariable, World, one_hot

LATENT, DEPTH = (20, 100, 150, 1000), (2, 4, 6)
WEIGHTS = (0.5, 2)  # of the penalty, beside 1
PASSES = {False: 10, True: 4}  # through the data, of networks without and with a layer of 1,000
MEMBERS = ("programs", "regulation", "members")  # names of the table program x gene in the worlds


@dataclass(frozen=True)
class Piece:
    """One world with its network, run and kept as a whole."""

    name: str
    kind: str
    """``small``, ``large``, ``planted`` or ``null``."""
    size: dict[str, Any]
    """Settings of the data."""
    network: AutoencoderSettings
    race: Race
    transcoders: bool = False
    """Whether the last layer before the latent is read as well; the network has one from depth 4 on."""

    def identity(self) -> dict[str, Any]:
        """All that decides its rows, in JSON's types."""
        race = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.race).items()}
        said = {"kind": self.kind, "size": self.size, "network": asdict(self.network), "race": race}
        return {**said, "transcoders": self.transcoders}

    def world(self) -> World:
        """The data and what is hidden behind them."""
        if self.kind == "small":
            return small_world(**self.size)
        if self.kind == "large":
            return LargeSimulation(LargeSettings(**self.size)).world()
        cells = planted_cells(PlantedSettings.preset(**self.size))
        return of_cells(cells if self.kind == "planted" else independent_cells(cells), answers_of(cells))


def pieces(quick: bool) -> list[Piece]:
    """Leaderboards of the published simulations, the grid from small latents to large, what else there is."""
    boards = _leaderboards(quick)
    if quick:
        return boards
    grid = [piece for piece in _grid() if piece.name not in {board.name for board in boards}]
    return [*boards[:2], *grid, *boards[2:], *_weights()]


def _leaderboards(quick: bool) -> list[Piece]:
    seeds = 2 if quick else 5
    linear = AutoencoderSettings(latent=4, epochs=20, learning_rate=1e-2)
    small = Race(20, 3.0, 200, seeds=seeds, chance=2)
    samples = {"samples": 4_000 if quick else 12_000}
    cells = {"name": "small", "cells": 1_500} if quick else {"name": "standard", "cells": 3_000}
    race = Race(160, 8.0, 200, seeds=seeds, chance=1)
    network = AutoencoderSettings(20, 4, False, epochs=15 if quick else PASSES[False])
    planted = [
        Piece(name, kind, cells, network, race, transcoders=True)
        for name, kind in (("planted cells", "planted"), ("planted cells, null", "null"))
    ]
    if quick:
        size = {"cells": 3_000, "genes": 400, "programs": 30, "types": 10}
        race = Race(160, 10.0, 200, seeds=seeds, chance=2)
        large = [Piece(_name(20, 4, False), "large", size, network, race, transcoders=True)]
    else:
        large = [_large(20, 4, False, tuple(ARCHITECTURES), DENSE, 5)]
    return [Piece("small", "small", samples, linear, small), *large, *planted]


def _grid() -> Iterator[Piece]:
    for latent in LATENT:
        for depth in DEPTH:
            for wide in (False, True):
                if wide and (depth == 2 or latent == WIDE):
                    continue
                yield _large(latent, depth, wide, ("topk",), ("axes", "PCA"), 5)


def _weights() -> list[Piece]:
    base = _large(20, 4, False, tuple(ARCHITECTURES), (), 2)
    found = []
    for weight in WEIGHTS:
        race = replace(base.race, l0=weight * base.race.l0)
        name = f"{base.name}, L0 {race.l0:g}"
        found.append(replace(base, name=name, race=race, transcoders=False))
    return found


def _large(
    latent: int, depth: int, wide: bool, architectures: tuple[str, ...], dense: tuple[str, ...], seeds: int
) -> Piece:
    """A cell of the grid."""
    costly = wide or latent == WIDE
    race = Race(300, 20.0, 200, seeds=seeds, chance=1, architectures=architectures, dense=dense)
    network = AutoencoderSettings(latent, depth, wide, epochs=PASSES[costly])
    size, both = {"cells": 10_000, "genes": 2_000}, (latent, depth) == (20, 4)
    return Piece(_name(latent, depth, wide), "large", size, network, race, transcoders=both)


def _name(latent: int, depth: int, wide: bool) -> str:
    return f"large, latent {latent}, depth {depth}, {'wide' if wide else 'narrow'}"


def training_flops(network: AutoencoderSettings, genes: int, samples: int) -> float:
    """Operations of training a dense network: six a weight and sample."""
    inner = min(WIDE, genes) if network.wide else network.latent
    widths = [genes, *[inner] * (network.depth // 2 - 1), network.latent]
    weights = 2 * sum(a * b for a, b in pairwise(widths))
    return 6.0 * weights * samples * network.epochs


def of_cells(cells, answers) -> World:
    """Log expression, and what is planted behind it; ``fixed`` holds the programs for the genes' own score."""
    types = one_hot(cells.obs["cell_type"].cat.codes.to_numpy(), len(answers.types))
    donors = one_hot(cells.obs["donor"].cat.codes.to_numpy(), cells.obs["donor"].cat.categories.size)
    hidden = (
        HiddenVariable("activity", "number", 2, answers.activity.to_numpy(float)),
        HiddenVariable("type", "category", 3, types),
        HiddenVariable("donor", "category", 2, donors),
    )
    members = answers.weights.to_numpy().T > 0
    return World(torch.from_numpy(log1p_cp10k(cells).toarray()).float(), hidden, {"members": members.astype(float)})
