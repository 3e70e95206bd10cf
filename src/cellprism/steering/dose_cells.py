"""Cells on which edits are tried: read once, with what every edit is matched on.

Notable choices

- What is said of single features (where they fire, at which genes they are strongest) is summed for all features asked
  for in one pass over the cells, where the cells are, and copied to the host at its end.
- Effects are summed batch by batch: no prediction of all cells is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.equations.association import weighted_shift
from cellprism.features.tokens.residuals import genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.intervene import SiteCells
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.nulls import firing_and_edit_norms, moved_as_feature, nearest_features
from cellprism.steering.site_cache import MEMORY, Residuals, SiteCache, read_site_cache
from cellprism.types import CellModel


@dataclass(frozen=True)
class GeneActivation:
    """How some features fire at the genes of the cache."""

    row: dict[int, int]
    """Row of each feature."""
    mean: Float[np.ndarray, "some gene"]
    """Mean activation over the cells that express the gene; 0 where tokens are no genes."""
    share: Float[np.ndarray, "some gene"]
    """Share of these cells in which the feature fires there."""


@dataclass(frozen=True)
class Effect:
    """Mean change of each gene over all cells that express it."""

    read: Float[np.ndarray, " gene"]
    """Where the model is read."""
    direct: Float[np.ndarray, " gene"]
    """Where it sees the gene, whose own token may be edited; the same where it is read there."""


@dataclass(frozen=True)
class DoseCells:
    """Cells at a site, and how each feature fires on them.

    An edit is tried only on the cells that it changes; effects are means over all cells that express a gene.
    """

    cache: SiteCache
    fires: Bool[np.ndarray, "cell feature"]
    """Whether a feature fires anywhere in a cell."""
    firing: Float[np.ndarray, " feature"]
    """Share of present tokens at which a feature fires."""
    squared_norm: Float[np.ndarray, " feature"]
    """Squared edit per unit of strength, over all rows."""
    residual_squares: Float[np.ndarray, " cell"]
    """Squared norm of each cell's residuals at present tokens, over its rows."""
    activation: GeneActivation
    """Of the features asked for and of their matched controls."""
    association: Float[np.ndarray, "feature gene"] | None
    """How each gene of the cache goes with each feature in these cells, for a model that reads a cell as a whole; None
    where tokens are genes, at which features fire or not."""

    @property
    def n_cells(self) -> int:
        """Cells that were read."""
        return self.cache.n_cells

    def rows(self, feature: int) -> Int[np.ndarray, " some"]:
        """Cells in which a feature fires."""
        return np.flatnonzero(self.fires[:, feature])

    @cached_property
    def expressing(self) -> Int[np.ndarray, " gene"]:
        """Cells that express each gene."""
        return expressing_cells(self.cache)

    @cached_property
    def level(self) -> Float[np.ndarray, " gene"]:
        """Predicted value of each gene without an edit, mean over the cells that express it."""
        return expressing_mean(self.cache.baseline.values)

    def effect(self, residuals: Residuals) -> Effect:
        """Mean change of each gene over all cells that express it, when only some cells were edited."""
        total, direct, before = np.zeros(len(self.cache.genes)), np.zeros(len(self.cache.genes)), self.cache.baseline
        for cells, after in self.cache.predictions(residuals):
            total += np.nan_to_num(after.values - before.values[cells]).sum(axis=0)
            if after.direct is not None and before.direct is not None:
                direct += np.nan_to_num(after.direct - before.direct[cells]).sum(axis=0)
        read = total / self.expressing
        return Effect(read, read if before.direct is None else direct / self.expressing)

    def feature_effect(self, feature: int, strength: float) -> Effect:
        """Mean effect of one feature at one strength."""
        strengths = self.cache.W_dec.new_ones(self.cache.n_features)
        strengths[feature] = strength
        return self.effect(self.cache.steered(self.rows(feature), strengths))

    def direction_effect(self, feature: int, strength: float, direction: Float[Tensor, " d_model"]) -> Effect:
        """Mean effect of the same edit along another direction."""
        return self.effect(moved_as_feature(self.cache, self.rows(feature), feature, strength, direction))

    def edit_norm(self, feature: int, strength: float) -> float:
        """Frobenius norm of an edit over all rows of the cells."""
        return abs(strength - 1) * float(np.sqrt(self.squared_norm[feature]))

    def edit_ratio(self, feature: int, strength: float) -> float:
        """Norm of an edit over the norm of the residuals, at present tokens of the cells in which the feature
        fires."""
        return self.edit_norm(feature, strength) / float(np.sqrt(self.residual_squares[self.fires[:, feature]].sum()))

    def edited_share(self, feature: int) -> Float[np.ndarray, " gene"]:
        """Share of the cells that express a gene in which the feature fires at it where it is seen."""
        return self.activation.share[self.activation.row[feature]]

    def strongest(self, feature: int, count: int) -> Int[np.ndarray, " some"]:
        """The genes that belong to a feature most in these cells, in their order."""
        if self.association is None:
            value = self.activation.mean[self.activation.row[feature]]
        else:
            value = self.association[feature]
        return np.sort(np.argsort(-value, kind="stable")[:count])


