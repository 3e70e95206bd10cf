"""The contrastive problem: strengths that move source cells towards a target, as a smooth loss with its
gradient.

Notable choices

- The loss is divided by its value without steering, so that it starts at 1 and penalties of all objectives are on one
  scale.
- Gradients run only through the blocks after the site: one automatic derivative with respect to the edited
  residuals, then one contraction over features (``turning``).
- Where genes are read hidden, each cell takes part with one of its passes, dealt in turn: more cells teach more than
  more passes of the same cells.
- Models that can leave out tokens (``types.ReadsSomeGenes``) answer at the weighted genes alone, and show how far the
  embedding moves at a sample of the tokens of which it is the mean.
- Only features that an edit can turn on the source cells are learned: those that fire there, where it multiplies.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.equations.objectives import (
    centroid_objective,
    energy_distance,
    expression_objective,
    latent_objective,
    unsquared_objective,
)
from cellprism.steering.contrast.turning import Multiply, Turning
from cellprism.steering.intervene import SiteCells
from cellprism.steering.site_cache import SiteCache
from cellprism.types import ReadsSomeGenes

MEAN, EACH, UNSQUARED, ENERGY = "mean", "each", "unsquared", "energy"


@dataclass(frozen=True)
class Aim:
    """What steered cells are to reach, in the embedding or in predicted expression."""

    source: Float[Tensor, " value"]
    """Mean of the source type."""
    target: Float[Tensor, " value"]
    """Mean of the target type."""
    weight: Float[Tensor, " value"]
    columns: Int[Tensor, " value"] | None = None
    """Genes of the cache that the means speak of; None where they speak of the embedding."""
    tokens: Int[Tensor, " some"] | None = None
    """Where the embedding's move is measured; None: at all tokens."""
    form: str = MEAN
    """What is brought close: the cells' mean, which is to move by the gap (``MEAN``); every cell, to the target's mean,
    as published (``EACH``) or without the square (``UNSQUARED``); or the cells as a sample, to that of the target
    (``ENERGY``)."""
    sample: Float[Tensor, "cell value"] | None = None
    """Cells of the target, for ``ENERGY``."""

    @property
    def by_cell(self) -> bool:
        """Whether the objective is a mean over cells."""
        return self.form in (EACH, UNSQUARED)


