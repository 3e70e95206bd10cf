"""Where steered cells come to lie among unsteered ones: one map, made of unsteered cells, on which steered ones are
placed.

Notable choices

- Maps that are fitted apart cannot be compared, so the map is fitted once, on unsteered cells of both types, and a
  steered cell lies at the mean place of the unsteered cells nearest to it in the full space, nearer ones counting more.
- A map shows neighbours and no distances. ``among`` says in numbers what it shows: the share of the target's cells
  among the nearest.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from cellprism.steering.contrast.turning import residuals_of
from cellprism.steering.site_cache import Residuals
from cellprism.studies.map.graphs import plane
from cellprism.studies.pareto.tables import PLANE_COLUMNS
from cellprism.studies.pareto.unit import CHOSEN, Front, Unit

FINAL, SITE = "final", "site"
NEAREST = 15


def plane_rows(unit: Unit, front: Front, seed: int) -> pd.DataFrame:
    """Unsteered cells of both types, and test cells as each chosen recipe steers them, after the last norm and at the
    site; columns as ``tables.PLANE_COLUMNS``."""
    cache, test = unit.cache, unit.parts.test.source
    target = np.zeros(cache.n_cells, dtype=bool)
    for part in (unit.parts.train, unit.parts.validation, unit.parts.test):
        target[part.target] = True
    steered = {kind: front.after["test"][front.places[kind]].embedding for kind in CHOSEN}
    final = _space(FINAL, cache.baseline.embedding, target, steered, seed)
    still = ((cells.batch, cells.x) for cells in cache.take(np.arange(cache.n_cells)))
    moved = {kind: _site(unit, residuals_of(cache, unit.turn, test, _strengths(unit, front, kind))) for kind in CHOSEN}
    site = _space(SITE, _site(unit, still), target, moved, seed)
    return pd.DataFrame([*final, *site], columns=pd.Index(list(PLANE_COLUMNS)))


def _strengths(unit: Unit, front: Front, kind: str) -> Tensor:
    """A chosen recipe."""
    return unit.cache.W_dec.new_tensor(front.strengths[front.places[kind]])


def _site(unit: Unit, residuals: Residuals) -> Float[np.ndarray, "cell d_model"]:
    """Mean of each cell's present tokens at the site, over its passes."""
    found = []
    for batch, x in residuals:
        weight = batch.present.to(x.dtype)[..., None]
        rows = (x * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)
        found.append(rows.unflatten(0, (-1, unit.cache.folds)).mean(dim=1).double().cpu().numpy())
    return np.concatenate(found)


def _space(
    space: str, still: Float[np.ndarray, "cell d"], target: np.ndarray, steered: dict[str, np.ndarray], seed: int
) -> Iterator[tuple]:
    """Rows of one space."""
    places = plane(still, seed)
    kinds = np.where(target, "target", "source")
    yield from zip([space] * len(still), kinds.tolist(), *places.T.tolist(), [np.nan] * len(still), strict=True)
    for kind, points in steered.items():
        where, among = placed(still, places, target, points)
        yield from zip([space] * len(points), [kind] * len(points), *where.T.tolist(), among.tolist(), strict=True)


def placed(
    still: Float[np.ndarray, "cell d"], places: Float[np.ndarray, "cell 2"], target: np.ndarray,
    points: Float[np.ndarray, "point d"],
) -> tuple[Float[np.ndarray, "point 2"], Float[np.ndarray, " point"]]:  # fmt: skip
    """Where points lie on a map of unsteered cells, and the share of the target's cells among their nearest."""
    search = NearestNeighbors(n_neighbors=min(NEAREST, len(still))).fit(still)
    distance, near = search.kneighbors(points)
    weight = 1 / np.maximum(distance, 1e-9 * max(float(np.abs(still).max()), 1e-12))
    weight /= weight.sum(axis=1, keepdims=True)
    return (weight[:, :, None] * places[near]).sum(axis=1), target[near].mean(axis=1)
