"""Edits that chance would make: what a feature's or a recipe's effect is ranked against.

Notable choices

- A random feature stands in only for a feature that fires about as often and as strongly.
- The competitor is the difference of means, the plainest way to steer, at equal norm.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.effects import permutation_p
from cellprism.equations.ratio import is_spread
from cellprism.equations.steering import squared_edit_norm
from cellprism.steering.site_cache import SiteCache
from cellprism.types import CellBatch, SparseCode


def firing_and_edit_norms(
    cache: SiteCache, rows: Int[np.ndarray, " some"]
) -> tuple[Float[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
    """Per feature: share of present tokens at which it fires, and squared edit per unit of strength over all
    rows of the cells."""
    fires = torch.zeros(cache.n_features, dtype=torch.float64, device=cache.W_dec.device)
    squared_norm = torch.zeros_like(fires)
    for cells in cache.take(rows):
        fires += feature_counts(cells.code)
        squared_norm += squared_edit_norm(cells.code, cache.W_dec).double()
    tokens = int(cache.present[cache.rows(rows)].sum())
    return (fires / max(tokens, 1)).cpu().numpy(), squared_norm.cpu().numpy()


def feature_counts(code: SparseCode) -> Float[Tensor, " feature"]:
    """Tokens at which each feature fires."""
    count = torch.zeros(code.n_features, dtype=torch.float64, device=code.values.device)
    return count.index_add_(0, code.features.flatten(), (code.values != 0).flatten().double())


def nearest_features(
    firing: Float[np.ndarray, " feature"],
    squared_norm: Float[np.ndarray, " feature"],
    feature: int,
    allowed: Int[np.ndarray, " some"],
    count: int,
) -> Int[np.ndarray, " chosen"]:
    """The ``count`` features most like ``feature`` in log firing rate and log edit norm, nearest first.

    Features that never fire are never chosen; fewer come back where fewer are allowed.
    """
    allowed = allowed[(squared_norm[allowed] > 0) & (allowed != feature)]
    distance = (
        np.log(firing[allowed] / firing[feature]) ** 2 + np.log(squared_norm[allowed] / squared_norm[feature]) ** 2
    )
    return allowed[np.argsort(distance, kind="stable")[:count]]


def random_recipe(
    strengths: Float[Tensor, " feature"],
    firing: Float[np.ndarray, " feature"],
    squared_norm: Float[np.ndarray, " feature"],
    rng: np.random.Generator,
    among: int = 20,
) -> Float[Tensor, " feature"]:
    """The same strengths on other features, none of them in the recipe: each goes to one of the ``among`` features most
    like its own, no two to one; the largest edits first, and as many as there are other features that fire."""
    change = (strengths - 1).cpu().numpy()
    free = np.flatnonzero((squared_norm > 0) & (change == 0))
    moved = np.flatnonzero((squared_norm > 0) & (change != 0))
    other = torch.ones_like(strengths)
    for feature in moved[np.argsort(-squared_norm[moved] * change[moved] ** 2, kind="stable")][: len(free)]:
        chosen = int(rng.choice(nearest_features(firing, squared_norm, int(feature), free, among)))
        other[chosen] = strengths[feature]
        free = free[free != chosen]
    return other


def difference_of_means(
    cache: SiteCache, source: Int[np.ndarray, " some"], target: Int[np.ndarray, " other"]
) -> Float[Tensor, "place d_model"]:
    """Mean residual of target cells minus that of source cells, place by place; 0 where no cell of one of them has a
    present token, and where both means are the same.

    Averaged over places it is the usual steering vector.
    """
    means, both = [], []
    for rows in (source, target):
        total = cache.W_dec.new_zeros(cache.n_places, cache.W_dec.shape[1])
        for cells in cache.take(rows):
            present = cells.batch.present
            total.index_add_(0, cache.places(cells.batch.cell)[present], cells.x[present].to(total.dtype))
        count = tokens_at(cache, rows)[:, None]
        means.append(total / count.clamp_min(1))
        both.append(count > 0)
    gap, size = means[1] - means[0], means[0].square() + means[1].square()
    apart = is_spread(gap.square().sum(dim=1, keepdim=True), size.sum(dim=1, keepdim=True))
    return torch.where(both[0] & both[1] & apart, gap, 0.0)


def tokens_at(cache: SiteCache, rows: Int[np.ndarray, " some"]) -> Float[Tensor, " place"]:
    """Rows of some cells that have a present token at each place."""
    every = cache.rows(rows)
    count = torch.bincount(cache.places(every)[cache.present[every]], minlength=cache.n_places)
    return count.to(cache.W_dec)


def shared_vector(
    cache: SiteCache, vectors: Float[Tensor, "place d_model"], rows: Int[np.ndarray, " some"]
) -> Float[Tensor, "place d_model"]:
    """The mean of the vectors at every place, each counting by the rows that have a present token there."""
    weight = tokens_at(cache, rows)
    return torch.ones_like(vectors) * (weight @ vectors / weight.sum())


def moved_along(
    cache: SiteCache, rows: Int[np.ndarray, " some"], vectors: Float[Tensor, "place d_model"], norm: float
) -> Iterator[tuple[CellBatch, Float[Tensor, "cell token d_model"]]]:
    """Residual streams with one vector per place added at present tokens, scaled to a total Frobenius
    norm."""
    unscaled = (vectors.square().sum(dim=1) * tokens_at(cache, rows)).sum().sqrt().item()
    scaled = vectors * (norm / unscaled if unscaled > 0 else 0.0)
    for cells in cache.take(rows):
        moved = cells.x + scaled[cache.places(cells.batch.cell)].to(cells.x.dtype)
        yield cells.batch, torch.where(cells.batch.present[..., None], moved, cells.x)


def drawn_summary(observed: float, drawn: Float[np.ndarray, " draw"]) -> dict[str, float | int | None]:
    """Mean, 95 % range and two-sided permutation p of what chance gave, as plain JSON; nothing where there is no value.

    Draws without a value count as being as extreme as the observed one on either side.
    """
    there, n = drawn[~np.isnan(drawn)], int(drawn.size)
    if there.size == 0 or np.isnan(observed):
        return {"mean": None, "low": None, "high": None, "p": None, "n": n}
    low, high = np.quantile(there, [0.025, 0.975])
    p = permutation_p(observed, np.where(np.isnan(drawn), observed, drawn))
    return {"mean": float(there.mean()), "low": float(low), "high": float(high), "p": p, "n": n}


def plain(value: float) -> float | None:
    """A number as JSON has it: None where there is none."""
    return None if np.isnan(value) else float(value)
