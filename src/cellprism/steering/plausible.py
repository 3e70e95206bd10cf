"""How far is too far: up to which strengths a steered cell still looks like a cell to the model.

Notable choices

- Three measures at each strength: the edit's norm over that of the residuals; how far the steered cell's mean state,
  after each block that follows, lies from the nearest real cell, as a percentile of how far real cells lie from theirs;
  and how badly the autoencoder fits the steered tokens.
- Plausible are the strengths around 1, one after the other, at which the median cell lies no farther from real cells
  than 95 % of real cells do, after every block, and the median token is fitted no worse than 95 % of real tokens.
- Each cell counts once, in one of its passes; the range says nothing of effects, only that they may be believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from cellprism.equations.sparse import decode
from cellprism.features.tokens.residuals import genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.intervene import edited
from cellprism.types import CellBatch, RunsBetween

USUAL = 0.95
"""Share of real cells, and of real tokens, beyond whose distance and misfit a steered one does not look real."""
CELLS, REAL = 16, 200
"""Cells that are steered, and real ones that they are held against, at most."""


@dataclass(frozen=True)
class Strain:
    """What a strength does to the state of the cells in which a feature fires."""

    strength: float
    edit_ratio: float
    """Norm of the edit over that of the residuals."""
    percentile: float
    """Median over cells of the share of real cells that lie nearer to their nearest neighbour, after the block after
    which it is largest."""
    misfit: float
    """Median over edited tokens of the share of real tokens that the autoencoder fits better."""

    @property
    def looks_real(self) -> bool:
        """Whether cells at this strength may be told of."""
        return self.percentile <= USUAL and self.misfit <= USUAL


class RealCells:
    """The cells of a cache as they are: what steered ones are held against."""

    def __init__(self, dose_cells: DoseCells):
        self.dose_cells, self.cache = dose_cells, dose_cells.cache
        n = self.cache.n_cells
        self.cells = np.sort(np.random.default_rng(0).permutation(n)[:REAL])

    @property
    def blocks(self) -> list[int]:
        """Blocks after which states are compared: those that follow the site, else the site itself."""
        model, layer = self.cache.model, self.cache.layer
        later = list(range(layer + 1, model.n_layers)) if isinstance(model, RunsBetween) else []
        return later or [layer]

    @cached_property
    def states(self) -> list[Float[np.ndarray, "cell d_model"]]:
        """Mean state of each real cell after each of the blocks."""
        rows = self.cache.one_row_each(self.cells)
        parts = [self.states_of(cells.batch, cells.x) for cells in self.cache.take_rows(rows)]
        return [np.concatenate([part[i] for part in parts]) for i in range(len(self.blocks))]

    @cached_property
    def nearest(self) -> list[Float[np.ndarray, " cell"]]:
        """Distance of each real cell to the nearest other, ascending; no end to it where there is but one."""
        if len(self.cells) < 2:
            return [np.array([np.inf]) for _ in self.blocks]
        return [np.sort(NearestNeighbors(n_neighbors=2).fit(s).kneighbors(s)[0][:, 1]) for s in self.states]

    @cached_property
    def misfits(self) -> Float[np.ndarray, " token"]:
        """Misfit of the tokens of the first real cells, ascending."""
        rows = self.cache.one_row_each(self.cells[:CELLS])
        parts = []
        for cells in self.cache.take_rows(rows):
            some = cells.batch.present
            parts.append(misfit(self.cache.sae, cells.x[some], genes_of(cells.batch)[some]))
        return np.sort(np.concatenate(parts))

    @torch.no_grad()
    def states_of(
        self, batch: CellBatch, x: Float[Tensor, "row token d_model"]
    ) -> list[Float[np.ndarray, "row d_model"]]:
        """Mean over present tokens after each of the blocks, from the residual stream at the site."""
        weight, model, done, found = batch.present.to(x.dtype)[..., None], self.cache.model, self.cache.layer, []
        for block in self.blocks:
            if block != done:
                assert isinstance(model, RunsBetween), "blocks asks for the site alone of others"
                x, done = model.between(batch, done, x, block), block
            pooled = (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
            found.append(pooled.double().cpu().numpy())
        return found

    def strain(self, feature: int, strengths: Sequence[float]) -> list[Strain]:
        """What some strengths of a feature do."""
        firing = self.dose_cells.rows(feature)
        some = np.sort(np.random.default_rng([1, feature]).permutation(firing)[:CELLS])
        return [self._strain(feature, strength, some) for strength in strengths]

    @torch.no_grad()
    def _strain(self, feature: int, strength: float, some: Int[np.ndarray, " cell"]) -> Strain:
        cache = self.cache
        alpha = cache.W_dec.new_ones(cache.n_features)
        alpha[feature] = strength
        distances: list[list[np.ndarray]] = [[] for _ in self.blocks]
        fits, place = [], 0
        for cells in cache.take_rows(cache.one_row_each(some)):
            moved = edited(cells.x, cells.code, alpha, cache.W_dec)
            numbers = some[place : place + len(cells.x)]
            place += len(cells.x)
            for i, state in enumerate(self.states_of(cells.batch, moved)):
                distances[i].append(self._away(i, state, numbers))
            fires = ((cells.code.features == feature) & (cells.code.values != 0)).any(dim=1).view(moved.shape[:2])
            fits.append(misfit(cache.sae, moved[fires], genes_of(cells.batch)[fires]))
        far = [
            float(np.median(np.searchsorted(real, np.concatenate(away)) / len(real)))
            for real, away in zip(self.nearest, distances, strict=True)
        ]
        fit = np.concatenate(fits)
        worse = np.searchsorted(self.misfits, fit) / len(self.misfits)
        ratio = self.dose_cells.edit_ratio(feature, strength)
        return Strain(strength, ratio, max(far), float(np.median(worse)) if len(fit) else 0.0)

    def _away(
        self, block: int, state: Float[np.ndarray, "row d_model"], cells: Int[np.ndarray, " row"]
    ) -> Float[np.ndarray, " row"]:
        """Distance of steered cells to the nearest real cell but themselves."""
        apart = np.linalg.norm(state[:, None] - self.states[block][None], axis=2)
        apart[cells[:, None] == self.cells[None]] = np.inf
        return apart.min(axis=1)


@torch.no_grad()
def misfit(
    sae: SparseAutoencoder, x: Float[Tensor, "token d_model"], gene: Int[Tensor, " token"]
) -> Float[np.ndarray, " token"]:
    """Squared error of the reconstruction of each token, over its squared distance from the autoencoder's centre."""
    group = None if sae.centre is None else gene
    code, target = sae.encode(x, group), sae.centred(x.to(sae.W_dec.dtype), group) - sae.b_dec
    rest = decode(code, sae.W_dec) - target
    size = target.square().sum(dim=1).clamp(min=torch.finfo(target.dtype).tiny)
    return (rest.square().sum(dim=1) / size).double().cpu().numpy()


def plausible_range(strains: Sequence[Strain]) -> tuple[float, float]:
    """The lowest and the highest strength, of those tried and 1, up to which all from 1 on look real."""
    ends = []
    for side in (-1, 1):
        end = 1.0
        for strain in sorted(strains, key=lambda s: abs(s.strength - 1)):
            if side * (strain.strength - 1) > 0:
                if not strain.looks_real:
                    break
                end = strain.strength
        ends.append(end)
    return ends[0], ends[1]
