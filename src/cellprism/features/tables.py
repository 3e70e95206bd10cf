"""Sums that turn a stream of sparse codes into tables: feature x gene and cell x feature.

Only (token, feature) pairs that fired are touched; memory is that of the tables themselves, whatever the
number of cells. Sums over genes are made where the codes are and copied to the host when they are read; sums over cells
are copied batch by batch.
"""

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.footprint import pooled_mean
from cellprism.types import SparseCode


class GeneSums:
    """Per feature and gene: sum, largest value and number of firings, over cells that express the gene."""

    def __init__(self, n_features: int, n_genes: int, device: torch.device | str = "cpu"):
        self.shape = (n_features, n_genes)
        self._total = torch.zeros(n_features * n_genes, dtype=torch.float64, device=device)
        self._largest = torch.full((n_features * n_genes,), -torch.inf, device=device)
        self._fired = torch.zeros(n_features * n_genes, dtype=torch.int32, device=device)
        self._cells = torch.zeros(n_genes, dtype=torch.long, device=device)
        self._squares = torch.zeros(n_features, dtype=torch.float64, device=device)

    def add(self, code: SparseCode, gene: Int[Tensor, " token"]) -> None:
        """Count some tokens in."""
        self._cells += torch.bincount(gene, minlength=self.shape[1])
        on = code.values != 0
        values, features = code.values[on], code.features[on]
        place = features * self.shape[1] + gene[:, None].expand(code.features.shape)[on]
        self._total.index_add_(0, place, values.double())
        self._largest.scatter_reduce_(0, place, values, "amax")
        self._fired.index_add_(0, place, torch.ones_like(place, dtype=torch.int32))
        self._squares.index_add_(0, features, values.double().square())

    @property
    def cells(self) -> Int[np.ndarray, " gene"]:
        """Cells that express each gene."""
        return self._cells.cpu().numpy()

    @property
    def squares(self) -> Float[np.ndarray, " feature"]:
        """Sum of squared activations of each feature."""
        return self._squares.cpu().numpy()

    @property
    def total(self) -> Float[np.ndarray, "feature gene"]:
        """Sum of activations."""
        return self._total.view(self.shape).cpu().numpy()

    @property
    def fired(self) -> Int[np.ndarray, "feature gene"]:
        """Cells in which the feature fires at the gene."""
        return self._fired.view(self.shape).cpu().numpy()

    def mean(self) -> Float[np.ndarray, "feature gene"]:
        """Mean activation over cells that express the gene, silent ones included."""
        return pooled_mean(self.total, self.cells).astype(np.float32)

    def largest(self) -> Float[np.ndarray, "feature gene"]:
        """Largest activation over cells; a cell where the feature is silent counts as 0."""
        largest = self._largest.view(self.shape).cpu().numpy()
        return np.where(self.fired == self.cells, np.where(self.fired > 0, largest, 0), np.maximum(largest, 0))

    def frequency(self) -> Float[np.ndarray, "feature gene"]:
        """Share of cells in which the feature fires at the gene."""
        return pooled_mean(self.fired.astype(np.float64), self.cells).astype(np.float32)


class CellSums:
    """Per cell and feature: sum over the cell's tokens. All tokens are counted in before any table is read."""

    def __init__(self, n_cells: int, n_features: int):
        self.shape = (n_cells, n_features)
        self.tokens = np.zeros(n_cells, dtype=np.int64)
        self._cells: list[Int[np.ndarray, " some"]] = []
        self._parts: list[sp.csr_matrix] = []

    def add(self, code: SparseCode, cell: Int[Tensor, " token"]) -> None:
        """Count some tokens in."""
        rows, local = cell.unique(return_inverse=True)
        self.tokens[rows.cpu().numpy()] += torch.bincount(local, minlength=len(rows)).cpu().numpy()
        sums = torch.zeros(len(rows), self.shape[1], dtype=torch.float64, device=cell.device)
        place = local[:, None] * self.shape[1] + code.features
        sums.view(-1).index_add_(0, place.flatten(), code.values.double().flatten())
        row, column = sums.nonzero(as_tuple=True)
        ends = torch.bincount(row, minlength=len(rows)).cumsum(0).cpu().numpy()
        found = (sums[row, column].cpu().numpy(), column.cpu().numpy().astype(np.int32), np.append(0, ends))
        self._parts.append(sp.csr_matrix(found, shape=sums.shape))
        self._cells.append(rows.cpu().numpy())

    @cached_property
    def total(self) -> sp.csr_matrix:
        """Sum of activations, cells x features."""
        cells, sums = np.concatenate(self._cells), sp.vstack(self._parts, format="csr")
        self._parts.clear()
        one = np.ones(len(cells), dtype=np.int8)
        # a cell may come in several parts, whose rows are added up here
        total: Any = sp.csr_matrix((one, (cells, np.arange(len(cells)))), shape=(self.shape[0], len(cells))) @ sums
        total.sort_indices()
        return total

    def squares(self) -> Float[np.ndarray, " feature"]:
        """sum_c T_c^2 / n_c for each feature: ``equations.variance.group_squares`` over cells, from the
        sparse sums.
        """
        weights = self.total.data**2 / np.repeat(self.tokens, np.diff(self.total.indptr))
        return np.bincount(self.total.indices, weights=weights, minlength=self.shape[1])

    def mean(self) -> sp.csr_matrix:
        """Mean activation over the cell's tokens, silent ones included."""
        total = self.total
        mean = (total.data / np.repeat(self.tokens, np.diff(total.indptr))).astype(np.float32)
        return sp.csr_matrix((mean, total.indices, total.indptr), shape=self.shape)
