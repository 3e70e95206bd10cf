"""How far is too far: up to which strengths a steered cell still looks like a cell to the model.

Notable choices

- Three measures at each strength: the edit's norm over that of the residuals; how far the edited tokens lie, after each
  block that follows, from the nearest real cell's token of the same gene, as a percentile of how far real ones lie from
  theirs; and how badly the autoencoder fits the edited tokens.
- Plausible are the strengths around 1, one after the other, at which the median edited token lies no farther from real
  ones than 95 % of real ones do, after every block, and is fitted no worse than 95 % of real tokens.
- A mean over a cell's tokens would hide an edit of few of them. Each cell counts in one of its passes. The range says
  nothing of effects, only that they may be believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.sparse import decode
from cellprism.features.tokens.residuals import genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.intervene import edited
from cellprism.types import CellBatch, RunsBetween

USUAL = 0.95
"""Share of real tokens beyond whose distance and misfit a steered one does not look real."""
CELLS, REAL = 16, 64
"""Cells that are steered, and real ones that they are held against, at most."""
FEWEST = 4  # real tokens of a gene beside which another is placed


@dataclass(frozen=True)
class Strain:
    """What a strength does to the state of the cells in which a feature fires."""

    strength: float
    edit_ratio: float
    """Norm of the edit over that of the residuals."""
    percentile: float
    """Median over edited tokens of the share of real tokens of the gene that lie nearer to their nearest neighbour,
    after the block after which it is largest."""
    misfit: float
    """Median over edited tokens of the share of real tokens that the autoencoder fits better."""

    @property
    def looks_real(self) -> bool:
        """Whether what is said of cells at this strength may be believed."""
        return self.percentile <= USUAL and self.misfit <= USUAL


class RealCells:
    """The cells of a cache as they are: what steered ones are held against."""

    def __init__(self, dose_cells: DoseCells):
        self.dose_cells, self.cache = dose_cells, dose_cells.cache
        self.cells = np.sort(np.random.default_rng(0).permutation(self.cache.n_cells)[:REAL])
        self._nearest: dict[tuple[int, int], Float[np.ndarray, " token"]] = {}

    @property
    def blocks(self) -> list[int]:
        """Blocks after which states are compared: those that follow the site, else the site itself."""
        model, layer = self.cache.model, self.cache.layer
        later = list(range(layer + 1, model.n_layers)) if isinstance(model, RunsBetween) else []
        return later or [layer]

    @cached_property
    def rows(self) -> Int[Tensor, " row"]:
        """One row of each real cell."""
        return self.cache.one_row_each(self.cells)

    @cached_property
    def states(self) -> list[Float[Tensor, "row token d_model"]]:
        """Residual streams of these rows after each of the blocks."""
        parts = [self._after(cells.batch, cells.x) for cells in self.cache.take_rows(self.rows)]
        return [torch.cat([part[i] for part in parts]) for i in range(len(self.blocks))]

    @cached_property
    def places(self) -> Int[Tensor, "row token"]:
        """Place of each present token of these rows; -1 for others."""
        return torch.where(self.cache.present[self.rows], self.cache.places(self.rows), -1)

    @cached_property
    def misfits(self) -> Float[np.ndarray, " token"]:
        """Misfit of the tokens of the first real cells, ascending."""
        parts = []
        for cells in self.cache.take_rows(self.rows[:CELLS]):
            some = cells.batch.present
            parts.append(misfit(self.cache.sae, cells.x[some], genes_of(cells.batch)[some]))
        return np.sort(np.concatenate(parts))

    @torch.no_grad()
    def _after(
        self, batch: CellBatch, x: Float[Tensor, "row token d_model"]
    ) -> list[Float[Tensor, "row token d_model"]]:
        """Residual streams after each of the blocks, from that at the site."""
        model, done, found = self.cache.model, self.cache.layer, []
        for block in self.blocks:
            if block != done:
                assert isinstance(model, RunsBetween), "blocks asks for the site alone of others"
                x, done = model.between(batch, done, x, block), block
            found.append(x)
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
        far: list[list[np.ndarray]] = [[] for _ in self.blocks]
        fits, first = [], 0
        for cells in cache.take_rows(cache.one_row_each(some)):
            moved = edited(cells.x, cells.code, alpha, cache.W_dec)
            fires = ((cells.code.features == feature) & (cells.code.values != 0)).any(dim=1).view(moved.shape[:2])
            row, token = fires.nonzero(as_tuple=True)
            place = cache.places(cells.batch.cell)[row, token]
            cell = torch.from_numpy(some[first : first + len(moved)]).to(row.device)[row]
            first += len(moved)
            for i, state in enumerate(self._after(cells.batch, moved)):
                far[i].append(self._percentiles(i, state[row, token], place, cell))
            fits.append(misfit(cache.sae, moved[fires], genes_of(cells.batch)[fires]))
        worse = np.searchsorted(self.misfits, np.concatenate(fits)) / len(self.misfits)
        away = [_median(np.concatenate(parts)) for parts in far]
        return Strain(strength, self.dose_cells.edit_ratio(feature, strength), max(away), _median(worse))

    def _percentiles(
        self,
        block: int,
        state: Float[Tensor, "token d_model"],
        place: Int[Tensor, " token"],
        cell: Int[Tensor, " token"],
    ) -> Float[np.ndarray, " some"]:
        """Share of real tokens of the same place that lie nearer to their nearest than each token to its; tokens of
        places that too few real cells have are left out."""
        real = torch.from_numpy(self.cells).to(cell.device)
        found = []
        for where in place.unique().tolist():
            row, token = (self.places == where).nonzero(as_tuple=True)
            if len(row) < FEWEST:
                continue
            those, here = self.states[block][row, token], place == where
            if (block, where) not in self._nearest:
                between = torch.cdist(those, those).fill_diagonal_(torch.inf)
                self._nearest[block, where] = np.sort(between.min(dim=1).values.double().cpu().numpy())
            apart = torch.cdist(state[here], those)
            apart[cell[here][:, None] == real[row][None]] = torch.inf
            nearest = self._nearest[block, where]
            found.append(np.searchsorted(nearest, apart.min(dim=1).values.double().cpu().numpy()) / len(nearest))
        return np.concatenate(found) if found else np.empty(0)


def _median(values: Float[np.ndarray, " token"]) -> float:
    """0 where there is nothing to compare."""
    return float(np.median(values)) if values.size else 0.0


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
