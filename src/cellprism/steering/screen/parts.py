"""Cells of a cache, cut into rows and the genes that are read in them, for derivatives by the residual stream."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.steering.intervene import SiteCells
from cellprism.steering.reading import rows_of
from cellprism.steering.site_cache import SiteCache
from cellprism.types import CellBatch, ReadsSomeGenes, SparseCode


@dataclass(frozen=True)
class Part:
    """Some rows, and the genes that are read in them."""

    batch: CellBatch
    x: Float[Tensor, "row token d_model"]
    """Residual stream at the site."""
    code: SparseCode
    """Its code, rows one after the other."""
    cells: Int[np.ndarray, " cell"]
    """The cells, in the order of what is read."""
    genes: Int[np.ndarray, " some"]
    """The genes, by their place in the cache."""
    read: Callable[[Float[Tensor, "row token d_model"]], Float[Tensor, "cell some"]]
    """What the model says of these genes when the residual stream is the argument; gradients pass through. NaN where a
    cell does not express a gene."""
    alone: bool
    """Whether each row is one cell, of which only these genes are read."""


def parts_of(cache: SiteCache, cells: Sequence[int] | Int[np.ndarray, " some"]) -> Iterator[Part]:
    """Some cells, a pass at a time; of a model that reads some genes, apart by the genes that each pass hides."""
    every = np.arange(len(cache.genes))
    for got in cache.take(cells):
        numbers = cache.cells_of(got.batch)
        fold = None if cache.fold is None else cache.fold[numbers]
        split = isinstance(cache.model, ReadsSomeGenes)
        if fold is None and split:
            columns = torch.from_numpy(every).to(got.x.device)
            yield _part(cache, got, numbers, every, columns, alone=True)
        elif fold is not None and split and bool((fold == fold[:1]).all()):
            for number in fold[0].unique().tolist():
                rows = torch.arange(number, len(got.x), cache.folds, device=got.x.device)
                columns = (fold[0] == number).nonzero()[:, 0]
                yield _part(cache, _some(got, rows), numbers, columns.cpu().numpy(), columns, alone=True)
        else:
            yield _part(cache, got, numbers, every, None, alone=False)


def _part(
    cache: SiteCache,
    got: SiteCells,
    cells: Tensor,
    genes: Int[np.ndarray, " some"],
    columns: Tensor | None,
    alone: bool,
) -> Part:
    def read(x: Float[Tensor, "row token d_model"]) -> Float[Tensor, "cell some"]:
        if columns is None:
            return cache.said(got.batch, cache.model.resume(got.batch, cache.layer, x)).values
        return cache.values_in(got.batch, x, columns)

    return Part(got.batch, got.x, got.code, cells.cpu().numpy(), genes, read, alone)


def _some(got: SiteCells, rows: Int[Tensor, " some"]) -> SiteCells:
    """Some of the rows."""
    n = len(got.x)

    def picked(of_tokens: Tensor) -> Tensor:
        return of_tokens.unflatten(0, (n, -1)).index_select(0, rows).flatten(0, 1)

    code = SparseCode(picked(got.code.values), picked(got.code.features), got.code.n_features)
    return SiteCells(rows_of(got.batch, rows), got.x.index_select(0, rows), code)


def gene_shares(cache: SiteCache) -> Float[np.ndarray, "cell gene"]:
    """Weight of each cell in a gene's mean over the cells that express it: 1 over their number, 0 elsewhere."""
    there = ~np.isnan(cache.baseline.values)
    return there / np.maximum(there.sum(axis=0), 1)
