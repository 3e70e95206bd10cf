"""How a residual stream's variance splits into gene, cell and gene x cell.

A mean over cells hides the cells: where nearly all variance lies between genes, a table of gene embeddings
alone explains most of what a feature x gene matrix shows. This split says how much there is besides.
"""

import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.variance import group_squares, pooled_shares
from cellprism.errors import ModelError
from cellprism.features.tokens import residual_tokens
from cellprism.types import CellModel


class ResidualSums:
    """Sums of residuals by gene and by cell."""

    def __init__(self, n_genes: int, n_cells: int, d_model: int):
        self._squares = torch.zeros(d_model, dtype=torch.float64)
        self._by_gene = torch.zeros(n_genes, d_model, dtype=torch.float64)
        self._by_cell = torch.zeros(n_cells, d_model, dtype=torch.float64)
        self._genes = torch.zeros(n_genes, dtype=torch.long)
        self._cells = torch.zeros(n_cells, dtype=torch.long)

    def add(self, x: Float[Tensor, "token d_model"], gene: Int[Tensor, " token"], cell: Int[Tensor, " token"]) -> None:
        """Count some tokens in."""
        wide, gene, cell = x.double().cpu(), gene.cpu(), cell.cpu()
        self._squares += wide.square().sum(dim=0)
        self._by_gene.index_add_(0, gene, wide)
        self._by_cell.index_add_(0, cell, wide)
        self._genes += torch.bincount(gene, minlength=len(self._genes))
        self._cells += torch.bincount(cell, minlength=len(self._cells))

    def shares(self) -> dict[str, float]:
        """Shares of the total variance, all dimensions pooled: gene, cell, gene_by_cell."""
        genes, cells = self._genes.numpy(), self._cells.numpy()
        shares = pooled_shares(
            int(cells.sum()),
            self._by_gene.sum(dim=0).numpy(),
            self._squares.numpy(),
            group_squares(self._by_gene.numpy(), genes),
            group_squares(self._by_cell.numpy(), cells),
        )
        return {name: float(value[0]) for name, value in shares._asdict().items()}


def residual_variance(model: CellModel, adata: AnnData, layer: int, batch_size: int = 32) -> dict[str, float]:
    """Shares of the variance of the residuals after one block: gene, cell, gene_by_cell; they add up to 1.

    Raises:
        ModelError: the layer does not exist, or the model reads a cell as a whole.
        InputError: there are no cells.
    """
    if model.tokens != "genes":
        raise ModelError(
            f"{model.name!r} reads a cell as a whole, so all variance of its residuals lies between cells and there is "
            "none to split"
        )
    sums = ResidualSums(len(model.genes), adata.n_obs, model.d_model)
    for x, gene, cell in residual_tokens(model, adata, layer, batch_size):
        sums.add(x, gene, cell)
    return sums.shares()
