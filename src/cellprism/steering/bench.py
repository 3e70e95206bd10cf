"""Cells on which edits are tried: read once, with what every edit is matched on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.association import weighted_shift
from cellprism.features.tokens import genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.nulls import feature_activation, firing_and_energy, moved_as_feature
from cellprism.steering.pool import CellPool, Prediction, read_pool
from cellprism.steering.readout import carrier_mean
from cellprism.types import CellBatch, CellModel


@dataclass(frozen=True)
class Bench:
    """A pool of cells, and how each feature fires on them.

    An edit is tried only on the cells that it changes; effects are means over all cells that carry a gene.
    """

    pool: CellPool
    fires: Bool[np.ndarray, "cell feature"]
    """Whether a feature fires anywhere in a cell."""
    firing: Float[np.ndarray, " feature"]
    """Share of present tokens at which a feature fires."""
    energy: Float[np.ndarray, " feature"]
    """Squared edit per unit of strength, over all cells."""
    association: Float[np.ndarray, "feature gene"] | None
    """How each gene of the pool goes with each feature in these cells, for a model that reads a cell as a whole; None
    where tokens are genes, at which features fire or not."""

    @property
    def n_cells(self) -> int:
        """Cells on the bench."""
        return self.fires.shape[0]

    def rows(self, feature: int) -> Int[np.ndarray, " some"]:
        """Cells in which a feature fires."""
        return np.flatnonzero(self.fires[:, feature])

    @cached_property
    def carriers(self) -> Int[np.ndarray, " gene"]:
        """Cells that carry each gene."""
        return (~np.isnan(self.pool.baseline.values)).sum(axis=0)

    @cached_property
    def level(self) -> Float[np.ndarray, " gene"]:
        """What the model says of each gene without an edit, mean over the cells that carry it."""
        return carrier_mean(self.pool.baseline.values)

    def effect(self, rows: Int[np.ndarray, " some"], after: Prediction) -> Float[np.ndarray, " gene"]:
        """Mean change of each gene over all cells that carry it, when only ``rows`` were edited."""
        change = after.values - self.pool.baseline.values[rows]
        return np.where(np.isnan(change), 0, change).sum(axis=0) / self.carriers

    def feature_effect(self, feature: int, strength: float) -> Float[np.ndarray, " gene"]:
        """Mean effect of one feature at one strength."""
        rows = self.rows(feature)
        strengths = torch.ones(self.pool.n_features, dtype=self.pool.W_dec.dtype, device=self.pool.W_dec.device)
        strengths[feature] = strength
        return self.effect(rows, self.pool.predict(rows, strengths))

    def direction_effect(
        self, feature: int, strength: float, direction: Float[Tensor, " d_model"]
    ) -> Float[np.ndarray, " gene"]:
        """Mean effect of the same edit along another direction."""
        rows = self.rows(feature)
        return self.effect(
            rows, self.pool.predict_from(moved_as_feature(self.pool, rows, feature, strength, direction))
        )

    def edit_norm(self, feature: int, strength: float) -> float:
        """Frobenius norm of an edit over all cells."""
        return abs(strength - 1) * float(np.sqrt(self.energy[feature]))

    def edit_ratio(self, feature: int, strength: float) -> float:
        """Norm of an edit over the norm of the residuals, at present tokens of the cells in which the feature
        fires."""
        rows = torch.as_tensor(self.rows(feature))
        residual = (self.pool.x[rows] * self.pool.present[rows][..., None]).square().sum().sqrt().item()
        return self.edit_norm(feature, strength) / residual

    def activations(self, feature: int) -> Iterator[tuple[CellBatch, Float[Tensor, "cell token"]]]:
        """Activation of one feature at every token, batch by batch."""
        for cells in self.pool.take(np.arange(self.n_cells)):
            yield cells.batch, feature_activation(cells.code, feature).view_as(cells.batch.values)

    def gene_activation(self, feature: int) -> tuple[Float[np.ndarray, " gene"], Float[np.ndarray, " gene"]]:
        """Per gene: mean activation of a feature, and share of cells in which it fires there, among the cells that
        carry the gene; 0 where tokens are no genes."""
        model_genes = len(self.pool.model.genes)
        total = torch.zeros(model_genes, dtype=torch.float64)
        fires = torch.zeros_like(total)
        for batch, activation in self.activations(feature):
            gene = genes_of(batch)
            at, values = gene[gene >= 0].cpu(), activation[gene >= 0].double().cpu()
            total.index_add_(0, at, values)
            fires.index_add_(0, at, (values != 0).double())
        column = pd.Index(self.pool.model.genes).get_indexer(self.pool.genes)
        return total.numpy()[column] / self.carriers, fires.numpy()[column] / self.carriers

    def strongest(self, feature: int, count: int) -> Int[np.ndarray, " some"]:
        """The genes that belong to a feature most in these cells, in their order."""
        value = self.gene_activation(feature)[0] if self.association is None else self.association[feature]
        return np.sort(np.argsort(-value, kind="stable")[:count])


def read_bench(model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int) -> Bench:
    """Read cells up to a site and note how each feature fires on them."""
    pool = read_pool(model, sae, adata, layer, batch_size)
    rows = np.arange(adata.n_obs)
    fires = torch.zeros(adata.n_obs, pool.n_features, dtype=torch.bool)
    for cells in pool.take(rows):
        shape = (len(cells.x), -1)
        fired = torch.zeros(len(cells.x), pool.n_features, device=cells.x.device)
        fired.scatter_reduce_(
            1, cells.code.features.view(shape), (cells.code.values != 0).float().view(shape), reduce="amax"
        )
        fires[cells.batch.cell.cpu()] = fired.bool().cpu()
    firing, energy = firing_and_energy(pool, rows)
    return Bench(pool, fires.numpy(), firing, energy, _association(pool, adata))


def _association(pool: CellPool, adata: AnnData) -> Float[np.ndarray, "feature gene"] | None:
    if pool.model.tokens == "genes":
        return None
    z = torch.zeros(len(pool.x), pool.n_features).scatter_add_(
        1, pool.code_features.flatten(1).cpu(), pool.code_values.flatten(1).float().cpu()
    )
    column = adata.var_names.get_indexer(pool.genes)
    return weighted_shift(sp.csr_matrix(z.numpy()), log1p_cp10k(adata)[:, column])
