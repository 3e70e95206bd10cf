"""Architectures and what they are compared with, side by side on vectors whose hidden variables are known.

Notable choices

- Every architecture sees the same vectors, the same number of times, and comes out at the same L0.
- All methods are scored by one procedure, on samples that chose nothing; the supervised one is fitted on the choosing
  samples, as everything else is.
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
from cellprism.simulate.dictionaries import (
    DENSE,
    UNTRAINED,
    dense_dictionary,
    sae_encoder,
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


@dataclass(frozen=True)
class Entry:
    """One method at one seed."""

    method: str
    group: str
    """``architecture``, ``untrained``, ``dense`` or ``supervised``."""
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
    choose, _ = halves(len(x), seed)
    train = x[torch.from_numpy(np.random.default_rng([seed, 37]).permutation(choose))]
    held = x[torch.from_numpy(np.setdiff1d(np.arange(len(x)), choose))]
    plain = SaeConfig(
        k=max(1, round(race.l0)), n_features=race.n_features, learning_rate=race.learning_rate,
        batch_size=race.batch_size,
    )  # fmt: skip
    for number in range(race.seeds):
        for name in ARCHITECTURES:
            config = replace(plain, architecture=name)
            fitted = fit_at_l0(train, held, config, race.l0, race.steps, seed + number)
            codes = sae_encoder(fitted.sae)(x)
            yield Entry(name, "architecture", number, codes, fitted.l0, fitted.within, fitted.tries)
        for kind in UNTRAINED:
            drawn = untrained_dictionary(kind, train, race.n_features, max(1, round(race.l0)), seed + number)
            codes = sae_encoder(drawn)(x)
            yield Entry(kind, "untrained", number, codes, float((codes != 0).sum(axis=1).mean()), True, 1)
    for kind in DENSE:
        codes = dense_dictionary(kind, train, race.n_features, seed)(x)
        yield Entry(kind, "dense", 0, codes, float((codes != 0).sum(axis=1).mean()), True, 1)
    answers = np.concatenate([variable.values[choose] for variable in hidden], axis=1)
    codes = supervised_dictionary(x[torch.from_numpy(choose)], answers)(x)
    yield Entry("ridge, told the answers", "supervised", 0, codes, float(codes.shape[1]), True, 1)


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
