"""A model that reads a cell as a whole: its counts times a random matrix, and no gene anywhere."""

from collections.abc import Iterator

import numpy as np
import torch
from anndata import AnnData

from cellprism.types import CellBatch
from features.conftest import D_MODEL


class LatentModel:
    name, revision, licence, n_layers, d_model, gene_table, card = "latent", "1", "none", 2, D_MODEL, None, {}
    tokens, predicts, trained_at = "cells", "nothing", "visible"

    def __init__(self, adata: AnnData):
        self.genes = tuple(adata.var_names)
        generator = torch.Generator().manual_seed(3)
        self.weights = torch.randn(self.n_layers, adata.n_vars, D_MODEL, generator=generator)

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        for start in range(0, adata.n_obs, size):
            counts = torch.from_numpy(np.asarray(adata.X[start : start + size].todense(), dtype=np.float32))
            n = len(counts)
            cell = torch.arange(start, start + n)
            yield CellBatch(torch.zeros(n, 1), torch.tensor([-1]), torch.ones(n, 1, dtype=torch.bool), cell, counts)

    def residual(self, batch: CellBatch, layer: int) -> torch.Tensor:
        return (batch.inputs @ self.weights[layer])[:, None]

    def resume(self, batch: CellBatch, layer: int, x: torch.Tensor):
        raise NotImplementedError
