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
from cellprism.features.tokens.residuals import all_are_genes, genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.nulls import feature_activation, firing_and_edit_norms, moved_as_feature
from cellprism.steering.site_cache import Prediction, SiteCache, read_site_cache
from cellprism.types import CellBatch, CellModel


@dataclass(frozen=True)
class DoseCells:
    """A cache of cells, and how each feature fires on them.

    An edit is tried only on the cells that it changes; effects are means over all cells that express a gene.
    """

    cache: SiteCache
    fires: Bool[np.ndarray, "cell feature"]
    """Whether a feature fires anywhere in a cell."""
    firing: Float[np.ndarray, " feature"]
    """Share of present tokens at which a feature fires."""
    squared_norm: Float[np.ndarray, " feature"]
    """Squared edit per unit of strength, over all cells."""
    association: Float[np.ndarray, "feature gene"] | None
    """How each gene of the cache goes with each feature in these cells, for a model that reads a cell as a whole; None
    where tokens are genes, at which features fire or not."""

    @property
    def n_cells(self) -> int:
        """Cells on the dose_cells."""
        return self.fires.shape[0]

    def rows(self, feature: int) -> Int[np.ndarray, " some"]:
        """Cells in which a feature fires."""
        return np.flatnonzero(self.fires[:, feature])

    @cached_property
    def expressing(self) -> Int[np.ndarray, " gene"]:
        """Cells that express each gene."""
        return (~np.isnan(self.cache.baseline.values)).sum(axis=0)

    @cached_property
    def level(self) -> Float[np.ndarray, " gene"]:
        """Predicted value of each gene without an edit, mean over the cells that express it."""
        return expressing_mean(self.cache.baseline.values)

    def effect(self, rows: Int[np.ndarray, " some"], after: Prediction) -> Float[np.ndarray, " gene"]:
        """Mean change of each gene over all cells that express it, when only ``rows`` were edited."""
        change = after.values - self.cache.baseline.values[rows]
        return np.where(np.isnan(change), 0, change).sum(axis=0) / self.expressing

    def feature_effect(self, feature: int, strength: float) -> Float[np.ndarray, " gene"]:
        """Mean effect of one feature at one strength."""
        rows = self.rows(feature)
        strengths = torch.ones(self.cache.n_features, dtype=self.cache.W_dec.dtype, device=self.cache.W_dec.device)
        strengths[feature] = strength
        return self.effect(rows, self.cache.predict(rows, strengths))

    def direction_effect(
        self, feature: int, strength: float, direction: Float[Tensor, " d_model"]
    ) -> Float[np.ndarray, " gene"]:
        """Mean effect of the same edit along another direction."""
        rows = self.rows(feature)
        return self.effect(
            rows, self.cache.predict_from(moved_as_feature(self.cache, rows, feature, strength, direction))
        )

    def edit_norm(self, feature: int, strength: float) -> float:
        """Frobenius norm of an edit over all cells."""
        return abs(strength - 1) * float(np.sqrt(self.squared_norm[feature]))

    def edit_ratio(self, feature: int, strength: float) -> float:
        """Norm of an edit over the norm of the residuals, at present tokens of the cells in which the feature
        fires."""
        rows = torch.as_tensor(self.rows(feature))
        residual = (self.cache.x[rows] * self.cache.present[rows][..., None]).square().sum().sqrt().item()
        return self.edit_norm(feature, strength) / residual

    def activations(self, feature: int) -> Iterator[tuple[CellBatch, Float[Tensor, "cell token"]]]:
        """Activation of one feature at every token, batch by batch."""
        for cells in self.cache.take(np.arange(self.n_cells)):
            yield cells.batch, feature_activation(cells.code, feature).view_as(cells.batch.values)

    def gene_activation(self, feature: int) -> tuple[Float[np.ndarray, " gene"], Float[np.ndarray, " gene"]]:
        """Per gene: mean activation of a feature, and share of cells in which it fires there, among the cells that
        express the gene; 0 where tokens are no genes."""
        model_genes = len(self.cache.model.genes)
        total = torch.zeros(model_genes, dtype=torch.float64)
        fires = torch.zeros_like(total)
        for batch, activation in self.activations(feature):
            gene = genes_of(batch)
            at, values = gene[gene >= 0].cpu(), activation[gene >= 0].double().cpu()
            total.index_add_(0, at, values)
            fires.index_add_(0, at, (values != 0).double())
        column = pd.Index(self.cache.model.genes).get_indexer(self.cache.genes)
        return total.numpy()[column] / self.expressing, fires.numpy()[column] / self.expressing

    def strongest(self, feature: int, count: int) -> Int[np.ndarray, " some"]:
        """The genes that belong to a feature most in these cells, in their order."""
        value = self.gene_activation(feature)[0] if self.association is None else self.association[feature]
        return np.sort(np.argsort(-value, kind="stable")[:count])


def read_dose_cells(model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int) -> DoseCells:
    """Read cells up to a site and note how each feature fires on them."""
    cache = read_site_cache(model, sae, adata, layer, batch_size)
    rows = np.arange(adata.n_obs)
    fires = torch.zeros(adata.n_obs, cache.n_features, dtype=torch.bool)
    for cells in cache.take(rows):
        shape = (len(cells.x), -1)
        fired = torch.zeros(len(cells.x), cache.n_features, device=cells.x.device)
        fired.scatter_reduce_(
            1, cells.code.features.view(shape), (cells.code.values != 0).float().view(shape), reduce="amax"
        )
        fires[cells.batch.cell.cpu()] = fired.bool().cpu()
    firing, squared_norm = firing_and_edit_norms(cache, rows)
    return DoseCells(cache, fires.numpy(), firing, squared_norm, _association(cache, adata))


def _association(cache: SiteCache, adata: AnnData) -> Float[np.ndarray, "feature gene"] | None:
    if all_are_genes(cache.whole):
        return None
    z = torch.zeros(len(cache.x), cache.n_features).scatter_add_(
        1, cache.code_features.flatten(1).cpu(), cache.code_values.flatten(1).float().cpu()
    )
    column = adata.var_names.get_indexer(cache.genes)
    return weighted_shift(sp.csr_matrix(z.numpy()), log1p_cp10k(adata)[:, column])
