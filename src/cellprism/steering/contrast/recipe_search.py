"""One search for a recipe: target and path from training cells, penalty from validation cells."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.objectives import gap_weights
from cellprism.steering.contrast.cell_split import CellSplit, Pair
from cellprism.steering.contrast.objective import EACH, ENERGY, MEAN, UNSQUARED, Aim, ContrastProblem, read_values
from cellprism.steering.contrast.proximal import PathPoint, ProximalSolver
from cellprism.steering.contrast.scores import BaselineValues
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.settings import BY_CELL, ENERGY_LATENT, UNSQUARED_LATENT, ContrastSettings
from cellprism.steering.site_cache import SiteCache

TOKENS = 512  # at which the move of an embedding is measured while a recipe is searched
NONE = np.empty(0, dtype=np.int64)
SIZES = (0.0, 0.1, 0.3, 0.5)
"""Sizes of |alpha - 1| above which a recipe's features are counted."""


@dataclass(frozen=True)
class Search:
    """A path and the point chosen on it."""

    objective: str
    points: list[PathPoint]
    validation: list[float]
    """Loss of the validation cells at each point, in units of their neutral loss."""
    n_considered: int
    """Features that fire on the training cells, which are all that a recipe can use."""

    @property
    def chosen(self) -> int:
        """The point with the lowest validation loss, the sparsest of equals; the neutral recipe only where there is no
        other, so that searches with other labels can be compared."""
        return 1 + int(np.argmin(self.validation[1:])) if len(self.points) > 1 else 0

    @property
    def strengths(self) -> Float[Tensor, " feature"]:
        """The chosen recipe."""
        return self.points[self.chosen].strengths

    @property
    def penalty(self) -> float:
        """The chosen lambda."""
        return self.points[self.chosen].penalty

    def table(self) -> pd.DataFrame:
        """One row per lambda; columns as in ``ContrastResult.path``."""
        sizes = [recipe_sizes(point.strengths) for point in self.points]
        return pd.DataFrame(
            {
                "lambda": [point.penalty for point in self.points],
                "objective": self.objective,
                **{f"n_above_{size:g}": [row[f"{size:g}"] for row in sizes] for size in SIZES},
                "train_loss": [point.loss for point in self.points],
                "validation_loss": self.validation,
                "evaluations": [point.evaluations for point in self.points],
                "chosen": [i == self.chosen for i in range(len(self.points))],
            }
        )


def recipe_sizes(strengths: Float[Tensor, " feature"]) -> dict[str, int]:
    """How many strengths differ from 1 by more than each of ``SIZES``."""
    change = (strengths - 1).abs()
    return {f"{size:g}": int((change > size).sum()) for size in SIZES}


def measure(cache: SiteCache, centroids: Pair, genes: Pair, n_genes: int) -> BaselineValues:
    """The two types: their centroids and mean predictions as the unsteered model sees some cells, and their
    differential genes from the counts of some cells, which may be others: a model must not choose the genes that it is
    judged on."""
    source, target = (cache.baseline.part(rows) for rows in (centroids.source, centroids.target))
    means = [expressing_mean(p.values) for p in (source, target)]
    known = np.isfinite(means[0] + means[1])  # genes that too few cells express differ by nothing that can be told
    sides = (genes.source, genes.target)
    observed = [np.where(known, np.asarray(cache.observed[rows].mean(axis=0)).ravel(), 0) for rows in sides]
    return BaselineValues(
        source=source.embedding.mean(axis=0),
        target=target.embedding.mean(axis=0),
        source_mean=means[0],
        target_mean=means[1],
        weight=gap_weights(torch.from_numpy(observed[0]), torch.from_numpy(observed[1]), n_genes).numpy(),
        observed_gap=observed[1] - observed[0],
        output_kind=cache.output_kind,
    )


def search(cache: SiteCache, parts: CellSplit, objective: str, settings: ContrastSettings, seed: int) -> Search:
    """Follow the path on training cells, and choose its best point on validation cells by the gap between these."""
    rng = np.random.default_rng(seed)
    learners = np.sort(rng.permutation(parts.train.source)[: settings.train_cells])
    aim, other = (
        aim_of(cache, objective, measure(cache, cells, parts.train, settings.n_genes), rng, cells.target)
        for cells in (parts.train, parts.validation)
    )
    problem = ContrastProblem(cache, learners, aim)
    solver = ProximalSolver(iterations=settings.iterations, bound=settings.bound)
    state = solver.start(problem)
    points = solver.whole_path(problem, state, settings.smallest_penalty, settings.penalties)
    validator = ContrastProblem(cache, parts.validation.source, other)
    neutral = validator.loss(state.strengths)
    validation = [1.0, *(validator.loss(point.strengths) / neutral for point in points[1:])]
    return Search(objective, points, validation, int(state.free.sum()))


def aim_of(
    cache: SiteCache,
    objective: str,
    base: BaselineValues,
    rng: np.random.Generator,
    targets: Int[np.ndarray, " some"] = NONE,
) -> Aim:
    """What an objective asks of steered cells, where ``base`` says where the two types are, and ``targets`` are cells
    of the target for the one that looks at all of them."""

    def tensor(values: Float[np.ndarray, " some"]) -> Float[Tensor, " some"]:
        return torch.from_numpy(values).to(cache.W_dec)

    form = EACH if objective.endswith(BY_CELL) else MEAN
    kind = objective.removesuffix(BY_CELL)
    if kind in ("latent", UNSQUARED_LATENT, ENERGY_LATENT):
        form = {UNSQUARED_LATENT: UNSQUARED, ENERGY_LATENT: ENERGY}.get(objective, form)
        tokens = None if form in (EACH, UNSQUARED) else sampled_tokens(cache, rng)
        one = tensor(np.ones_like(base.target))
        aim = Aim(tensor(base.source), tensor(base.target), one, tokens=tokens, form=form)
        return replace(aim, sample=_sample(cache, aim, targets)) if form == ENERGY else aim
    used = np.flatnonzero(base.weight)
    columns = torch.from_numpy(used).to(cache.W_dec.device)
    source, target = tensor(base.source_mean[used]), tensor(base.target_mean[used])
    return Aim(source, target, tensor(base.weight[used]), columns, form=form)


@torch.no_grad()
def _sample(cache: SiteCache, aim: Aim, cells: Int[np.ndarray, " some"]) -> Float[Tensor, "cell value"]:
    """Some cells of the target, one pass of each."""
    parts = cache.take_rows(cache.one_row_each(cells))
    return torch.cat([read_values(cache, part, part.x, aim) for part in parts])


def sampled_tokens(cache: SiteCache, rng: np.random.Generator) -> Int[Tensor, " some"] | None:
    """``TOKENS`` of the tokens that are genes, in their order; None where there are no more."""
    gene = cache.whole.gene
    if gene.ndim != 1:
        return None
    genes = (gene >= 0).nonzero()[:, 0]
    some = np.sort(rng.permutation(len(genes))[:TOKENS])
    return None if len(genes) <= TOKENS else genes[torch.from_numpy(some).to(gene.device)]
