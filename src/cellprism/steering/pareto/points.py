"""Points of a front: what a recipe makes of cells that had no part in it, and how much of either objective it reaches.

Notable choices

- Gains are those of the objectives themselves, on other cells: 1 minus the squared distance that is left between the
  moved mean and the target, in units of that without steering.
- The validation cells choose (``best``, ``chosen``), the test cells say how far it went.
- Intervals resample the steered cells; the two types' means are held fixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from cellprism.enrich.differential import differential
from cellprism.equations.fronts import share_closed
from cellprism.steering.contrast.cell_split import CellSplit, Pair
from cellprism.steering.contrast.recipe_search import measure
from cellprism.steering.contrast.scores import BaselineValues, score
from cellprism.steering.model_output import expressing_mean, expressing_moves
from cellprism.steering.settings import EQUAL, FOLD_CHANGE
from cellprism.steering.site_cache import Prediction, SiteCache

LEVEL = 0.05  # rate of false discoveries among differential genes


@dataclass(frozen=True, eq=False)
class Judging:
    """Some cells that steer or judge: the source type's, unsteered, with where the two types are."""

    base: BaselineValues
    before: Prediction
    target: Prediction

    def scores(self, after: Prediction) -> dict[str, float]:
        """Every score of ``contrast.scores.score``, and ``latent_gain`` and ``expression_gain``."""
        gains = [share_closed(move.mean(axis=0), gap, weight) for move, gap, weight in self.moves(after)]
        found = {"latent_gain": gains[0], "expression_gain": gains[1]}
        return found | score(self.base, self.before, after, self.target)

    def moves(
        self, after: Prediction
    ) -> list[tuple[Float[np.ndarray, "cell value"], Float[np.ndarray, " value"], Float[np.ndarray, " value"]]]:
        """Of the embedding and of expression: each cell's move, the gap, the weights."""
        base = self.base
        embedding, gap = after.embedding - self.before.embedding, base.target - base.source
        used = np.flatnonzero(base.weight)
        genes = expressing_moves(self.before.values[:, used], after.values[:, used])
        return [(embedding, gap, np.ones_like(gap)), (genes, base.gap[used], base.weight[used])]

    def intervals(self, after: Prediction, draws: int, seed: int) -> list[tuple[float, float]]:
        """95 % intervals of both gains over resampled cells."""
        n = len(after.embedding)
        weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws) / n
        found = []
        for move, gap, weight in self.moves(after):
            gains = [share_closed(mean, gap, weight) for mean in weights @ move]
            found.append(tuple(np.nanquantile(gains, [0.025, 0.975])) if np.isfinite(gains).any() else (np.nan,) * 2)
        return [(float(low), float(high)) for low, high in found]

    def fractions(self, after: Prediction, columns: Int[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        """Share of their predicted gap that some genes close; NaN without a gap."""
        move = expressing_moves(self.before.values[:, columns], after.values[:, columns]).mean(axis=0)
        gap = self.base.gap[columns]
        return np.divide(move, gap, out=np.full(len(columns), np.nan), where=gap != 0)


def judging(cache: SiteCache, pair: Pair, genes: Pair, n_genes: int, weighting: str) -> Judging:
    """Some cells of the two types; their differential genes and weights come from others."""
    base = weighted(cache, measure(cache, pair, genes, n_genes), genes, n_genes, weighting)
    return Judging(base, cache.baseline.part(pair.source), cache.baseline.part(pair.target))


def judging_parts(cache: SiteCache, parts: CellSplit, n_genes: int, weighting: str) -> dict[str, Judging]:
    """Train, validation and test cells, as ``contrast`` judges them."""
    return {
        "train": judging(cache, parts.train, parts.train, n_genes, weighting),
        "validation": judging(cache, parts.validation, parts.train, n_genes, weighting),
        "test": judging(cache, parts.test, parts.validation, n_genes, weighting),
    }


def weighted(cache: SiteCache, base: BaselineValues, genes: Pair, n_genes: int, weighting: str) -> BaselineValues:
    """The same with other weights of genes, from the counts of the same cells.

    ``gap``: the difference of mean log counts, as published. ``fold change``: |log2 fold change| of genes that differ
    by a rank test at a rate of false discoveries of 5 %, the largest either way. ``equal``: 1 for the same genes as
    ``gap``.
    """
    if weighting == EQUAL:
        return replace(base, weight=(base.weight > 0).astype(float))
    if weighting == FOLD_CHANGE:
        return replace(base, weight=fold_change_weights(cache, genes, np.isfinite(base.gap), n_genes))
    return base


def fold_change_weights(
    cache: SiteCache, genes: Pair, known: Bool[np.ndarray, " gene"], n_genes: int
) -> Float[np.ndarray, " gene"]:
    """|log2 fold change| of differential genes, half of them up and half down where there are as many; 0 elsewhere."""
    from scipy.stats import false_discovery_control

    rows = np.concatenate([genes.target, genes.source])
    found = differential(cache.observed[rows], (np.arange(len(rows)) < len(genes.target))[:, None])
    means = [np.asarray(cache.observed[some].expm1().mean(axis=0)).ravel() for some in (genes.target, genes.source)]
    change = np.log2((means[0] + 1e-2) / (means[1] + 1e-2))
    differs = (false_discovery_control(found.p[0]) <= LEVEL) & known
    weight = np.zeros(len(change))
    for side in (change, -change):
        top = np.argsort(-np.where(differs, side, -np.inf), kind="stable")[: n_genes // 2]
        top = top[differs[top] & (side[top] > 0)]
        weight[top] = side[top]
    return weight


def best(gains: Sequence[float] | Float[np.ndarray, " point"]) -> int:
    """The point with the largest gain; the first where none has one."""
    known = np.where(np.isfinite(gains), gains, -np.inf)
    return int(np.argmax(known))


def balance(gains: Float[np.ndarray, "point objective"], most: Float[np.ndarray, " objective"]) -> np.ndarray:
    """The lesser of both gains of each point, each over the most that a recipe for it alone reaches."""
    shares = np.divide(gains, most, out=np.full(gains.shape, -np.inf), where=np.isfinite(gains) & (most > 0))
    return shares.min(axis=1)


def front_rows(
    judge: dict[str, Judging], after: Mapping[str, Sequence[Prediction]], named: Int[np.ndarray, " some"],
    names: Sequence[str], draws: int, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """One row a recipe: gains on validation cells; gains with intervals, scores, and ``way of GENE`` on test cells."""
    rows = []
    for chooses, judges in zip(after["validation"], after["test"], strict=True):
        said = judge["validation"].scores(chooses)
        row = {f"validation_{name}": said[name] for name in ("latent_gain", "expression_gain")}
        row |= judge["test"].scores(judges)
        for name, (low, high) in zip(
            ("latent", "expression"), judge["test"].intervals(judges, draws, seed), strict=True
        ):
            row |= {f"{name}_low": low, f"{name}_high": high}
        ways = judge["test"].fractions(judges, named)
        rows.append(row | {f"way of {name}": way for name, way in zip(names, ways.tolist(), strict=True)})
    return pd.DataFrame(rows)


def response(before: Prediction, after: Prediction) -> Float[np.ndarray, " gene"]:
    """Mean change of every gene over the cells that express it; NaN where too few do."""
    return expressing_mean(after.values) - expressing_mean(before.values)
