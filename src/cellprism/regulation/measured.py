"""Effects beside what experiments measured: rank correlations with their intervals, and what could have been seen.

Notable choices

- Chance exchanges the measured values among genes of like expression and detection. Well expressed genes answer more in
  experiments and in models, so that a correlation over all genes may say no more than that.
- A screen is read over all genes, and over factors by themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata, t

from cellprism.equations.effects import permutation_p
from cellprism.equations.regulation import detectable_rank, rank_interval, rank_power, sign_flip_p

FEWEST = 8  # genes that a correlation is told of
STRATUM = 6  # genes among which measured values are exchanged; with 25 the level within a stratum still tells
EXPECTED_RHO = 0.28


@dataclass(frozen=True)
class RankAgreement:
    """A source of effects beside one experiment."""

    experiment: str
    source: str
    """The model, or what it stands beside."""
    genes: int
    detectable: float
    """Correlation that as many genes show with 80 % power."""
    power: float
    """Power at a correlation of .28."""
    rho: float
    """Spearman correlation of effect and measured effect, both of raising the gene."""
    interval: tuple[float, float]
    """95 %, by Bonett and Wright."""
    chance: float
    """Mean of the correlation with measured values exchanged among genes of like expression."""
    chance_interval: tuple[float, float]
    """95 % of these."""
    p: float
    """Two-sided, among these."""
    draws: int


def agreement(
    experiment: str,
    measured: Float[np.ndarray, " gene"],
    effects: Mapping[str, Float[np.ndarray, " gene"]],
    level: Float[np.ndarray, " gene"],
    draws: int,
    seed: int,
) -> list[RankAgreement]:
    """Every source of effects beside an experiment, over the genes that all of them have.

    Args:
        experiment: its name.
        measured: effect of raising each gene; NaN where it was not measured.
        effects: the same by source.
        level: mean expression of each gene.
        draws: times that measured values are exchanged.
        seed: of these.
    """
    kept = np.logical_and.reduce([~np.isnan(values) for values in (measured, *effects.values())])
    n = int(kept.sum())
    if n < FEWEST:
        return []
    truth, order = rankdata(measured[kept]), np.argsort(level[kept], kind="stable")
    rng = np.random.default_rng([seed, 89])
    exchanged = np.stack([_within(truth, order, rng) for _ in range(draws)])
    found = []
    for source, values in effects.items():
        ranks = rankdata(values[kept])
        if np.ptp(ranks) == 0 or np.ptp(truth) == 0:
            continue
        rho, chance = (np.atleast_1d(_pearson(ranks, each)) for each in (truth[None], exchanged))
        low, high = np.quantile(chance, [0.025, 0.975])
        found.append(RankAgreement(
            experiment, source, n, detectable_rank(n), rank_power(EXPECTED_RHO, n), float(rho[0]),
            rank_interval(float(rho[0]), n), float(chance.mean()), (float(low), float(high)),
            permutation_p(float(rho[0]), chance), draws,
        ))  # fmt: skip
    return found


@dataclass(frozen=True)
class MeanAgreement:
    """A source of effects beside several experiments; the experiment is the unit."""

    source: str
    experiments: int
    detectable: float
    """Mean correlation that as many experiments with as many genes show with 80 % power."""
    value: float
    """Mean of the correlations beyond chance, weighted by the genes of each."""
    interval: tuple[float, float]
    """95 % t interval over experiments."""
    p: float
    """Sign flips by experiment, two-sided."""


def over_regulators(rows: Sequence[RankAgreement], seed: int) -> list[MeanAgreement]:
    """Every source over all regulators that were perturbed; none of fewer than two.

    Formula: m = sum w x / sum w with x = rho - chance and w = genes - 3; its standard error is
    sqrt(k / (k - 1) sum w^2 (x - m)^2) / sum w over k experiments.
    """
    found = []
    for source in dict.fromkeys(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        if len(own) < 2:
            continue
        x, w = np.array([row.rho - row.chance for row in own]), np.array([row.genes - 3.0 for row in own])
        mean, k = float(w @ x / w.sum()), len(own)
        error = np.sqrt(k / (k - 1) * np.square(w * (x - mean)).sum()) / w.sum()
        half = float(t.ppf(0.975, k - 1) * error)
        smallest = detectable_rank(int(w.sum()) + 3)
        found.append(MeanAgreement(source, k, smallest, mean, (mean - half, mean + half), sign_flip_p(w * x, seed)))
    return found


def _within(values: Float[np.ndarray, " gene"], order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values exchanged among neighbours in an order."""
    found = values.copy()
    for some in np.array_split(order, max(1, len(order) // STRATUM)):
        found[some] = values[rng.permutation(some)]
    return found


def _pearson(x: Float[np.ndarray, " gene"], y: Float[np.ndarray, "draw gene"]) -> Float[np.ndarray, " draw"]:
    x, y = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    return y @ x / (np.linalg.norm(x) * np.linalg.norm(y, axis=1))
