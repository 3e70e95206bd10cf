"""Architectures and what they are compared with, side by side on vectors whose hidden variables are known.

Notable choices

- Every architecture sees the same vectors, the same number of times, and comes out at the same L0.
- All methods are scored by one procedure, on samples that chose nothing; the supervised ones are fitted on the choosing
  samples, as everything else is.
- Transcoders read one layer and write the next: what they read is not what the others read, so their table is their
  own, with an autoencoder and an untrained dictionary on the layer that they read beside them.
- A row is one method at one seed. Its ``score`` is the mean one-to-one correlation over variables, each counting
  once however many columns it has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.sae.architectures import ARCHITECTURES
from cellprism.sae.config import SaeConfig
from cellprism.sae.fit import fit_saes
from cellprism.sae.job import Job
from cellprism.sae.stream import Vectors
from cellprism.simulate.autoencoders import DenseAutoencoder
from cellprism.simulate.dictionaries import (
    DENSE,
    UNTRAINED,
    attribution,
    dense_dictionary,
    sae_encoder,
    selected_axes,
    supervised_dictionary,
    untrained_dictionary,
)
from cellprism.simulate.equal_sparsity import fit_at_l0
from cellprism.simulate.recovery import by_variable, chance_match, dead_share, halves, recovery_table
from cellprism.simulate.world import HiddenVariable


@dataclass(frozen=True)
class Race:
    """What every method gets."""

    n_features: int
    l0: float
    """Features that fire per vector, of every architecture."""
    steps: int
    batch_size: int = 512
    learning_rate: float = 3e-3
    seeds: int = 5
    """Trainings of each architecture, and draws of each dictionary that is drawn."""
    chance: int = 5
    """Permutations of the answers behind each row's chance level."""
    architectures: tuple[str, ...] = tuple(ARCHITECTURES)
    dense: tuple[str, ...] = DENSE

    def config(self, architecture: str) -> SaeConfig:
        """Settings of an autoencoder; its L0 is set in training."""
        plain = SaeConfig(
            k=max(1, round(self.l0)), n_features=self.n_features, learning_rate=self.learning_rate,
            batch_size=self.batch_size,
        )  # fmt: skip
        return replace(plain, architecture=architecture)


@dataclass(frozen=True)
class Entry:
    """One method at one seed."""

    method: str
    group: str
    """``architecture``, ``untrained``, ``dense``, ``supervised`` or ``transcoder``."""
    seed: int
    codes: Float[np.ndarray, "sample feature"]
    l0: float
    within: bool
    """Whether L0 is as asked; true of methods that have no rule."""
    tries: int


def entries(
    x: Float[Tensor, "sample latent"], hidden: Sequence[HiddenVariable], race: Race, seed: int
) -> Iterator[Entry]:
    """All methods on some vectors, one after the other, so that only one method's codes are in memory."""
    train, held = parts(x, seed)
    for number in range(race.seeds):
        for name in race.architectures:
            fitted = fit_at_l0(train, held, race.config(name), race.l0, race.steps, seed + number)
            codes = sae_encoder(fitted.sae)(x)
            yield Entry(name, "architecture", number, codes, fitted.l0, fitted.within, fitted.tries)
        for kind in UNTRAINED:
            yield untrained_entry(kind, x, race, seed, number)
    for kind in race.dense:
        yield _free(kind, "dense", dense_dictionary(kind, train, race.n_features, seed)(x))
    choose = halves(len(x), seed)[0]
    answers = np.concatenate([variable.values[choose] for variable in hidden], axis=1)
    told = x[torch.from_numpy(choose)]
    yield _free("ridge, told the answers", "supervised", supervised_dictionary(told, answers)(x))
    yield _free("best axis, told the answers", "supervised", selected_axes(told, answers)(x))


def attribution_entry(
    network: DenseAutoencoder, x: Float[Tensor, "sample latent"], members: Float[np.ndarray, "program gene"], seed: int
) -> Entry:
    """Attribution to programs whose genes are told, through the network that the vectors are latents of."""
    told = attribution(network, members, parts(x, seed)[0].mean(dim=0))
    return _free("attribution, told the programs", "supervised", told(x))


