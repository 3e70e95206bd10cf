"""Edits no larger than a recipe's that owe nothing to the search: what the recipe has to beat."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.steering.contrast.cell_split import Parts
from cellprism.steering.contrast.recipe_search import Search
from cellprism.steering.contrast.scores import score
from cellprism.steering.intervene import edited
from cellprism.steering.nulls import (
    difference_of_means,
    firing_and_energy,
    moved_along,
    random_direction,
    random_recipe,
    shared_vector,
)
from cellprism.steering.site_cache import CellPool, Prediction

RECIPE = "recipe"
MATCHED = "true labels"
SHUFFLED = "shuffled labels"
RANDOM_RECIPE = "random recipe"
RANDOM_DIRECTION = "random direction"
DIFFERENCE = "difference of means"
DIFFERENCE_PER_GENE = "difference of means per gene"
TUNED = ", best norm"
SHARES = tuple(2.0**-i for i in range(8))
"""Shares of the recipe's norm among which the difference of means may choose."""


@dataclass(frozen=True)
class Trial:
    """One edit of the test cells and what the model predicted then."""

    kind: str
    replicate: int
    share: float
    """Norm of the edit over that of the recipe."""
    prediction: Prediction
    scores: dict[str, float]


def edit_norms(
    pool: CellPool, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]
) -> tuple[float, float]:
    """Frobenius norms, over present tokens of all cells, of a recipe's edit and of the residuals that it
    changes."""
    edit, residual = 0.0, 0.0
    for cells in pool.take(rows):
        change = edited(cells.x, cells.code, strengths, pool.W_dec) - cells.x
        edit += change.square().sum().item()
        residual += (cells.x * cells.batch.present[..., None]).square().sum().item()
    return edit**0.5, residual**0.5


def try_rivals(pool: CellPool, parts: Parts, found: Search, replicates: int, seed: int) -> list[Trial]:
    """Steer the test cells with the recipe and with every rival; the recipe comes first.

    Rivals: the difference of means of the training cells, as one vector for all tokens and as one per gene,
    at the recipe's norm and at the share of it that is best for the objective on validation cells (one vector
    at all tokens moves the embedding far more than a recipe of equal norm, and would only overshoot);
    ``replicates`` random directions and as many random recipes, at the recipe's norm. Where the recipe is
    neutral it stands alone.
    """
    rows = parts.test.source
    before, target = pool.baseline.part(rows), pool.baseline.part(parts.test.target)
    norm, _ = edit_norms(pool, rows, found.strengths)

    def trial(kind: str, replicate: int, share: float, after: Prediction) -> Trial:
        return Trial(kind, replicate, share, after, score(found.yardstick, before, after, target))

    trials = [trial(RECIPE, 0, 1.0, pool.predict(rows, found.strengths))]
    if norm == 0:
        return trials

    def along(vectors: Float[Tensor, "place d_model"], share: float = 1.0) -> Prediction:
        return pool.predict_from(moved_along(pool, rows, vectors, norm * share))

    for kind, vectors in _differences(pool, parts).items():
        best = _best_share(pool, found, vectors)
        trials.append(trial(kind, 0, 1.0, along(vectors)))
        trials.append(trial(kind + TUNED, 0, best, along(vectors, best)))
    rng = np.random.default_rng(seed)
    firing, energy = firing_and_energy(pool, parts.train.source)
    everywhere = pool.x.new_ones(pool.n_places, pool.x.shape[2])
    for i in range(replicates):
        trials.append(trial(RANDOM_DIRECTION, i, 1.0, along(everywhere * random_direction(pool, rng))))
        other = random_recipe(found.strengths, firing, energy, rng)
        size, _ = edit_norms(pool, rows, other)
        scaled = 1 + (other - 1) * (norm / size if size > 0 else 0.0)
        trials.append(trial(RANDOM_RECIPE, i, 1.0, pool.predict(rows, scaled)))
    return trials


def _differences(pool: CellPool, parts: Parts) -> dict[str, Float[Tensor, "place d_model"]]:
    """The difference of means of the training cells: the same vector at every token, and one per gene where cells have
    several tokens."""
    per_gene = difference_of_means(pool, parts.train.source, parts.train.target)
    shared = {DIFFERENCE: shared_vector(pool, per_gene, parts.train.source)}
    return shared if pool.n_places == 1 else {**shared, DIFFERENCE_PER_GENE: per_gene}


def _best_share(pool: CellPool, found: Search, vectors: Float[Tensor, "place d_model"]) -> float:
    """The share of the recipe's norm at which the vectors lower the objective most on validation cells."""
    judges = found.judges
    norm, _ = edit_norms(pool, judges.rows, found.strengths)
    losses = [judges.loss_from(moved_along(pool, judges.rows, vectors, norm * share)) for share in SHARES]
    return SHARES[int(np.argmin(losses))]


def trial_table(trials: Iterable[Trial]) -> pd.DataFrame:
    """One row per trial: kind, replicate, norm (over that of the recipe) and every score."""
    return pd.DataFrame([{"kind": t.kind, "replicate": t.replicate, "norm": t.share, **t.scores} for t in trials])
