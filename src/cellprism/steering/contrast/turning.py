"""What the numbers of a recipe do to features: multiply them, add to them, or bring them to a level.

A recipe is one number a feature, 1 where the feature is left alone; its distance from 1 is what is penalised, and what
the edit is linear in.

Notable choices

- ``Multiply``: z becomes alpha z. Where a feature does not fire there is nothing to multiply: a program that the source
  never fires cannot be recruited.
- Adding (``Raise``): z becomes z + (alpha - 1) u, at every open token, with u the mean value that the feature has where
  it fires.
- Clamping (``Raise`` that fades): z becomes z + (alpha - 1) (u_p - z), with u_p the mean value that the feature has at
  the place p (a gene) in the target's cells, zeros included: at alpha = 2 it is set to what the target shows there.
- Only tokens that are present are open. Where nothing changes, the residual stream keeps its bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.steering import (
    added_delta,
    added_gradient,
    squared_edit_norm,
    steering_delta,
    strength_gradient,
)
from cellprism.steering.intervene import SiteCells, edited
from cellprism.steering.nulls import tokens_at
from cellprism.steering.settings import ADD, CLAMP
from cellprism.steering.site_cache import Residuals, SiteCache
from cellprism.types import SparseCode


class Turning(Protocol):
    """How the numbers of a recipe change a residual stream."""

    def edited(
        self, cache: SiteCache, part: SiteCells, strengths: Float[Tensor, " feature"]
    ) -> Float[Tensor, "row token d_model"]:
        """The residual stream, edited."""
        ...

    def gradient(
        self, cache: SiteCache, part: SiteCells, upstream: Float[Tensor, "row token d_model"]
    ) -> Float[Tensor, " feature"]:
        """Gradient with respect to the numbers, from that with respect to the edited residual stream."""
        ...

    def squared_norm(self, cache: SiteCache, part: SiteCells) -> Float[Tensor, " feature"]:
        """Squared edit, summed over tokens, per unit of distance from 1; 0 for features that nothing can turn."""
        ...

    def summed(self, cache: SiteCache, part: SiteCells) -> Float[Tensor, " feature"]:
        """Change of each feature's value, summed over tokens, per unit of distance from 1."""
        ...


@dataclass(frozen=True)
class Multiply:
    """A feature's values are multiplied."""

    def edited(
        self, cache: SiteCache, part: SiteCells, strengths: Float[Tensor, " feature"]
    ) -> Float[Tensor, "row token d_model"]:
        """x + ((alpha - 1) z) W_dec."""
        return edited(part.x, part.code, strengths, cache.W_dec)

    def gradient(
        self, cache: SiteCache, part: SiteCells, upstream: Float[Tensor, "row token d_model"]
    ) -> Float[Tensor, " feature"]:
        """See ``equations.steering.strength_gradient``."""
        return strength_gradient(part.code, cache.W_dec, upstream.flatten(0, 1))

    def squared_norm(self, cache: SiteCache, part: SiteCells) -> Float[Tensor, " feature"]:
        """See ``equations.steering.squared_edit_norm``."""
        return squared_edit_norm(part.code, cache.W_dec)

    def summed(self, cache: SiteCache, part: SiteCells) -> Float[Tensor, " feature"]:
        """The sum of its values."""
        return _summed(part.code, cache.W_dec)