def expressing_cells(cache: SiteCache) -> Int[np.ndarray, " gene"]:
    """Cells that express each gene."""
    return (~np.isnan(cache.baseline.values)).sum(axis=0)


def read_dose_cells(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int,
    features: Sequence[int],
    controls: int = 0,
    memory: int = MEMORY,
    read: str = "",
) -> DoseCells:
    """Read cells up to a site and note how features fire on them.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them.
        layer: block whose output is edited, from 0.
        batch_size: cells per forward pass.
        features: features that are turned up and down.
        controls: matched controls of each of them.
        memory: see ``read_site_cache``.
        read: see ``read_site_cache``.
    """
    cache = read_site_cache(model, sae, adata, layer, batch_size, memory, read)
    everything = np.arange(cache.n_cells)
    firing, squared_norm = firing_and_edit_norms(cache, everything)
    candidates = np.arange(cache.n_features)
    noted = set(features)
    for feature in features:
        if squared_norm[feature] > 0:
            noted |= set(nearest_features(firing, squared_norm, feature, candidates, controls).tolist())
    fires, squares = [], []
    sums = _GeneActivations(cache, sorted(noted))
    by_cell: list[sp.csr_matrix] | None = None if cache.model.tokens == "genes" else []
    for cells in cache.take(everything):
        fires.append(_fires(cells).unflatten(0, (-1, cache.folds)).any(dim=1).cpu().numpy())
        residual = (cells.x * cells.batch.present[..., None]).flatten(1)
        squares.append(residual.double().square().sum(dim=1).unflatten(0, (-1, cache.folds)).sum(dim=1).cpu().numpy())
        sums.add(cells)
        if by_cell is not None:
            by_cell.append(sp.csr_matrix(_per_cell(cells).cpu().numpy()))
    association = None if by_cell is None else weighted_shift(sp.csr_matrix(sp.vstack(by_cell)), cache.observed)
    found = sums.table()
    return DoseCells(cache, np.concatenate(fires), firing, squared_norm, np.concatenate(squares), found, association)


def _fires(cells: SiteCells) -> Bool[Tensor, "row feature"]:
    """Whether each feature fires anywhere in a row."""
    fired = (cells.code.values != 0).float().view(len(cells.x), -1)
    features = cells.code.features.view(len(cells.x), -1)
    return fired.new_zeros(len(cells.x), cells.code.n_features).scatter_reduce_(1, features, fired, "amax").bool()


def _per_cell(cells: SiteCells) -> Float[Tensor, "cell feature"]:
    """Sum of each feature's activation over a cell's tokens."""
    values, features = (t.view(len(cells.x), -1) for t in (cells.code.values.float(), cells.code.features))
    return values.new_zeros(len(cells.x), cells.code.n_features).scatter_add_(1, features, values)


class _GeneActivations:
    """Sums over cells of some features' activation at every gene of the model, where the cells are."""

    def __init__(self, cache: SiteCache, features: Sequence[int]):
        self.cache, self.features = cache, features
        device = cache.W_dec.device
        row = np.full(cache.n_features, -1)
        row[list(features)] = np.arange(len(features))
        self.row = torch.from_numpy(row).to(device)
        self.shape = (len(features), len(cache.model.genes))
        self.total = torch.zeros(self.shape[0] * self.shape[1], dtype=torch.float64, device=device)
        self.fired = torch.zeros_like(self.total)

    def add(self, cells: SiteCells) -> None:
        """Count some cells in."""
        if not self.features:
            return
        gene = genes_of(cells.batch).reshape(-1, 1)
        row = self.row.index_select(0, cells.code.features.flatten()).view_as(cells.code.features)
        counted = (row >= 0) & (gene >= 0) & (cells.code.values != 0)
        place = torch.where(counted, row * self.shape[1] + gene, 0).flatten()
        self.total.index_add_(0, place, torch.where(counted, cells.code.values, 0).double().flatten())
        self.fired.index_add_(0, place, counted.double().flatten())

    def table(self) -> GeneActivation:
        """Means over the cells that express each gene of the cache."""
        column = pd.Index(self.cache.model.genes).get_indexer(self.cache.genes)
        count = expressing_cells(self.cache) * max(1, self.cache.folds - 1)  # rows in which the gene is seen
        mean, share = (t.view(self.shape).cpu().numpy()[:, column] / count for t in (self.total, self.fired))
        return GeneActivation({feature: row for row, feature in enumerate(self.features)}, mean, share)
