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
from cellprism.features.tokens.residuals import residual_tokens
from cellprism.types import CellModel


class ResidualSums:
    """Sums of residuals by gene and by cell."""

    def __init__(self, n_genes: int, n_cells: int, d_model: int, device: torch.device | str = "cpu"):
        self._squares = torch.zeros(d_model, dtype=torch.float64, device=device)
        self._by_gene = torch.zeros(n_genes, d_model, dtype=torch.float64, device=device)
        self._by_cell = torch.zeros(n_cells, d_model, dtype=torch.float64, device=device)
        self._genes = torch.zeros(n_genes, dtype=torch.long, device=device)
        self._cells = torch.zeros(n_cells, dtype=torch.long, device=device)

    def add(self, x: Float[Tensor, "token d_model"], gene: Int[Tensor, " token"], cell: Int[Tensor, " token"]) -> None:
        """Count some tokens in."""
        wide = x.double()
        self._squares += wide.square().sum(dim=0)
        self._by_gene.index_add_(0, gene, wide)
        self._by_cell.index_add_(0, cell, wide)
        self._genes.index_add_(0, gene, torch.ones_like(gene))
        self._cells.index_add_(0, cell, torch.ones_like(cell))

    def shares(self) -> dict[str, float]:
        """Shares of the total variance, all dimensions pooled: gene, cell, gene_by_cell."""
        genes, cells, by_gene, by_cell, squares = (
            sums.cpu().numpy() for sums in (self._genes, self._cells, self._by_gene, self._by_cell, self._squares)
        )
        shares = pooled_shares(
            int(cells.sum()),
            by_gene.sum(axis=0),
            squares,
            group_squares(by_gene, genes),
            group_squares(by_cell, cells),
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
    sums: ResidualSums | None = None
    for x, gene, cell in residual_tokens(model, adata, layer, batch_size):
        sums = ResidualSums(len(model.genes), adata.n_obs, model.d_model, x.device) if sums is None else sums
        sums.add(x, gene, cell)
    assert sums is not None, "no cells are refused"
    return sums.shares()
