"""Some tokens of some cells at every block, and the mean of all tokens of each cell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.cells.expression import log1p_cp10k
from cellprism.features.tokens.residuals import present_tokens
from cellprism.types import CellModel


@dataclass(frozen=True, eq=False)
class Reading:
    """What one block says, in double precision on the host."""

    x: Float[Tensor, "token d_model"]
    gene: Int[Tensor, " token"]
    cell: Int[Tensor, " token"]
    value: Float[Tensor, " token"]
    """Log1p counts per ten thousand of the token's gene."""
    pooled: Float[Tensor, "cell d_model"]


def read_blocks(
    model: CellModel, adata: AnnData, layers: Sequence[int], some: Bool[np.ndarray, "cell gene"], batch_size: int
) -> list[Reading]:
    """One reading a layer; ``some`` says of which genes of the model tokens are kept."""
    sums = [torch.zeros(adata.n_obs, model.d_model, dtype=torch.float64) for _ in layers]
    count = torch.zeros(adata.n_obs, dtype=torch.float64)
    parts: list[list[Tensor]] = [[] for _ in layers]
    genes, cells = [], []
    wanted = torch.from_numpy(some)
    for vectors, gene, cell in present_tokens(model, adata, layers, batch_size):
        gene, cell = gene.long().cpu(), cell.long().cpu()
        count += torch.bincount(cell, minlength=adata.n_obs)
        kept = (gene >= 0) & wanted[cell, gene.clamp(min=0)]
        genes.append(gene[kept])
        cells.append(cell[kept])
        for place, x in enumerate(vectors):
            x = x.double().cpu()
            sums[place].index_add_(0, cell, x)
            parts[place].append(x[kept])
    gene, cell = torch.cat(genes), torch.cat(cells)
    value = _values(adata, model, gene, cell)
    pooled = [total / count.clamp(min=1)[:, None] for total in sums]
    return [Reading(torch.cat(x), gene, cell, value, mean) for x, mean in zip(parts, pooled, strict=True)]


def _values(
    adata: AnnData, model: CellModel, gene: Int[Tensor, " token"], cell: Int[Tensor, " token"]
) -> Float[Tensor, " token"]:
    if not len(gene):  # a model that reads a cell as a whole, or none of the tokens is kept
        return torch.zeros(0, dtype=torch.float64)
    column = pd.Index(adata.var_names).get_indexer(pd.Index(model.genes))[gene.numpy()]
    row = cell.numpy().copy()  # scipy wants an array of its own
    expression = sp.csr_matrix(log1p_cp10k(adata))
    return torch.from_numpy(np.asarray(expression[row, column]).ravel())


def same_tokens(found: Sequence[Sequence[Reading]]) -> list[list[Reading]]:
    """The same with the tokens that all have: a model of expressed genes sees fewer in half of the counts."""
    keys = [_keys(readings[0]) for readings in found]
    shared = reduce(np.intersect1d, keys)
    rows = [torch.from_numpy(np.flatnonzero(np.isin(own, shared))) for own in keys]
    return [[_taken(reading, some) for reading in readings] for readings, some in zip(found, rows, strict=True)]


def _taken(r: Reading, rows: Int[Tensor, " some"]) -> Reading:
    return replace(r, x=r.x[rows], gene=r.gene[rows], cell=r.cell[rows], value=r.value[rows])


def _keys(reading: Reading) -> np.ndarray:
    """A number for each pair of cell and gene, ascending with the cell."""
    return (reading.cell << 32 | reading.gene).numpy()
