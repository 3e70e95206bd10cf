"""Recipes for a weighted sum of two objectives, along a path of penalties for each weight.

Notable choices

- Each objective is divided by its value without steering, so that a weight says how much of either is asked for:
  w of expression and 1 - w of the embedding.
- The path of a weight starts where nothing moves and each penalty from the solution before it.
- Genes that must move, or must not, are part of expression with further weight: a gene that must move and does not
  costs ``PULL`` of the neutral loss more, and so much costs one that must not move and moves by a typical gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.steering.contrast.cell_split import CellSplit
from cellprism.steering.contrast.objective import Aim, ContrastProblem
from cellprism.steering.contrast.proximal import PathPoint, ProximalSolver
from cellprism.steering.contrast.recipe_search import aim_of
from cellprism.steering.contrast.scores import BaselineValues
from cellprism.steering.contrast.turning import Turning
from cellprism.steering.settings import ContrastSettings
from cellprism.steering.site_cache import SiteCache

PULL = 0.25


@dataclass(frozen=True, eq=False)
class JointProblem:
    """(1 - weight) latent + weight expression, both in units of their neutral loss."""

    latent: ContrastProblem
    expression: ContrastProblem
    neutral: tuple[float, float]
    """Loss of each without steering, in its own units."""
    weight: float

    def loss_and_gradient(self, strengths: Float[Tensor, " feature"]) -> tuple[float, Float[Tensor, " feature"]]:
        """Loss and gradient; an objective of weight 0 is not looked at."""
        total, gradient = 0.0, torch.zeros_like(strengths)
        for problem, neutral, weight in zip(
            (self.latent, self.expression), self.neutral, (1 - self.weight, self.weight), strict=True
        ):
            if weight:
                loss, slope = problem.loss_and_gradient(strengths)
                total += weight * loss / neutral
                gradient += weight / neutral * slope
        return total, gradient

    def squared_edit_norm(self) -> Float[Tensor, " feature"]:
        """Squared edit per unit of strength; the same for both."""
        return self.latent.squared_edit_norm()

    def at(self, weight: float) -> "JointProblem":
        """The same with another weight."""
        return replace(self, weight=weight)


def learners(parts: CellSplit, settings: ContrastSettings, seed: int) -> Int[np.ndarray, " some"]:
    """The cells whose loss is descended."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.permutation(parts.train.source)[: settings.train_cells])


def joint_problem(
    cache: SiteCache,
    cells: Int[np.ndarray, " some"],
    base: BaselineValues,
    turn: Turning,
    *,
    must: Sequence[int] = (),
    must_not: Sequence[int] = (),
    learnable: Bool[Tensor, " feature"] | None = None,
    seed: int = 0,
) -> JointProblem:
    """Both objectives for some cells of a cache, where ``base`` says where the two types are.

    Args:
        cache: the cells at the site.
        cells: those whose loss is descended.
        base: the two types' means and the genes' weights.
        turn: what strengths do.
        must: genes of the cache that must arrive.
        must_not: genes of the cache that must stay.
        learnable: features that may be turned; all where None.
        seed: of the tokens at which the embedding's move is measured.
    """
    rng = np.random.default_rng([seed, 61])
    aims = (aim_of(cache, "latent", base, rng), with_demands(cache, base, must, must_not))
    latent, expression = (ContrastProblem(cache, cells, aim, turn, learnable) for aim in aims)
    still = cache.W_dec.new_ones(cache.n_features)
    return JointProblem(latent, expression, (latent.loss(still), expression.loss(still)), 0.5)


def with_demands(cache: SiteCache, base: BaselineValues, must: Sequence[int], must_not: Sequence[int]) -> Aim:
    """The expression objective, with genes that must arrive or stay."""
    weight, gap = base.weight.copy(), np.nan_to_num(base.gap)
    target = np.nan_to_num(base.target_mean)
    neutral, used = float((weight * gap**2).sum()), weight > 0
    typical = float((gap[used] ** 2).mean()) if used.any() else 0.0
    for gene in must:
        weight[gene] += PULL * neutral / gap[gene] ** 2 if gap[gene] else 0.0
    for gene in must_not:
        weight[gene] = PULL * neutral / typical if typical else 0.0
        target[gene] = np.nan_to_num(base.source_mean[gene])
    demanded = replace(base, weight=weight, target_mean=target)
    return aim_of(cache, "expression", demanded, np.random.default_rng(0))


def follow(problem: JointProblem, settings: ContrastSettings) -> list[PathPoint]:
    """Solutions for one weight at falling penalties, the neutral recipe first; that alone where nothing can move."""
    solver = ProximalSolver(iterations=settings.iterations, bound=settings.bound)
    return solver.whole_path(problem, solver.start(problem), settings.smallest_penalty, settings.penalties)
