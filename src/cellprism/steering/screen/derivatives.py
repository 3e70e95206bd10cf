"""Derivatives of what a model says of genes by the strength of every feature, at strength 1.

Notable choices

- Of a number that is a sum over genes one backward pass tells the derivative by all features at once. With attention
  and norms held fixed (``equations.linearised.frozen``) the same pass gives the coefficients of relevance patching.
- Of all genes there are three ways to the same matrix, and the one with the fewest operations is taken: a forward
  product for each feature; a backward pass for each gene; and where one block follows that the model can derive in
  closed form, the places at which features fire, all features and genes at once.
- An effect of a gene is a mean over the cells that express it, cells in which the feature does not fire among them.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cellprism.equations.linearised import frozen
from cellprism.equations.steering import feature_values, strength_gradient
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.reading import rows_of
from cellprism.steering.screen.parts import Part, gene_shares, parts_of
from cellprism.steering.site_cache import SiteCache
from cellprism.types import DerivesLastBlock

FORWARD, BACKWARD, PLACES = "a forward product a feature", "a backward pass a gene", "the places of all features"
Tick = Callable[[float], None]


@dataclass(frozen=True)
class Ways:
    """How many operations each way to the matrix takes; those that the model has not are left out."""

    operations: dict[str, float]

    @property
    def cheapest(self) -> str:
        """The one with the fewest."""
        return min(self.operations, key=lambda way: self.operations[way])


def scalar_derivatives(
    cache: SiteCache,
    weights: Float[np.ndarray, "scalar gene"],
    fixed: bool = False,
    tick: Tick = lambda cells: None,
) -> Float[np.ndarray, "scalar feature"]:
    """Derivative of weighted sums of the genes' mean values by every feature's strength, at 1.

    Args:
        cache: the cells.
        weights: of each gene, a row a number.
        fixed: hold attention and norms fixed.
        tick: told of cells that are done.
    """
    device = cache.W_dec.device
    shares = torch.from_numpy(gene_shares(cache)).to(device)
    wanted = torch.from_numpy(weights).to(device)
    found = torch.zeros(len(weights), cache.n_features, dtype=torch.float64, device=device)
    for part in parts_of(cache, np.arange(cache.n_cells)):
        x = part.x.detach().requires_grad_()
        with frozen() if fixed else nullcontext():
            values = part.read(x).nan_to_num().double() * shares[part.cells][:, part.genes]
            totals = values.sum(dim=0) @ wanted[:, part.genes].T
        for number, total in enumerate(totals):
            (slope,) = torch.autograd.grad(total, x, retain_graph=number + 1 < len(totals))
            found[number] += strength_gradient(part.code, cache.W_dec, slope.flatten(0, 1))
        tick(len(part.cells) * len(part.genes) / len(cache.genes))
    return found.cpu().numpy()


@torch.no_grad()
def gene_derivatives(
    dose_cells: DoseCells,
    features: Sequence[int],
    way: str,
    tick: Tick = lambda done: None,
) -> Float[np.ndarray, "feature gene"]:
    """Derivative of every gene's mean value by the strength of some features, at 1.

    Args:
        dose_cells: the cells.
        features: which.
        way: one of ``ways``.
        tick: told of cells that are done.
    """
    cache = dose_cells.cache
    shares = torch.from_numpy(gene_shares(cache)).to(cache.W_dec)
    found = cache.W_dec.new_zeros(len(features), len(cache.genes), dtype=torch.float64)
    row_of = torch.full((cache.n_features,), -1, dtype=torch.long, device=cache.W_dec.device)
    row_of[list(features)] = torch.arange(len(features), device=row_of.device)
    derive = {FORWARD: _forward, BACKWARD: _backward, PLACES: _places}[way]
    for part in parts_of(cache, np.arange(cache.n_cells)):
        found[:, part.genes] += derive(part, cache, shares, row_of, len(features)).double()
        tick(len(part.cells) * len(part.genes) / len(cache.genes))
    return found.cpu().numpy()


def _forward(part: Part, cache: SiteCache, shares: Tensor, row_of: Tensor, rows: int) -> Float[Tensor, "row some"]:
    """Those of some features, by a product with the derivative for each: that of a backward pass by what it was handed,
    which is linear in it."""
    found = shares.new_zeros(rows, len(part.genes))
    x = part.x.detach().requires_grad_()
    weight = shares[part.cells][:, part.genes]
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        values = part.read(x).nan_to_num()
        handed = torch.zeros_like(values, requires_grad=True)
        (back,) = torch.autograd.grad(values, x, handed, create_graph=True)
    for feature in part.code.features[part.code.values != 0].unique().tolist():
        row = int(row_of[feature])
        if row < 0:
            continue
        chosen = torch.tensor([feature], device=x.device)
        along = (feature_values(part.code, chosen) * cache.W_dec[feature]).view_as(x).to(x.dtype)
        (slope,) = torch.autograd.grad(back, handed, along, retain_graph=True)
        found[row] = (slope * weight).sum(dim=0)
    return found


def _backward(part: Part, cache: SiteCache, shares: Tensor, row_of: Tensor, rows: int) -> Float[Tensor, "row some"]:
    """Those of some features, by a backward pass for each gene."""
    found = shares.new_zeros(rows + 1, len(part.genes))
    x = part.x.detach().requires_grad_()
    with torch.enable_grad():
        totals = (part.read(x).nan_to_num() * shares[part.cells][:, part.genes]).sum(dim=0).unbind()
    for place, total in enumerate(totals):
        (slope,) = torch.autograd.grad(total, x, retain_graph=True)
        found[row_of, place] = strength_gradient(part.code, cache.W_dec, slope.flatten(0, 1))
    return found[:-1]


def _places(part: Part, cache: SiteCache, shares: Tensor, row_of: Tensor, rows: int) -> Float[Tensor, "row some"]:
    """Those of some features, by the places at which they fire."""
    model = cache.model
    assert isinstance(model, DerivesLastBlock), "ways leaves it out for others"
    found = shares.new_zeros(rows, len(part.genes))
    tokens = cache.tokens_of(part.batch, torch.from_numpy(part.genes).to(part.x.device))
    width = part.x.shape[1]
    for number, cell in enumerate(part.cells):
        values, features = (t[number * width : (number + 1) * width] for t in (part.code.values, part.code.features))
        at, place = ((values != 0) & (row_of[features] >= 0)).nonzero(as_tuple=True)
        its = features[at, place]
        vectors = values[at, place][:, None] * cache.W_dec[its]
        only = torch.tensor([number], device=part.x.device)
        slope = model.token_derivatives(
            rows_of(part.batch, only), part.x[number : number + 1], tokens, at, vectors
        )  # fmt: skip
        found.index_add_(0, row_of[its], slope * shares[cell, part.genes])
    return found


def ways(dose_cells: DoseCells, features: Sequence[int]) -> Ways:
    """Operations (multiplications and additions) that each way takes for some features, counted on the first cells.

    Formulas, with n the operations of the rest of a model for one row: a product 2 n for each feature and row, beside
    3 n for each row; a backward pass 2 n for each gene and row in which it is read; the places 4 p d^2 for the keys
    and values of p firing features of width d, and 4 p s d for s genes read, beside n, for each row.
    """
    cache = dose_cells.cache
    parts = list(parts_of(cache, [0]))
    rest = [_counted(part) for part in parts]
    one_cell = sum(rest)
    genes = sum(len(part.genes) * count for part, count in zip(parts, rest, strict=True))
    found = {
        FORWARD: cache.n_cells * (3 + 2.0 * len(features)) * one_cell,
        BACKWARD: 2.0 * cache.n_cells * genes,
    }
    if _derives(cache, parts):
        d = cache.W_dec.shape[1]
        chosen = torch.zeros(cache.n_features, dtype=torch.bool, device=cache.W_dec.device)
        chosen[list(features)] = True
        fired = [int(((p.code.values != 0) & chosen[p.code.features]).sum()) for p in parts]
        each = [n + 4 * p * d * (d + len(part.genes)) for part, n, p in zip(parts, rest, fired, strict=True)]
        found[PLACES] = float(cache.n_cells * sum(each))
    return Ways(found)


def _derives(cache: SiteCache, parts: Sequence[Part]) -> bool:
    """Whether one block follows that the model derives in closed form."""
    one_block = cache.layer == cache.model.n_layers - 2
    return one_block and isinstance(cache.model, DerivesLastBlock) and all(part.alone for part in parts)


def _counted(part: Part) -> float:
    """Operations of the rest of the model for the rows of a part."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        part.read(part.x)
    return float(max(counter.get_total_flops(), 1))
