"""Searches that lead elsewhere, and edits without features: what a recipe for both objectives stands beside.

Notable choices

- Every search here asks for both objectives alike (weight 1/2), with the effort of the recipe's own, and takes the
  penalty that is best on the validation cells of its own two sides.
- Permuted labels mix the two types within the training and within the validation cells. Another type's centroid, a
  random one as far away, and the other half of the source cells stand in for the target, in the embedding and in
  expression.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.fronts import share_closed
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.contrast.cell_split import Pair
from cellprism.steering.contrast.proximal import PathPoint
from cellprism.steering.contrast.scores import BaselineValues
from cellprism.steering.contrast.turning import Raise, Turning, residuals_of
from cellprism.steering.pareto.joint import follow, joint_problem
from cellprism.steering.pareto.points import Judging, best, judging
from cellprism.steering.settings import ContrastSettings
from cellprism.steering.site_cache import SiteCache

WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Searched:
    """A recipe, and how it turns the features of its cache."""

    cache: SiteCache
    turn: Turning
    strengths: Float[Tensor, " feature"]

    @property
    def features(self) -> int:
        """How many are turned."""
        return int((self.strengths != 1).sum())


def search_both(
    cache: SiteCache, turn: Turning, learn: Int[np.ndarray, " some"], base: BaselineValues,
    choose: Int[np.ndarray, " some"], other: BaselineValues, settings: ContrastSettings, seed: int,
) -> Searched:  # fmt: skip
    """Follow the path of weight 1/2 on some cells, and take its best recipe on others.

    Args:
        cache: the cells at the site, as some dictionary reads them.
        turn: what strengths do.
        learn: cells whose loss is descended, between the two sides of ``base``.
        base: the two sides as the learning cells' part sees them.
        choose: cells that choose, between the two sides of ``other``.
        other: the two sides as the choosing cells' part sees them.
        settings: effort.
        seed: of the sampled tokens.
    """
    problem = joint_problem(cache, learn, base, turn, seed=seed)
    points = follow(problem.at(WEIGHT), settings)
    return Searched(cache, turn, points[_choice(cache, turn, points, choose, other)].strengths)


def _choice(
    cache: SiteCache, turn: Turning, points: Sequence[PathPoint], choose: Int[np.ndarray, " some"],
    other: BaselineValues,
) -> int:  # fmt: skip
    """The recipe with the largest mean gain, the neutral one only where there is no other."""
    before = cache.baseline.part(choose)
    judge = Judging(other, before, before)
    gains = []
    for point in points[1:]:
        after = cache.predict_from(residuals_of(cache, turn, choose, point.strengths))
        both = [share_closed(move.mean(axis=0), gap, weight) for move, gap, weight in judge.moves(after)]
        gains.append(np.mean(both))
    return 1 + best(gains) if gains else 0


def halves(cells: Int[np.ndarray, " some"], rng: np.random.Generator) -> Pair:
    """The same cells as source and target: one half each."""
    mixed = rng.permutation(cells)
    return Pair(mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :])


def towards(cache: SiteCache, pair: Pair, genes: Pair, n_genes: int, weighting: str) -> BaselineValues:
    """Where two groups of cells are, with genes and weights from the counts of others."""
    return judging(cache, pair, genes, n_genes, weighting).base


def random_target(base: BaselineValues, rng: np.random.Generator) -> BaselineValues:
    """A target as far away, in a random direction: of the embedding uniformly, of expression by dealing out the gaps of
    the weighted genes among them with random signs."""
    gap = base.target - base.source
    way = rng.standard_normal(len(gap))
    used = np.flatnonzero(base.weight)
    target_mean = base.target_mean.copy()
    dealt = rng.permutation(used)
    signs = rng.choice([-1.0, 1.0], len(used))
    target_mean[used] = base.source_mean[used] + signs * base.gap[dealt]
    return replace(
        base, target=base.source + way * np.linalg.norm(gap) / np.linalg.norm(way), target_mean=target_mean
    )  # fmt: skip


def axes(cache: SiteCache) -> tuple[SiteCache, Turning]:
    """The cells as a dictionary of the stream's own axes reads them, each added to every token by its strength: any
    vector is a recipe."""
    n = cache.W_dec.shape[1]
    one = torch.eye(n, dtype=cache.W_dec.dtype, device=cache.W_dec.device)
    flat = SparseAutoencoder(one, one.new_zeros(n), one, one.new_zeros(n), k=1)
    return replace(cache, sae=flat), Raise(one.new_ones(1, n), False)


def mean_codes(cache: SiteCache, cells: Int[np.ndarray, " some"]) -> Float[np.ndarray, " feature"]:
    """Mean value of each feature over all present tokens of some cells."""
    total = cache.W_dec.new_zeros(cache.n_features)
    for part in cache.take(cells):
        total.index_add_(0, part.code.features.flatten(), part.code.values.flatten().to(total.dtype))
    return (total / int(cache.present[cache.rows(cells)].sum())).double().cpu().numpy()


def top_by_difference(cache: SiteCache, pair: Pair, count: int, bound: float) -> Float[Tensor, " feature"]:
    """Strengths that bring the features which differ most between two groups to the target's mean, at most ``bound``
    from 1; features that the source never fires are left out."""
    source, target = (mean_codes(cache, cells) for cells in (pair.source, pair.target))
    size = cache.W_dec.norm(dim=1).cpu().numpy()
    apart = np.where(source > 0, np.abs(target - source) * size, -np.inf)
    chosen = np.argsort(-apart, kind="stable")[:count]
    chosen = chosen[apart[chosen] > 0]
    strengths = torch.ones(cache.n_features, dtype=cache.W_dec.dtype, device=cache.W_dec.device)
    ratio = np.clip(target[chosen] / source[chosen], 1 - bound, 1 + bound)
    strengths[torch.from_numpy(chosen).to(strengths.device)] = torch.from_numpy(ratio).to(strengths)
    return strengths


def scaled(one: Searched, norm: float, own: float) -> Searched:
    """The same recipe with an edit of another norm; itself where it makes none."""
    return replace(one, strengths=1 + (one.strengths - 1) * (norm / own if own > 0 else 0.0))
