"""What every feature does to a number at a strength far from 1: its own tokens passed exactly, others by derivatives.

Notable choices

- A feature is a large part of the stream where it fires. What is read at that very token comes through norms, a
  feed-forward layer and the head, which bend; another token feels the edit through attention, a little, and on a nearly
  straight line. The gradient fails at the first, so that is passed exactly.
- With the keys and values of attention held as they were, tokens do not see each other change
  (``equations.linearised``): one pass edits all tokens at once, each by one of its features. As many passes as a token
  has features say what every feature does to its own tokens.
- Of what reaches other tokens the derivative is that of all, minus that with keys and values held.
- Where genes are read hidden no feature fires at them, and nothing is left but the derivative. So it is for a model
  that calls no attention of torch's but has several tokens.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.linearised import attention_held, attention_noted
from cellprism.equations.steering import strength_gradient
from cellprism.steering.screen.derivatives import Tick, scalar_derivatives
from cellprism.steering.screen.parts import Part, gene_shares, parts_of
from cellprism.steering.site_cache import SiteCache

Summed = Callable[[Float[Tensor, "cell some"]], Float[Tensor, "scalar cell some"]]


def scalar_secants(
    cache: SiteCache,
    weights: Float[np.ndarray, "scalar gene"],
    strength: float,
    tick: Tick = lambda cells: None,
) -> Float[np.ndarray, "scalar feature"]:
    """Change of weighted sums of the genes' mean values per unit of every feature's strength, from 1 to ``strength``.

    Formula, of feature f: d/d alpha_f - d/d alpha_f with keys and values held + the change at the tokens of f with keys
    and values held, over strength - 1.

    Args:
        cache: the cells.
        weights: of each gene, a row a number.
        strength: the other end; not 1.
        tick: told of cells that are done.
    """
    slopes = scalar_derivatives(cache, weights)
    if cache.fold is not None:
        return slopes
    device = cache.W_dec.device
    shares, wanted = (torch.from_numpy(t).to(device) for t in (gene_shares(cache), weights))
    found = torch.from_numpy(slopes).to(device)
    for part in parts_of(cache, np.arange(cache.n_cells)):

        def summed(values: Float[Tensor, "cell some"], part: Part = part) -> Float[Tensor, "scalar cell some"]:
            own = values.nan_to_num().double() * shares[part.cells][:, part.genes]
            return own * wanted[:, None, part.genes]

        found += _beyond(cache, part, summed, strength)
        tick(len(part.cells) * len(part.genes) / len(cache.genes))
    return found.cpu().numpy()


def _beyond(cache: SiteCache, part: Part, summed: Summed, strength: float) -> Float[Tensor, "scalar feature"]:
    """What the tokens at which features fire add to the derivative, per unit of strength."""
    with torch.no_grad(), attention_noted() as noted:
        before = summed(part.read(part.x))
    found = before.new_zeros(len(before), cache.n_features)
    if not noted and cache.model.tokens == "genes":
        return found
    x = part.x.detach().requires_grad_()
    with attention_held(noted):
        totals = summed(part.read(x)).sum(dim=(1, 2))
    for number, total in enumerate(totals):
        (slope,) = torch.autograd.grad(total, x, retain_graph=number + 1 < len(totals))
        found[number] -= strength_gradient(part.code, cache.W_dec, slope.flatten(0, 1))
    tokens = _tokens(cache, part)
    for place in range(part.code.values.shape[1]):
        feature, value = part.code.features[:, place], part.code.values[:, place : place + 1]
        step = (strength - 1) * value * cache.W_dec.index_select(0, feature)
        with torch.no_grad(), attention_held(noted):
            change = summed(part.read(part.x + step.view_as(part.x).to(part.x.dtype))) - before
        own = feature.view(part.x.shape[:2]).gather(1, tokens)
        found.index_add_(1, own.flatten(), change.flatten(1) / (strength - 1))
    return found


def _tokens(cache: SiteCache, part: Part) -> Int[Tensor, "cell some"]:
    """The token at which each gene is read in each cell; any where a cell has it not."""
    rows = part.x.shape[0]
    if cache.model.tokens == "cells":
        return part.batch.gene.new_zeros(rows, len(part.genes))
    gene, n = part.batch.gene.expand(rows, -1), len(cache.model.genes)
    place = torch.arange(gene.shape[1], device=gene.device).expand_as(gene)
    at = gene.new_zeros(rows, n + 1).scatter(1, torch.where(gene >= 0, gene, n), place)
    read = pd.Index(cache.model.genes).get_indexer(cache.genes[part.genes])
    return at[:, torch.from_numpy(read).to(gene.device)]
