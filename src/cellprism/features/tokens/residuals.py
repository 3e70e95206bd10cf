"""Residuals of present tokens, streamed from a cell model one forward pass at a time.

``present`` alone decides which tokens are read: depth tokens, and genes that the data set did not measure, are left
out, since nothing of them was observed. A model that reads a cell as a whole has one present token a cell, of gene -1.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.cells.values import refuse_changed
from cellprism.errors import InputError
from cellprism.store.whole_number import whole_number
from cellprism.types import CellBatch, CellModel, ReadsSeveralLayers, Site


class Tokens(NamedTuple):
    """Some tokens of some cells at a site."""

    x: Float[Tensor, "token d_model"]
    """Residuals."""
    gene: Int[Tensor, " token"]
    """Index into the model's genes; -1 where a token is no gene."""
    cell: Int[Tensor, " token"]
    """Row of the AnnData."""


def residual_tokens(model: CellModel, adata: AnnData, layer: int, batch_size: int = 32) -> Iterator[Tokens]:
    """Residuals after block ``layer`` at every present token, cells one after the other.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is read, from 0.
        batch_size: cells per forward pass; one item of the stream each.

    Raises:
        ModelError: the layer does not exist.
        InputError: there are no cells.
        CellsError: they are no counts any more.

    >>> import cellprism as cp
    >>> model = cp.load_model("pbmc2")
    >>> cells = cp.read_cells("bundled:pbmc68k", model)[:4]
    >>> for x, gene, cell in cp.residual_tokens(model, cells, layer=1, batch_size=2):
    ...     print(x.shape[1], cell.unique().tolist(), len(x) == len(gene))
    64 [0, 1] True
    64 [2, 3] True
    """
    for (x,), gene, cell in present_tokens(model, adata, [layer], batch_size):
        yield Tokens(x, gene, cell)


@torch.no_grad()
def present_tokens(
    model: CellModel, adata: AnnData, layers: Sequence[int], batch_size: int = 32
) -> Iterator[tuple[tuple[Float[Tensor, "_ d_model"], ...], Int[Tensor, " _"], Int[Tensor, " _"]]]:
    """The same at several layers: residuals at each, gene and cell of every token. Errors as ``residual_tokens``."""
    sites = [Site(layer, model.n_layers).layer for layer in layers]
    if not adata.n_obs:
        raise InputError("there are no cells to read residuals from; the AnnData has 0 rows")
    refuse_changed(adata)
    for batch in model.batches(adata, whole_number(batch_size, "batch_size")):
        x = tuple(x[batch.present] for x in residuals_at(model, batch, sites))
        yield x, genes_of(batch)[batch.present], cells_of(batch)[batch.present]


def residuals_at(
    model: CellModel, batch: CellBatch, layers: Sequence[int]
) -> list[Float[Tensor, "cell token d_model"]]:
    """Residuals after several blocks, from one pass where the model can do that."""
    if isinstance(model, ReadsSeveralLayers) and len(layers) > 1:
        return list(model.residuals(batch, layers))
    return [model.residual(batch, layer) for layer in layers]


def genes_of(batch: CellBatch) -> Int[Tensor, "cell token"]:
    """The gene of every token of every cell."""
    return batch.gene.expand(batch.values.shape)


def cells_of(batch: CellBatch) -> Int[Tensor, "cell token"]:
    """The cell of every token."""
    return batch.cell[:, None].expand(batch.values.shape)
