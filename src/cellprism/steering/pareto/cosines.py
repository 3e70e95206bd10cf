"""Do the two objectives pull features the same way? Their gradients compared, cell by cell.

Notable choices

- Gradients are compared in units of the edit that a feature makes (``equations.fronts.edit_cosine``).
- *Common mode*: what an edit adds to all tokens of a cell alike. It moves the embedding, which is a mean over tokens,
  and hardly any gene, and may so decide the cosine by itself. Without it the edit's mean over the cell's open tokens is
  taken off: the gradient is that of edits of which only what differs between genes is left.
- The centroid objective has one slope for all cells, 2 w (mean move - gap), so that each cell's part of the gradient
  is its own. Intervals resample these cells, the slope held fixed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.fronts import edit_cosine
from cellprism.steering.contrast.cell_split import Pair
from cellprism.steering.contrast.objective import Aim, read_values
from cellprism.steering.contrast.turning import Turning
from cellprism.steering.intervene import SiteCells
from cellprism.steering.pareto.pooled import Pooled, read_ways
from cellprism.steering.site_cache import SiteCache

LEFT_IN, TAKEN_OUT = "left in", "taken out"
LEAST = 1e-5  # of an edit's square: what is left of one that is the same at all tokens is rounding


@dataclass(frozen=True, eq=False)
class Slopes:
    """What each objective is read as, and where it is to lead."""

    ways: Sequence[Pooled]
    """Of the embedding."""
    genes: Int[Tensor, " some"]
    """The differential genes."""
    expression: dict[str, Aim]
    """By weighting."""
    gaps: list[Float[Tensor, " value"]]
    """Of each way, target minus source."""

    @classmethod
    def of(
        cls, cache: SiteCache, pair: Pair, ways: Sequence[Pooled], genes: Int[np.ndarray, " some"],
        expression: dict[str, Aim],
    ) -> "Slopes":  # fmt: skip
        """With the gaps between the two types of some cells."""
        chosen = torch.from_numpy(genes).to(cache.W_dec.device)
        means = [_means(cache, rows, ways, chosen) for rows in (pair.source, pair.target)]
        return cls(ways, chosen, expression, [b - a for a, b in zip(*means, strict=True)])

    def read(
        self, cache: SiteCache, part: SiteCells, x: Float[Tensor, "row token d_model"]
    ) -> list[Float[Tensor, "row value"]]:
        """What every way and then every weighting says of some rows."""
        said = read_ways(cache, part, x, self.ways, self.genes)
        return said + [read_values(cache, part, x, aim) for aim in self.expression.values()]

    def left(self, moves: Sequence[Float[Tensor, " value"]]) -> list[Float[Tensor, " value"]]:
        """Slope of each objective where the cells' mean has moved so far."""
        n = len(self.ways)
        of_ways = [move - gap for move, gap in zip(moves[:n], self.gaps, strict=True)]
        aims = zip(moves[n:], self.expression.values(), strict=True)
        return of_ways + [aim.weight * (move - (aim.target - aim.source)) for move, aim in aims]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Each cell's part of the gradients of all readings."""

    names: list[Pooled | str]
    """The ways, then the weightings."""
    values: dict[str, Float[np.ndarray, "reading cell feature"]]
    """With the common mode left in, and taken out."""
    squared_norm: dict[str, Float[np.ndarray, " feature"]]
    """Squared edit per unit of strength, of either."""

    def cosine(self, one: int, other: int, common: str, draws: int, seed: int) -> tuple[float, float, float]:
        """Cosine of two readings, and the 95 % interval of resampled cells."""
        a, b = self.values[common][one], self.values[common][other]
        norm = self.squared_norm[common]
        weights = np.random.default_rng(seed).multinomial(len(a), np.full(len(a), 1 / len(a)), size=draws)
        drawn = [edit_cosine(w @ a, w @ b, norm) for w in weights]
        low, high = np.nanquantile(drawn, [0.025, 0.975]) if np.isfinite(drawn).any() else (np.nan, np.nan)
        return edit_cosine(a.sum(axis=0), b.sum(axis=0), norm), float(low), float(high)


