"""Cells on which edits are tried: read once, with what every edit is matched on.

Notable choices

- What is said of single features (where they fire) is summed for all features asked for in one pass over the cells,
  where the cells are, and copied to the host at its end.
- An effect is a mean over the cells that the edit changes, those in which its feature fires.
- Effects are summed batch by batch: no prediction of all cells is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.equations.ratio import share
from cellprism.features.tokens.residuals import genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.intervene import SiteCells
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.nulls import firing_and_edit_norms
from cellprism.steering.response import Effect
from cellprism.steering.site_cache import MEMORY, Residuals, SiteCache, read_site_cache
from cellprism.types import CellModel


@dataclass(frozen=True)
class Types:
    """Cell types of some cells; one without a name where none are known."""

    names: tuple[str, ...]
    of_cells: Int[np.ndarray, " cell"]
    """Place of each cell's type among the names."""

    @classmethod
    def of(cls, labels: Sequence[str]) -> "Types":
        """The types of cells by their labels."""
        names, place = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
        return cls(tuple(names.tolist()), place)

    @classmethod
    def among(cls, adata: AnnData) -> "Types":
        """The types that ``obs`` says."""
        known = "cell_type" in adata.obs
        return cls.of(list(adata.obs["cell_type"].astype(str)) if known else [""] * adata.n_obs)


