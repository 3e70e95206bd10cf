"""What training a latent model starts from: counts that are checked, and cells set aside."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.cells.columns import refuse_empty
from cellprism.cells.genes import GeneTable
from cellprism.errors import ConfigError
from cellprism.models.held_out import held_out_cells


@dataclass(frozen=True)
class TrainingCells:
    """Counts of the cells that a model learns from; the others are not in here."""

    matrix: sp.csr_matrix

    @classmethod
    def of(cls, adata: AnnData, genes: GeneTable, held_out: float, seed: int) -> "TrainingCells":
        """All cells but those that ``held_out_cells(adata.n_obs, held_out, seed)`` sets aside.

        Raises:
            ConfigError: the columns are not the genes of the list, in its order.
            CellsError: a cell has no counts.
        """
        if tuple(adata.var_names) != genes.symbol:
            raise ConfigError("the columns of the cells are not the genes of the list, in its order; subset them first")
        matrix = sp.csr_matrix(adata.X, dtype=np.float32)
        refuse_empty(np.asarray(matrix.sum(axis=1)).ravel())
        train, _ = held_out_cells(adata.n_obs, held_out, seed)
        return cls(matrix[train])

    def __len__(self) -> int:
        return self.matrix.get_shape()[0]

    def dense(self, rows: Int[np.ndarray, " cell"]) -> Float[Tensor, "cell gene"]:
        """Counts of some cells."""
        return torch.from_numpy(self.matrix[rows].toarray())