@dataclass(frozen=True)
class ContrastProblem:
    """Loss of some cells of a cache as a function of the strengths."""

    cache: SiteCache
    cells: Int[np.ndarray, " some"]
    """Cells of the cache that are steered."""
    aim: Aim
    turn: Turning = field(default_factory=Multiply)
    """What the strengths do to features."""
    learnable: Bool[Tensor, " feature"] | None = None
    """Features that may be turned; None: all."""

    @cached_property
    def origin(self) -> Float[Tensor, " value"]:
        """Mean of the cells, unsteered."""
        return _mean(self._all_values(self.cache.W_dec.new_ones(self.cache.n_features)))

    def loss(self, strengths: Float[Tensor, " feature"]) -> float:
        """The objective of the cells, steered."""
        return self._objective(self._all_values(strengths)).item()

    def loss_and_gradient(self, strengths: Float[Tensor, " feature"]) -> tuple[float, Float[Tensor, " feature"]]:
        """The objective of the cells and its gradient with respect to the strengths.

        Cost: one pass of each cell, forwards and backwards; two forwards where cells of several batches count together.
        """
        several = len(self.cells) > self.cache.batch_size
        whole = self._slope(self._all_values(strengths)) if several and not self.aim.by_cell else None
        total, gradient, done = 0.0, torch.zeros_like(strengths), 0
        for part in self._parts():
            x = self._edited(part, strengths).detach().requires_grad_()
            with torch.enable_grad():
                values = self._values(part, x)
                if whole is None:
                    value = self._objective(values) * (len(values) / len(self.cells))
                else:
                    value = (torch.where(values.isnan(), 0.0, values) * whole[1][done : done + len(values)]).sum()
            (upstream,) = torch.autograd.grad(value, x)
            gradient += self.turn.gradient(self.cache, part, upstream)
            total, done = total + value.item(), done + len(values)
        return total if whole is None else whole[0], gradient

    def squared_edit_norm(self) -> Float[Tensor, " feature"]:
        """Mean squared edit of a pass per unit of strength; 0 for features that cannot be turned here."""
        parts = [self.turn.squared_norm(self.cache, part) for part in self._parts()]
        total = torch.stack(parts).sum(dim=0) / len(self.cells)
        return total if self.learnable is None else total * self.learnable

    def _parts(self) -> Iterator[SiteCells]:
        return self.cache.take_rows(self.cache.one_row_each(self.cells))

    def _edited(self, part: SiteCells, strengths: Float[Tensor, " feature"]) -> Float[Tensor, "cell token d_model"]:
        return self.turn.edited(self.cache, part, strengths)

    def _values(self, part: SiteCells, x: Float[Tensor, "cell token d_model"]) -> Float[Tensor, "cell value"]:
        return read_values(self.cache, part, x, self.aim)

    @torch.no_grad()
    def _all_values(self, strengths: Float[Tensor, " feature"]) -> Float[Tensor, "cell value"]:
        return torch.cat([self._values(part, self._edited(part, strengths)) for part in self._parts()])

    def _objective(self, values: Float[Tensor, "cell value"]) -> Float[Tensor, ""]:
        aim = self.aim
        if aim.form == ENERGY:
            assert aim.sample is not None, "aim_of gives it"
            return energy_distance(values, aim.sample)
        if aim.form == UNSQUARED:
            return unsquared_objective(values, aim.target)
        if aim.form == EACH and aim.columns is None:
            return latent_objective(values, aim.target)
        if aim.form == EACH:
            return expression_objective(values, aim.target, aim.weight)
        return centroid_objective(_mean(values) - self.origin, aim.target - aim.source, aim.weight)

    def _slope(self, values: Float[Tensor, "cell value"]) -> tuple[float, Float[Tensor, "cell value"]]:
        """The objective, and its derivatives with respect to what the model says of each cell."""
        with torch.enable_grad():
            given = values.detach().requires_grad_()
            loss = self._objective(given)
        return loss.item(), torch.autograd.grad(loss, given)[0]


def read_values(
    cache: SiteCache,
    part: SiteCells,
    x: Float[Tensor, "cell token d_model"],
    aim: Aim,
) -> Float[Tensor, "cell value"]:
    """What the model says in single passes: the embedding, or some genes of the cache, NaN where it sees them."""
    if aim.columns is None:
        return _embedding(cache, part, x, aim.tokens)
    said = cache.values_in(part.batch, x, aim.columns)
    there = _hidden(cache, part, aim.columns)
    return said if there is None else torch.where(there, said, torch.nan)


def _embedding(
    cache: SiteCache,
    part: SiteCells,
    x: Float[Tensor, "cell token d_model"],
    tokens: Int[Tensor, " some"] | None,
) -> Float[Tensor, "cell d_model"]:
    if tokens is None or not isinstance(cache.model, ReadsSomeGenes):
        return cache.model.resume(part.batch, cache.layer, x).embedding
    return cache.model.resume_at(part.batch, cache.layer, x, tokens).embedding


def _hidden(cache: SiteCache, part: SiteCells, columns: Int[Tensor, " value"]) -> Bool[Tensor, "cell value"] | None:
    """Where genes are hidden in these passes; None where all are read where they are seen."""
    if cache.fold is None:
        return None
    row = part.batch.cell
    return cache.fold[row // cache.folds][:, columns] == (row % cache.folds)[:, None]


def _mean(values: Float[Tensor, "cell value"]) -> Float[Tensor, " value"]:
    """Over the cells that have a value; 0 where none has."""
    there = values.isnan().logical_not()
    return torch.where(there, values, 0.0).sum(dim=0) / there.sum(dim=0).clamp(min=1)