def gradients(
    cache: SiteCache,
    cells: Int[np.ndarray, " some"],
    slopes: Slopes,
    turn: Turning,
    strengths: Float[Tensor, " feature"],
    tick: Callable[[int], None] = lambda done: None,
) -> Gradients:
    """The gradient of every reading with respect to the strengths, cell by cell.

    Cost: two passes of each cell at the most and a backward one a reading; ``tick`` is told of cells done.
    """
    moves, counts = _moved(cache, cells, slopes, turn, strengths)
    left = [s / n.clamp_min(1) for s, n in zip(slopes.left(moves), counts, strict=True)]
    found: dict[str, list[np.ndarray]] = {LEFT_IN: [], TAKEN_OUT: []}
    norms = {common: torch.zeros_like(strengths) for common in found}
    for done, part in enumerate(_single(cache, cells)):
        x = turn.edited(cache, part, strengths).detach().requires_grad_()
        with torch.enable_grad():
            said = slopes.read(cache, part, x)
            values = [(torch.where(v.isnan(), 0.0, v) * s).sum() for v, s in zip(said, left, strict=True)]
        upstream = [torch.autograd.grad(v, x, retain_graph=True, allow_unused=True)[0] for v in values]
        upstream = [torch.zeros_like(x) if g is None else g for g in upstream]
        for common, rows in found.items():
            own = [turn.gradient(cache, part, _without(part, g) if common == TAKEN_OUT else g) for g in upstream]
            rows.append(torch.stack(own).cpu().numpy())
        squared, open_ = turn.squared_norm(cache, part), part.batch.present.sum().clamp_min(1)
        common = turn.summed(cache, part).square() / open_ * cache.W_dec.square().sum(dim=1)
        norms[LEFT_IN] += squared
        norms[TAKEN_OUT] += torch.where(squared - common > LEAST * squared, squared - common, 0.0)
        tick(done + 1)
    return Gradients(
        [*slopes.ways, *slopes.expression], {common: np.stack(rows, axis=1) for common, rows in found.items()},
        {common: norm.cpu().numpy() for common, norm in norms.items()},
    )  # fmt: skip


def _without(part: SiteCells, upstream: Float[Tensor, "row token d_model"]) -> Float[Tensor, "row token d_model"]:
    """A gradient without its mean over the open tokens of each row: that of edits without theirs."""
    open_ = part.batch.present.to(upstream.dtype)[..., None]
    mean = (upstream * open_).sum(dim=1, keepdim=True) / open_.sum(dim=1, keepdim=True).clamp_min(1)
    return (upstream - mean) * open_


def _single(cache: SiteCache, cells: Int[np.ndarray, " some"]) -> Iterator[SiteCells]:
    """One pass of each cell, one at a time."""
    return cache.take_rows(cache.one_row_each(cells), 1)


@torch.no_grad()
def _moved(
    cache: SiteCache, cells: Int[np.ndarray, " some"], slopes: Slopes, turn: Turning, strengths: Tensor
) -> tuple[list[Float[Tensor, " value"]], list[Float[Tensor, " value"]]]:
    """Mean move of every reading over the cells that have each value, and how many these are."""
    still = bool((strengths == 1).all())
    totals: list[Tensor] = []
    counts: list[Tensor] = []
    for part in _single(cache, cells):
        before = slopes.read(cache, part, part.x)
        after = before if still else slopes.read(cache, part, turn.edited(cache, part, strengths))
        moves = [(b - a)[0] for a, b in zip(before, after, strict=True)]
        totals = totals or [torch.zeros_like(m) for m in moves]
        counts = counts or [torch.zeros_like(m) for m in moves]
        for total, count, move in zip(totals, counts, moves, strict=True):
            total += move.nan_to_num(0.0)
            count += (~move.isnan()).to(count.dtype)
    return [total / count.clamp_min(1) for total, count in zip(totals, counts, strict=True)], counts


@torch.no_grad()
def _means(
    cache: SiteCache, cells: Int[np.ndarray, " some"], ways: Sequence[Pooled], genes: Int[Tensor, " some"]
) -> list[Float[Tensor, " value"]]:
    """Mean of each way over some cells, one pass of each."""
    totals: list[Tensor] = []
    for part in cache.take_rows(cache.one_row_each(cells)):
        said = [v.sum(dim=0) for v in read_ways(cache, part, part.x, ways, genes)]
        totals = [a + b for a, b in zip(totals, said, strict=True)] if totals else said
    return [total / len(cells) for total in totals]
