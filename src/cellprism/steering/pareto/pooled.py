"""What of a model's state the embedding's objective looks at: after which block, and over which tokens it is a mean.

Notable choices

- *all genes* is the published embedding: the mean over all present tokens, most of which stand for genes that were not
  counted. *expressed genes* are those with a count in the cell, *differential genes* those that expression is weighted
  by. *gene by gene* takes no mean: the squared distances of all tokens to the target's mean at the same gene.
- States before the last are those of the residual stream after a block; the final one is behind the last norm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.steering.intervene import SiteCells
from cellprism.steering.site_cache import SiteCache
from cellprism.types import RunsBetween

ALL, EXPRESSED, DIFFERENTIAL, EACH = "all genes", "expressed genes", "differential genes", "gene by gene"
POOLINGS = (ALL, EXPRESSED, DIFFERENTIAL, EACH)
FINAL = "final"


@dataclass(frozen=True)
class Pooled:
    """One way to read a cell's place."""

    place: str
    """``block N``, or ``final``."""
    pooling: str


def ways_of(cache: SiteCache) -> list[Pooled]:
    """Every pooling after the site's block and after the last norm, the published one after blocks between; of models
    whose cells have other tokens each, or one alone, the published embedding."""
    if cache.whole.gene.ndim != 1 or cache.model.tokens == "cells":
        return [Pooled(FINAL, ALL)]
    between = range(cache.layer + 1, cache.model.n_layers) if isinstance(cache.model, RunsBetween) else ()
    places = [FINAL, f"block {cache.layer}"]
    return [Pooled(place, pooling) for place in places for pooling in POOLINGS] + [
        Pooled(f"block {layer}", ALL) for layer in between
    ]


def read_ways(
    cache: SiteCache,
    part: SiteCells,
    x: Float[Tensor, "row token d_model"],
    ways: Sequence[Pooled],
    genes: Int[Tensor, " some"],
) -> list[Float[Tensor, "row value"]]:
    """What each way says of some rows; gradients pass through.

    Args:
        cache: the cells at the site.
        part: the rows.
        x: their residual stream at the site, edited or not.
        ways: what to read.
        genes: the differential genes, by their place in the cache.
    """
    states: dict[str, Tensor] = {}
    if any(way.place == FINAL for way in ways):
        output = cache.model.resume(part.batch, cache.layer, x)
        if ways == [Pooled(FINAL, ALL)]:
            return [output.embedding]
        assert output.token is not None, "models whose cells have the same tokens give them"
        states[FINAL] = output.token
    for way in ways:
        if way.place not in states:
            states[way.place] = _after(cache, part, x, int(way.place.removeprefix("block ")))
    return [_pool(cache, part, states[way.place], way.pooling, genes) for way in ways]


def _after(
    cache: SiteCache, part: SiteCells, x: Float[Tensor, "row token d_model"], layer: int
) -> Float[Tensor, "row token d_model"]:
    if layer == cache.layer:
        return x
    assert isinstance(cache.model, RunsBetween), "ways_of asks only such models"
    return cache.model.between(part.batch, cache.layer, x, layer)


def _pool(
    cache: SiteCache,
    part: SiteCells,
    state: Float[Tensor, "row token d_model"],
    pooling: str,
    genes: Int[Tensor, " some"],
) -> Float[Tensor, "row value"]:
    open_ = part.batch.present
    if pooling == EACH:
        return torch.where(open_[..., None], state, 0.0).flatten(1)
    if pooling != ALL:
        open_ = open_ & _chosen(cache, part, pooling, genes)
    weight = open_.to(state.dtype)[..., None]
    return (state * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)


def _chosen(cache: SiteCache, part: SiteCells, pooling: str, genes: Int[Tensor, " some"]) -> Bool[Tensor, "row token"]:
    """Tokens of the expressed, or of the differential genes."""
    device = part.x.device
    columns = torch.arange(len(cache.genes), device=device) if pooling == EXPRESSED else genes
    tokens = cache.tokens_of(part.batch, columns)
    mask = torch.zeros(part.batch.present.shape, dtype=torch.bool, device=device)
    if pooling == DIFFERENTIAL:
        mask[:, tokens] = True
        return mask
    cells = (part.batch.cell // cache.folds).cpu().numpy()
    mask[:, tokens] = torch.from_numpy(cache.observed[cells].toarray() > 0).to(device)
    return mask
