"""Edits no larger than a recipe's that owe nothing to the search: what the recipe has to beat."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.steering.contrast.cell_split import CellSplit
from cellprism.steering.contrast.recipe_search import Search
from cellprism.steering.contrast.scores import score
from cellprism.steering.intervene import edited
from cellprism.steering.model_output import expressing_moves
from cellprism.steering.nulls import (
    difference_of_means,
    firing_and_edit_norms,
    moved_along,
    random_direction,
    random_recipe,
    shared_vector,
)
from cellprism.steering.site_cache import Prediction, SiteCache

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
    """One edit of the test cells, and what became of them."""

    kind: str
    replicate: int
    share: float
    """Norm of the edit over that of the recipe."""
    scores: dict[str, float]
    moves: Float[np.ndarray, "cell some"]
    """How far it moved the genes asked for in each test cell, see ``model_output.expressing_moves``."""


def edit_norms(
    cache: SiteCache, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]
) -> tuple[float, float]:
    """Frobenius norms, over present tokens of all cells, of a recipe's edit and of the residuals that it
    changes."""
    edit, residual = 0.0, 0.0
    for cells in cache.take(rows):
        change = edited(cells.x, cells.code, strengths, cache.W_dec) - cells.x
        edit += change.square().sum().item()
        residual += (cells.x * cells.batch.present[..., None]).square().sum().item()
    return edit**0.5, residual**0.5


def try_baselines(
    cache: SiteCache,
    parts: CellSplit,
    found: Search,
    after: Prediction,
    columns: Int[np.ndarray, " some"],
    replicates: int,
    seed: int,
) -> list[Trial]:
    """Steer the test cells with every baseline; the trial of the recipe itself, which left them ``after``, comes first.

    Baselines: the difference of means of the training cells, as one vector for all tokens and as one per gene,
    at the recipe's norm and at the share of it that is best for the objective on validation cells (one vector
    at all tokens moves the embedding far more than a recipe of equal norm, and would only overshoot);
    ``replicates`` random directions and as many random recipes, at the recipe's norm. Where the recipe is
    neutral it stands alone. ``columns`` are the genes whose moves are kept.
    """
    rows = parts.test.source
    before, target = cache.baseline.part(rows), cache.baseline.part(parts.test.target)
    norm, _ = edit_norms(cache, rows, found.strengths)

    def trial(kind: str, replicate: int, share: float, then: Prediction) -> Trial:
        moves = expressing_moves(before.values[:, columns], then.values[:, columns])
        return Trial(kind, replicate, share, score(found.baseline_values, before, then, target), moves)

    trials = [trial(RECIPE, 0, 1.0, after)]
    if norm == 0:
        return trials

    def along(vectors: Float[Tensor, "place d_model"], share: float = 1.0) -> Prediction:
        return cache.predict_from(moved_along(cache, rows, vectors, norm * share))

    for kind, vectors in _differences(cache, parts).items():
        best = _best_share(cache, found, vectors)
        trials.append(trial(kind, 0, 1.0, along(vectors)))
        trials.append(trial(kind + TUNED, 0, best, along(vectors, best)))
    rng = np.random.default_rng(seed)
    firing, squared_norm = firing_and_edit_norms(cache, parts.train.source)
    everywhere = cache.W_dec.new_ones(cache.n_places, cache.W_dec.shape[1])
    for i in range(replicates):
        trials.append(trial(RANDOM_DIRECTION, i, 1.0, along(everywhere * random_direction(cache, rng))))
        other = random_recipe(found.strengths, firing, squared_norm, rng)
        size, _ = edit_norms(cache, rows, other)
        scaled = 1 + (other - 1) * (norm / size if size > 0 else 0.0)
        trials.append(trial(RANDOM_RECIPE, i, 1.0, cache.predict(rows, scaled)))
    return trials


def _differences(cache: SiteCache, parts: CellSplit) -> dict[str, Float[Tensor, "place d_model"]]:
    """The difference of means of the training cells: the same vector at every token, and one per gene where cells have
    several tokens."""
    per_gene = difference_of_means(cache, parts.train.source, parts.train.target)
    shared = {DIFFERENCE: shared_vector(cache, per_gene, parts.train.source)}
    return shared if cache.n_places == 1 else {**shared, DIFFERENCE_PER_GENE: per_gene}


def _best_share(cache: SiteCache, found: Search, vectors: Float[Tensor, "place d_model"]) -> float:
    """The share of the recipe's norm at which the vectors lower the objective most on validation cells."""
    validator = found.validator
    norm, _ = edit_norms(cache, validator.rows, found.strengths)
    losses = [validator.loss_from(moved_along(cache, validator.rows, vectors, norm * share)) for share in SHARES]
    return SHARES[int(np.argmin(losses))]


def trial_table(trials: Iterable[Trial]) -> pd.DataFrame:
    """One row per trial: kind, replicate, norm (over that of the recipe) and every score."""
    return pd.DataFrame([{"kind": t.kind, "replicate": t.replicate, "norm": t.share, **t.scores} for t in trials])
