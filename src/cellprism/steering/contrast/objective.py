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

from cellprism.equations.objectives import centroid_objective, expression_objective, latent_objective
from cellprism.steering.contrast.turning import Multiply, Turning
from cellprism.steering.intervene import SiteCells
from cellprism.steering.site_cache import SiteCache
from cellprism.types import ReadsSomeGenes


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
    by_cell: bool = False
    """Whether each cell is to reach the target's mean, as published; else the cells' mean is to move by the gap."""


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
        return self._mean(self.cache.W_dec.new_ones(self.cache.n_features))[0]

    def loss(self, strengths: Float[Tensor, " feature"]) -> float:
        """The objective of the cells, steered."""
        values = self._all_values(strengths)
        return self._objective(values, _mean(values)).item()

    def loss_and_gradient(self, strengths: Float[Tensor, " feature"]) -> tuple[float, Float[Tensor, " feature"]]:
        """The objective of the cells and its gradient with respect to the strengths.

        Cost: one pass of each cell, forwards and backwards; two forwards where cells of several batches share a mean.
        """
        total, gradient = 0.0, torch.zeros_like(strengths)
        several = len(self.cells) > self.cache.batch_size
        mean = self._mean(strengths) if several and not self.aim.by_cell else None
        for part in self._parts():
            x = self._edited(part, strengths).detach().requires_grad_()
            with torch.enable_grad():
                values = self._values(part, x)
                share = len(values) / len(self.cells)
                value = (
                    self._objective(values, _mean(values)) * (share if self.aim.by_cell else 1.0)
                    if mean is None
                    else self._tangent(values, *mean)
                )
            (upstream,) = torch.autograd.grad(value, x)
            gradient += self.turn.gradient(self.cache, part, upstream)
            total += value.item()
        return total if mean is None else self._objective(None, mean[0]).item(), gradient

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

    def _mean(self, strengths: Float[Tensor, " feature"]) -> tuple[Float[Tensor, " value"], Int[Tensor, " value"]]:
        """Mean of each value over the cells that have it, and how many these are."""
        values = self._all_values(strengths)
        return _mean(values), (~values.isnan()).sum(dim=0)

    def _objective(
        self, values: Float[Tensor, "cell value"] | None, mean: Float[Tensor, " value"]
    ) -> Float[Tensor, ""]:
        aim = self.aim
        if aim.by_cell and values is not None:
            if aim.columns is None:
                return latent_objective(values, aim.target)
            return expression_objective(values, aim.target, aim.weight)
        return centroid_objective(mean - self.origin, aim.target - aim.source, aim.weight)

    def _tangent(
        self, values: Float[Tensor, "cell value"], mean: Float[Tensor, " value"], count: Int[Tensor, " value"]
    ) -> Float[Tensor, ""]:
        """What has the gradient of the centroid objective with respect to some of the cells."""
        left = mean - self.origin - (self.aim.target - self.aim.source)
        slope = 2 * self.aim.weight * left / count.clamp(min=1)
        return torch.where(values.isnan(), 0.0, values).matmul(slope).sum()


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
    there = ~values.isnan()
    return torch.where(there, values, 0.0).sum(dim=0) / there.sum(dim=0).clamp(min=1)
