"""Residuals of present genes, streamed from a cell model and mixed across cells.

Notable choices

- A model hands out a cell's genes together. An autoencoder's batch must not be one cell's genes, so tokens
  go through a buffer from which batches are drawn at random, and cells are visited in a new order in every
  epoch.
- Where all residuals fit into the memory given, the model runs once and they are kept.
- Depth tokens, and genes that the data set did not measure, are left out: nothing of them was observed.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import ConfigError, InputError
from cellprism.types import CellModel, Site

SLICE = 1 << 15  # tokens handed out at once from kept residuals


class Tokens(NamedTuple):
    """Some tokens of some cells at a site."""

    x: Float[Tensor, "token d_model"]
    """Residuals."""
    gene: Int[Tensor, " token"]
    """Index into the model's genes."""
    cell: Int[Tensor, " token"]
    """Row of the AnnData."""


@torch.no_grad()
def residual_tokens(model: CellModel, adata: AnnData, layer: int, batch_size: int = 32) -> Iterator[Tokens]:
    """Residuals after block ``layer`` at every present gene token, cells one after the other.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is read, from 0.
        batch_size: cells per forward pass; one item of the stream each.

    Raises:
        ModelError: the layer does not exist.
        InputError: there are no cells.
    """
    site = Site(layer, model.n_layers)
    if not adata.n_obs:
        raise InputError("there are no cells to read residuals from; the AnnData has 0 rows")
    for batch in model.batches(adata, batch_size):
        x = model.residual(batch, site.layer)
        gene, cell = batch.gene.expand(batch.values.shape), batch.cell[:, None].expand(batch.values.shape)
        open_ = batch.present & (gene >= 0)
        yield Tokens(x[open_], gene[open_], cell[open_])


def shuffled(stream: Iterable[Tokens], buffer: int, batch: int, seed: int) -> Iterator[Tokens]:
    """Tokens of a stream in random order, every one exactly once.

    Tokens wait in a buffer. Whenever it is full, half of them, drawn at random, leave in batches.

    Args:
        stream: tokens as they come.
        buffer: tokens to hold.
        batch: tokens per batch; the last may be smaller.
        seed: seed of the order.

    Raises:
        ConfigError: the buffer is smaller than two batches.
    """
    if batch < 1 or buffer < 2 * batch:
        raise ConfigError(
            f"a buffer of {buffer} tokens is too small for batches of {batch}: expected at least {2 * batch}"
        )
    generator = torch.Generator().manual_seed(seed)
    waiting: list[Tokens] = []
    for some in stream:
        waiting.append(some)
        if sum(len(t.x) for t in waiting) >= buffer:
            held, order = _drawn(waiting, generator)
            leaving = len(order) // 2 // batch * batch
            yield from _batches(held, order[:leaving], batch)
            waiting = [_take(held, order[leaving:])]
    if waiting:
        held, order = _drawn(waiting, generator)
        yield from _batches(held, order, batch)


def _drawn(waiting: list[Tokens], generator: torch.Generator) -> tuple[Tokens, Int[Tensor, " token"]]:
    held = joined(waiting)
    return held, torch.randperm(len(held.x), generator=generator).to(held.x.device)


def _batches(held: Tokens, order: Int[Tensor, " token"], batch: int) -> Iterator[Tokens]:
    for rows in order.split(batch):
        if len(rows):
            yield _take(held, rows)


def _take(held: Tokens, rows: Int[Tensor, " token"]) -> Tokens:
    return Tokens(*(t[rows] for t in held))


def joined(parts: Iterable[Tokens]) -> Tokens:
    """Several stretches of tokens as one."""
    return Tokens(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


class SiteTokens:
    """All tokens of some cells at one site, to be gone through several times.

    Iterating gives them in cell order, ``epoch`` mixed across cells. Where they fit into ``memory`` bytes
    they are kept in one array; else the model runs again each time, and tokens are mixed in a buffer that
    takes a part of ``memory``.
    """

    def __init__(self, model: CellModel, adata: AnnData, layer: int, memory: int = 1 << 31, batch_size: int = 32):
        self.model, self.adata, self.batch_size = model, adata, batch_size
        self.site = Site(layer, model.n_layers)
        self.capacity = memory // (4 * model.d_model)
        self.fits = adata.n_obs * adata.n_vars <= self.capacity
        self._kept: Tokens | None = None

    def __iter__(self) -> Iterator[Tokens]:
        if not self.fits:
            return self._stream(self.adata)
        kept = self._keep()
        return _batches(kept, torch.arange(len(kept.x)), SLICE)

    def _stream(self, adata: AnnData) -> Iterator[Tokens]:
        return residual_tokens(self.model, adata, self.site.layer, self.batch_size)

    def _keep(self) -> Tokens:
        """Residuals of all cells; filled in place, since joining parts would take twice the memory."""
        if self._kept is None:
            most, filled = self.adata.n_obs * self.adata.n_vars, 0
            whole: Tokens | None = None
            for some in self._stream(self.adata):
                if whole is None:
                    whole = Tokens(*(t.new_empty(most, *t.shape[1:]) for t in some))
                for kept, new in zip(whole, some, strict=True):
                    kept[filled : filled + len(new)] = new
                filled += len(some.x)
            assert whole is not None, "residual_tokens refuses to stream no cells"
            self._kept = Tokens(*(t[:filled] for t in whole))
        return self._kept

    def epoch(self, batch: int, seed: int) -> Iterator[Tokens]:
        """Every token once, in batches mixed across cells; another seed gives another order."""
        if self.fits:
            kept = self._keep()
            order = torch.randperm(len(kept.x), generator=torch.Generator().manual_seed(seed))
            yield from _batches(kept, order.to(kept.x.device), batch)
            return
        order = np.random.default_rng(seed).permutation(self.adata.n_obs)
        rows = torch.from_numpy(order)
        renamed = (Tokens(t.x, t.gene, rows.to(t.cell.device)[t.cell]) for t in self._stream(self.adata[order]))
        yield from shuffled(renamed, max(2 * batch, self.capacity // 4), batch, seed)
