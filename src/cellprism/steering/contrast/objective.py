"""The contrastive problem: strengths that move source cells towards a target, as a smooth loss with its
gradient.

Notable choices

- The loss is divided by its value without steering, so that it starts at 1 and penalties of the two
  objectives are on one scale.
- Gradients run only through the blocks after the site: one automatic derivative with respect to the edited
  residuals, then one sparse contraction over the features that fire
  (``equations.steering.strength_gradient``).
- Where genes are read hidden, all passes of a cell are edited and its loss is of all of them together; gradients run
  through each.
- Only features that fire on the source cells can be learned; the others have no effect there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.objectives import expression_objective, latent_objective
from cellprism.equations.steering import squared_edit_norm, strength_gradient
from cellprism.steering.intervene import edited
from cellprism.steering.reading import Reading
from cellprism.steering.site_cache import Residuals, SiteCache
from cellprism.types import CellBatch


@dataclass(frozen=True)
class LatentTarget:
    """Reach the target type's centroid in the embedding."""

    centroid: Float[Tensor, " d_model"]

    def __call__(self, said: Reading) -> Float[Tensor, ""]:
        """Latent objective of some cells."""
        return latent_objective(said.embedding, self.centroid)


@dataclass(frozen=True)
class ExpressionTarget:
    """Reach the target type's mean predicted expression on weighted genes."""

    mean: Float[Tensor, " gene"]
    weight: Float[Tensor, " gene"]
    columns: Int[Tensor, " gene"]
    """Genes of the cache that ``mean`` and ``weight`` speak of."""

    def __call__(self, said: Reading) -> Float[Tensor, ""]:
        """Expression objective of some cells."""
        return expression_objective(said.values.index_select(1, self.columns), self.mean, self.weight)


@dataclass(frozen=True)
class ContrastProblem:
    """Loss of some cells of a cache as a function of the strengths."""

    cache: SiteCache
    rows: Int[np.ndarray, " some"]
    """Cells of the cache that are steered."""
    target: Callable[[Reading], Float[Tensor, ""]]
    """Objective of some cells, a mean over them."""

    def loss(self, strengths: Float[Tensor, " feature"]) -> float:
        """Mean objective over the cells, steered."""
        return self.loss_from(self.cache.steered(self.rows, strengths))

    def loss_from(self, residuals: Residuals) -> float:
        """Mean objective over the cells, from given residual streams at the site."""
        with torch.no_grad():
            parts = (self._value(batch, x).item() * self._cells(x) for batch, x in residuals)
            return sum(parts) / len(self.rows)

    def loss_and_gradient(self, strengths: Float[Tensor, " feature"]) -> tuple[float, Float[Tensor, " feature"]]:
        """Mean objective over the cells and its gradient with respect to the strengths."""
        total, gradient = 0.0, torch.zeros_like(strengths)
        for cells in self.cache.take(self.rows):
            x = edited(cells.x, cells.code, strengths, self.cache.W_dec).detach().requires_grad_()
            with torch.enable_grad():
                value = self._value(cells.batch, x)
            (upstream,) = torch.autograd.grad(value, x)
            gradient += strength_gradient(cells.code, self.cache.W_dec, upstream.flatten(0, 1)) * self._cells(x)
            total += value.item() * self._cells(x)
        return total / len(self.rows), gradient / len(self.rows)

    def squared_edit_norm(self) -> Float[Tensor, " feature"]:
        """Mean squared edit per unit of strength, over all rows of a cell; 0 for features that never fire here."""
        parts = [squared_edit_norm(cells.code, self.cache.W_dec) for cells in self.cache.take(self.rows)]
        return torch.stack(parts).sum(dim=0) / len(self.rows)

    def _value(self, batch: CellBatch, x: Float[Tensor, "cell token d_model"]) -> Float[Tensor, ""]:
        return self.target(self.cache.said(batch, self.cache.model.resume(batch, self.cache.layer, x)))

    def _cells(self, x: Float[Tensor, "row token d_model"]) -> int:
        return len(x) // self.cache.folds