@dataclass(frozen=True, eq=False)
class Raise:
    """A feature's values are raised by a share of ``units``, and where ``fades`` is set lose the same share of
    themselves."""

    units: Float[Tensor, "place feature"]
    """One row for all places, or one a place."""
    fades: bool

    def edited(
        self, cache: SiteCache, part: SiteCells, strengths: Float[Tensor, " feature"]
    ) -> Float[Tensor, "row token d_model"]:
        """x + (alpha - 1) (u - fades z) W_dec at present tokens."""
        amounts = strengths - 1
        if not bool(amounts.any()):
            return part.x
        delta = added_delta(amounts, self.units, self._places(cache, part), cache.W_dec)
        if self.fades:
            delta = delta + steering_delta(part.code, 1 - amounts, cache.W_dec)
        moved = part.x + delta.view_as(part.x)
        return torch.where(part.batch.present[..., None], moved, part.x)

    def gradient(
        self, cache: SiteCache, part: SiteCells, upstream: Float[Tensor, "row token d_model"]
    ) -> Float[Tensor, " feature"]:
        """See ``equations.steering.added_gradient``."""
        open_ = torch.where(part.batch.present[..., None], upstream, 0.0).flatten(0, 1)
        own = added_gradient(self.units, self._places(cache, part), cache.W_dec, open_)
        return own - strength_gradient(part.code, cache.W_dec, open_) if self.fades else own

    def squared_norm(self, cache: SiteCache, part: SiteCells) -> Float[Tensor, " feature"]:
        """|W_dec[f]|^2 sum_t (u_pf - fades z_tf)^2 over present tokens."""
        places, present = self._places(cache, part), part.batch.present.flatten()
        count = torch.bincount(places[present], minlength=len(self.units)).to(self.units)
        total = count @ self.units.square()
        if self.fades:
            code = part.code
            own = self.units[places[:, None].expand_as(code.features), code.features]
            change = code.values.square() - 2 * own * code.values
            total = total.index_add(0, code.features.flatten(), change.flatten().to(total.dtype))
        return total.clamp_min(0) * cache.W_dec.square().sum(dim=1)

    def summed(self, cache: SiteCache, part: SiteCells) -> Float[Tensor, " feature"]:
        """sum_t (u_pf - fades z_tf) over present tokens."""
        places, present = self._places(cache, part), part.batch.present.flatten()
        count = torch.bincount(places[present], minlength=len(self.units)).to(self.units)
        return count @ self.units - (_summed(part.code, cache.W_dec) if self.fades else 0.0)

    def _places(self, cache: SiteCache, part: SiteCells) -> Int[Tensor, " token"]:
        places = cache.places(part.batch.cell).flatten()
        return places if len(self.units) > 1 else torch.zeros_like(places)


def _summed(code: SparseCode, W_dec: Float[Tensor, "feature d_model"]) -> Float[Tensor, " feature"]:
    values = code.values.flatten().to(W_dec.dtype)
    return W_dec.new_zeros(code.n_features).index_add_(0, code.features.flatten(), values)


def turning(
    cache: SiteCache, edit: str, source: Int[np.ndarray, " some"], target: Int[np.ndarray, " other"]
) -> Turning:
    """How recipes of a kind of edit turn features; what it needs to know of their values is measured on some cells.

    Args:
        cache: the cells at the site.
        edit: one of ``settings.EDITS``.
        source: cells that are steered.
        target: cells that they are to become like.
    """
    if edit == ADD:
        return Raise(mean_where_firing(cache, np.concatenate([source, target]))[None], False)
    if edit == CLAMP:
        return Raise(mean_at_places(cache, target), True)
    return Multiply()


def mean_where_firing(cache: SiteCache, cells: Int[np.ndarray, " some"]) -> Float[Tensor, " feature"]:
    """Mean value of each feature over the tokens at which it fires; 0 for one that never does."""
    total, count = (cache.W_dec.new_zeros(cache.n_features) for _ in range(2))
    for part in cache.take(cells):
        features, values = part.code.features.flatten(), part.code.values.flatten().to(total.dtype)
        total.index_add_(0, features, values)
        count.index_add_(0, features, (values != 0).to(total.dtype))
    return total / count.clamp_min(1)


def mean_at_places(cache: SiteCache, cells: Int[np.ndarray, " some"]) -> Float[Tensor, "place feature"]:
    """Mean value of each feature over the present tokens at each place, zeros included."""
    total = cache.W_dec.new_zeros(cache.n_places * cache.n_features)
    for part in cache.take(cells):
        place = cache.places(part.batch.cell).flatten()[:, None]
        at = place * cache.n_features + part.code.features
        total.index_add_(0, at.flatten(), part.code.values.flatten().to(total.dtype))
    return total.view(cache.n_places, cache.n_features) / tokens_at(cache, cells).clamp_min(1)[:, None]


def residuals_of(
    cache: SiteCache, turn: Turning, cells: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]
) -> Residuals:
    """Residual streams of some cells, edited."""
    return ((part.batch, turn.edited(cache, part, strengths)) for part in cache.take(cells))


def edit_norm(
    cache: SiteCache, turn: Turning, cells: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]
) -> float:
    """Frobenius norm of a recipe's edit over all rows of some cells."""
    squares: Iterator[float] = (
        (turn.edited(cache, part, strengths) - part.x).square().sum().item() for part in cache.take(cells)
    )
    return sum(squares) ** 0.5


def natural_amounts(turn: Turning, strengths: Float[Tensor, " feature"]) -> Float[Tensor, " feature"]:
    """The numbers of a recipe as ``edits`` takes them where they are the same at all places: strengths alpha
    that multiply, amounts that are added; of clamping, shares of the way."""
    if isinstance(turn, Raise):
        return (strengths - 1) if turn.fades else (strengths - 1) * turn.units[0]
    return strengths