def transcoder_entries(
    x: Float[Tensor, "sample unit"], after: Float[Tensor, "sample latent"], race: Race, seed: int
) -> Iterator[Entry]:
    """Transcoders from one layer to the next, and what they are compared with on the layer that they read."""
    (train, held), (goal, _) = parts(x, seed), parts(after, seed)
    config = race.config("topk")
    both = zip(train.split(race.batch_size), goal.split(race.batch_size), strict=True)
    pairs = [Vectors(read, None, written) for read, written in both]
    for number in range(race.seeds):
        job = Job(config, x.shape[1], seed + number, d_target=after.shape[1])
        sae = fit_saes(pairs, [job], race.steps)[0]
        codes = sae_encoder(sae)(x)
        yield _free("transcoder", "transcoder", codes, number)
        fitted = fit_at_l0(train, held, config, race.l0, race.steps, seed + number)
        codes = sae_encoder(fitted.sae)(x)
        yield Entry("topk on the layer read", "transcoder", number, codes, fitted.l0, fitted.within, fitted.tries)
        yield replace(untrained_entry("untrained", x, race, seed, number), group="transcoder")


def untrained_entry(kind: str, x: Float[Tensor, "sample latent"], race: Race, seed: int, number: int) -> Entry:
    """A dictionary that was drawn, with the race's size and rule."""
    k = max(1, round(race.l0))
    drawn = untrained_dictionary(kind, parts(x, seed)[0], race.n_features, k, seed + number)
    return _free(kind, "untrained", sae_encoder(drawn)(x), number)


def parts(x: Float[Tensor, "sample latent"], seed: int) -> tuple[Float[Tensor, "_ latent"], Float[Tensor, "_ latent"]]:
    """Vectors to learn from, in random order, and the others."""
    choose, judge = halves(len(x), seed)
    order = np.random.default_rng([seed, 37]).permutation(choose)
    return x[torch.from_numpy(order)], x[torch.from_numpy(judge)]


def _free(method: str, group: str, codes: Float[np.ndarray, "sample feature"], seed: int = 0) -> Entry:
    """A method that is not asked for a sparsity."""
    return Entry(method, group, seed, codes, float((codes != 0).sum(axis=1).mean()), True, 1)


def recovered(entry: Entry, hidden: Sequence[HiddenVariable], race: Race, seed: int) -> pd.DataFrame:
    """Rows of ``by_variable`` of one entry, with its method, seed, L0, dead share and chance level."""
    choose, judge = halves(len(entry.codes), seed)
    found = by_variable(recovery_table(entry.codes, hidden, choose, judge))
    chance = chance_match(entry.codes, hidden, choose, judge, race.chance, seed).groupby("variable")["matched"].mean()
    return found.assign(
        chance=chance.reindex(found["variable"]).to_numpy(), method=entry.method, group=entry.group, seed=entry.seed,
        l0=entry.l0, within=entry.within, tries=entry.tries, features=entry.codes.shape[1],
        dead=dead_share(entry.codes),
    )  # fmt: skip


def leaderboard(rows: pd.DataFrame, score: str = "matched") -> pd.DataFrame:
    """One row per method, best first.

    Returns:
        method, group, score (mean over seeds), spread (standard deviation between seeds, NaN of one seed), lowest and
        highest, chance, l0, within (of all seeds), dead, seeds.
    """
    keys = ["method", "group"]
    each = rows.groupby([*keys, "seed"])[[score, "chance", "l0", "dead", "within"]].mean().reset_index()
    grouped = each.groupby(keys)
    table = grouped[score].agg(score="mean", spread="std", lowest="min", highest="max", seeds="size")
    table = table.join(grouped[["chance", "l0", "dead"]].mean()).join(grouped["within"].min() == 1)
    return table.sort_values("score", ascending=False, kind="stable").reset_index()