@dataclass(frozen=True)
class DoseCells:
    """Cells at a site, and how each feature fires on them."""

    cache: SiteCache
    fires: Bool[np.ndarray, "cell feature"]
    """Whether a feature fires anywhere in a cell."""
    firing: Float[np.ndarray, " feature"]
    """Share of present tokens at which a feature fires."""
    squared_norm: Float[np.ndarray, " feature"]
    """Squared edit per unit of strength, over all rows."""
    residual_squares: Float[np.ndarray, " cell"]
    """Squared norm of each cell's residuals at present tokens, over its rows."""
    edited: dict[int, Float[np.ndarray, " gene"]]
    """Of the features asked for: share of the cells that express a gene in which the feature fires at it where it is
    seen."""

    @property
    def n_cells(self) -> int:
        """Cells that were read."""
        return self.cache.n_cells

    def rows(self, feature: int) -> Int[np.ndarray, " some"]:
        """Cells in which a feature fires."""
        return np.flatnonzero(self.fires[:, feature])

    @cached_property
    def level(self) -> Float[np.ndarray, " gene"]:
        """Predicted value of each gene without an edit, mean over the cells that express it."""
        return expressing_mean(self.cache.baseline.values)

    def effect(self, residuals: Residuals, types: Types | None = None, least: float = 0.0) -> Effect:
        """What an edit does to each gene.

        Args:
            residuals: of the edited cells.
            types: of all cells; all of one type where None.
            least: change of a gene in a cell beyond which it rises or falls there.
        """
        types = types or Types.of([""] * self.n_cells)
        before, n_genes = self.cache.baseline, len(self.cache.genes)
        read, direct = _Changes(n_genes, len(types.names), least), _MeanChange(n_genes)
        for cells, after in self.cache.predictions(residuals):
            read.add(after.values - before.values[cells], types.of_cells[cells])
            if after.direct is not None and before.direct is not None:
                direct.add(after.direct - before.direct[cells])
        return read.effect(None if before.direct is None else direct.mean())

    def effect_at(self, residuals: Residuals, genes: Int[np.ndarray, " some"]) -> Float[np.ndarray, " gene"]:
        """``effect`` where the model is read, of some genes alone; NaN for the others."""
        before, change = self.cache.baseline.of_genes(genes).values, _MeanChange(len(genes))
        for cells, after in self.cache.values_at(residuals, genes):
            change.add(after - before[cells])
        found = np.full(len(self.cache.genes), np.nan)
        found[genes] = change.mean()
        return found

    def turned(self, feature: int, strength: float, spared: Int[np.ndarray, " some"] | None = None) -> Residuals:
        """Residual streams with one feature at one strength, of the cells in which it fires; tokens of the genes
        ``spared`` stay as they are."""
        strengths = self.cache.W_dec.new_ones(self.cache.n_features)
        strengths[feature] = strength
        return self.cache.steered(self.rows(feature), strengths, spared)

    def edit_size(self, feature: int) -> float:
        """Root mean square, over the cells in which the feature fires, of the Frobenius norm of an edit of one unit of
        strength."""
        return float(np.sqrt(self.squared_norm[feature] / self.rows(feature).size))

    def edit_norm(self, feature: int, strength: float) -> float:
        """Frobenius norm of an edit over all rows of the cells."""
        return abs(strength - 1) * float(np.sqrt(self.squared_norm[feature]))

    def edit_ratio(self, feature: int, strength: float) -> float:
        """Norm of an edit over the norm of the residuals, at present tokens of the cells in which the feature
        fires; NaN where these are 0."""
        residual = np.sqrt(self.residual_squares[self.fires[:, feature]].sum())
        return float(share(self.edit_norm(feature, strength), residual, 0.0))

    def read_by(self, sae: SparseAutoencoder) -> "DoseCells":
        """The same cells as another autoencoder reads them."""
        return dose_cells_of(self.cache.recoded(sae), [])


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
        memory: see ``read_site_cache``.
        read: see ``read_site_cache``.
    """
    return dose_cells_of(read_site_cache(model, sae, adata, layer, batch_size, memory, read), features)


def dose_cells_of(cache: SiteCache, features: Sequence[int]) -> DoseCells:
    """How features fire on the cells of a cache, and of some of them at which genes."""
    everything = np.arange(cache.n_cells)
    firing, squared_norm = firing_and_edit_norms(cache, everything)
    fires, squares = [], []
    sums = _GeneFirings(cache, sorted(set(features)))
    for cells in cache.take(everything):
        fires.append(_fires(cells).unflatten(0, (-1, cache.folds)).any(dim=1).cpu().numpy())
        residual = (cells.x * cells.batch.present[..., None]).flatten(1)
        squares.append(residual.double().square().sum(dim=1).unflatten(0, (-1, cache.folds)).sum(dim=1).cpu().numpy())
        sums.add(cells)
    return DoseCells(cache, np.concatenate(fires), firing, squared_norm, np.concatenate(squares), sums.shares())


def _fires(cells: SiteCells) -> Bool[Tensor, "row feature"]:
    """Whether each feature fires anywhere in a row."""
    fired = (cells.code.values != 0).float().view(len(cells.x), -1)
    features = cells.code.features.view(len(cells.x), -1)
    return fired.new_zeros(len(cells.x), cells.code.n_features).scatter_reduce_(1, features, fired, "amax").bool()


class _MeanChange:
    """Mean change of each gene over the cells that express it."""

    def __init__(self, n_genes: int):
        self.total, self.cells = np.zeros(n_genes), np.zeros(n_genes)

    def add(self, change: Float[np.ndarray, "cell gene"]) -> None:
        """Count some cells in; NaN where one does not express a gene."""
        self.cells += (~np.isnan(change)).sum(axis=0)
        self.total += np.nan_to_num(change).sum(axis=0)

    def mean(self) -> Float[np.ndarray, " gene"]:
        """0 where no cell expresses the gene."""
        return self.total / np.maximum(self.cells, 1)


class _Changes:
    """Changes of each gene over the cells that express it: moments, signs, and means by type."""

    def __init__(self, n_genes: int, n_types: int, least: float):
        self.least = least
        self.cells, self.total = np.zeros((2, n_types, n_genes))
        self.squares, self.rises, self.falls = np.zeros((3, n_genes))

    def add(self, change: Float[np.ndarray, "cell gene"], kind: Int[np.ndarray, " cell"]) -> None:
        """Count some cells in, each of its type; NaN where one does not express a gene."""
        there, moved = ~np.isnan(change), np.nan_to_num(change)
        for number in np.unique(kind):
            self.cells[number] += there[kind == number].sum(axis=0)
            self.total[number] += moved[kind == number].sum(axis=0)
        self.squares += (moved**2).sum(axis=0)
        self.rises += (moved > self.least).sum(axis=0)
        self.falls += (moved < -self.least).sum(axis=0)

    def effect(self, direct: Float[np.ndarray, " gene"] | None) -> Effect:
        """All of it; ``direct`` is the same as what is read where None."""
        cells = self.cells.sum(axis=0)
        some = np.maximum(cells, 1)
        mean = self.total.sum(axis=0) / some
        spread = np.maximum(self.squares - some * mean**2, 0) / np.maximum(cells - 1, 1)
        by_type = np.divide(self.total, self.cells, out=np.full_like(self.total, np.nan), where=self.cells > 0)
        return Effect(
            mean, mean if direct is None else direct, np.sqrt(spread), cells, self.rises / some, self.falls / some,
            by_type,
        )  # fmt: skip


class _GeneFirings:
    """In how many cells some features fire at every gene of the model, counted where the cells are."""

    def __init__(self, cache: SiteCache, features: Sequence[int]):
        self.cache, self.features = cache, features
        device = cache.W_dec.device
        row = np.full(cache.n_features, -1)
        row[list(features)] = np.arange(len(features))
        self.row = torch.from_numpy(row).to(device)
        self.shape = (len(features), len(cache.model.genes))
        self.fired = torch.zeros(self.shape[0] * self.shape[1], dtype=torch.float64, device=device)

    def add(self, cells: SiteCells) -> None:
        """Count some cells in."""
        if not self.features:
            return
        gene = genes_of(cells.batch).reshape(-1, 1)
        row = self.row.index_select(0, cells.code.features.flatten()).view_as(cells.code.features)
        counted = (row >= 0) & (gene >= 0) & (cells.code.values != 0)
        place = torch.where(counted, row * self.shape[1] + gene, 0).flatten()
        self.fired.index_add_(0, place, counted.double().flatten())

    def shares(self) -> dict[int, Float[np.ndarray, " gene"]]:
        """Feature -> share of the cells that express each gene of the cache."""
        column = pd.Index(self.cache.model.genes).get_indexer(self.cache.genes)
        count = expressing_cells(self.cache) * max(1, self.cache.folds - 1)  # rows in which the gene is seen
        share = self.fired.view(self.shape).cpu().numpy()[:, column] / count
        return dict(zip(self.features, share, strict=True))
