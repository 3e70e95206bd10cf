"""How far the genes of a feature agree on the cells, from the tokens of some cells (``equations.common_pattern``)."""

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.common_pattern import common_correlation
from cellprism.features.tables import CellSums
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import SparseCode

AT_ONCE = 256  # features


class PatternSums:
    """Sums over tokens from which agreement follows.

    Args:
        n_cells: cells that are read.
        n_features: features of the autoencoder.
        n_genes: genes of the model.
        device: where sums over genes are made.
    """

    def __init__(self, n_cells: int, n_features: int, n_genes: int, device: torch.device | str = "cpu"):
        self.shape = (n_features, n_genes)
        self._total = torch.zeros(n_features * n_genes, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._total)
        self._by_cell = CellSums(n_cells, n_features)
        self._rows: list[Int[np.ndarray, " token"]] = []
        self._columns: list[Int[np.ndarray, " token"]] = []

    def add(self, code: SparseCode, gene: Int[Tensor, " token"], cell: Int[Tensor, " token"]) -> None:
        """Count some tokens in; ``gene`` is the model's, ``cell`` from 0."""
        self._by_cell.add(code, cell)
        on = code.values != 0
        values = code.values[on].double()
        place = code.features[on] * self.shape[1] + gene[:, None].expand(code.features.shape)[on]
        self._total.index_add_(0, place, values)
        self._squares.index_add_(0, place, values.square())
        self._rows.append(cell.cpu().numpy())
        self._columns.append(gene.cpu().numpy())

    def correlation(self) -> Float[np.ndarray, " feature"]:
        """The mean correlation over cells between a feature's activations at two of its genes, for each feature."""
        total = self._by_cell.total
        row, column = np.concatenate(self._rows), np.concatenate(self._columns)
        present = sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(self._by_cell.shape[0], self.shape[1]))
        count = np.asarray(present.sum(axis=0)).ravel()
        by_gene, squares = (a.view(self.shape).cpu().numpy() for a in (self._total, self._squares))
        mean = np.divide(by_gene, count, out=np.zeros(self.shape), where=count > 0)
        spread = np.maximum(squares - mean * by_gene, 0)
        spread[spread <= np.finfo(np.float64).eps * squares] = 0
        columns = sp.csc_matrix(total)
        cell_squares = [
            np.square(columns[:, at : at + AT_ONCE].toarray() - present @ mean[at : at + AT_ONCE].T).sum(axis=0)
            for at in range(0, self.shape[0], AT_ONCE)
        ]
        return common_correlation(np.concatenate(cell_squares), spread)


@torch.no_grad()
def common_pattern(
    tokens: CellTokens, sae: SparseAutoencoder, rows: Int[np.ndarray, " some"]
) -> Float[np.ndarray, " feature"]:
    """Mean correlation over some cells between each feature's activations at two of its genes; NaN where it varies at
    fewer than two.

    Args:
        tokens: of genes, all present ones.
        sae: the autoencoder.
        rows: which cells, ascending.
    """
    device = sae.W_dec.device
    place = np.full(len(tokens.counts), -1)
    place[rows] = np.arange(len(rows))
    local = torch.from_numpy(place).to(device)
    sums = PatternSums(len(rows), sae.n_features, len(tokens.model.genes), device)
    for start in range(0, len(rows), tokens.batch_size):
        held = tokens.read(rows[start : start + tokens.batch_size]).to(device)
        gene, cell = held.gene.long(), local[held.cell.long()]
        sums.add(sae.encode(held.x[0].float(), None if sae.centre is None else gene), gene, cell)
    return sums.correlation()
