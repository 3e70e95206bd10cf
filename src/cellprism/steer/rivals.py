"""Edits of the same norm as a recipe's that owe nothing to the search: what the recipe has to beat."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.steer.intervene import edited
from cellprism.steer.judge import Yardstick, score
from cellprism.steer.nulls import (
    difference_of_means,
    firing_and_energy,
    moved_along,
    random_direction,
    random_recipe,
)
from cellprism.steer.parts import Parts
from cellprism.steer.pool import CellPool, Prediction

RECIPE = "recipe"
MATCHED = "true labels"
SHUFFLED = "shuffled labels"
RANDOM_RECIPE = "random recipe"
RANDOM_DIRECTION = "random direction"
DIFFERENCE = "difference of means"
DIFFERENCE_PER_GENE = "difference of means per gene"


@dataclass(frozen=True)
class Trial:
    """One edit of the test cells and what the model predicted then."""

    kind: str
    replicate: int
    prediction: Prediction
    scores: dict[str, float]


def edit_norms(pool: CellPool, rows, strengths: Float[Tensor, " feature"]) -> tuple[float, float]:
    """Frobenius norms, over present tokens of all cells, of a recipe's edit and of the residuals that it
    changes."""
    edit, residual = 0.0, 0.0
    for cells in pool.take(rows):
        change = edited(cells.x, cells.code, strengths, pool.W_dec) - cells.x
        edit += change.square().sum().item()
        residual += (cells.x * cells.batch.present[..., None]).square().sum().item()
    return edit**0.5, residual**0.5


def try_rivals(
    pool: CellPool,
    parts: Parts,
    yardstick: Yardstick,
    strengths: Float[Tensor, " feature"],
    replicates: int,
    seed: int,
) -> list[Trial]:
    """Steer the test cells with the recipe and with every rival, each at the recipe's norm; the recipe comes
    first.

    Rivals: the difference of means of the training cells, as one vector for all tokens and as one per gene;
    ``replicates`` random directions; and as many random recipes. All but the recipe are left out where it is
    neutral.
    """
    rows = parts.test.source
    rng = np.random.default_rng(seed)
    norm, _ = edit_norms(pool, rows, strengths)
    firing, energy = firing_and_energy(pool, parts.train.source)
    per_gene = difference_of_means(pool, parts.train.source, parts.train.target)
    shared = pool.present[torch.as_tensor(parts.train.source)].any(dim=0)
    everywhere = torch.ones_like(per_gene)

    def scaled(other: Float[Tensor, " feature"]) -> Float[Tensor, " feature"]:
        size, _ = edit_norms(pool, rows, other)
        return 1 + (other - 1) * (norm / size if size > 0 else 0.0)

    def edits() -> Iterable[tuple[str, int, Prediction]]:
        yield RECIPE, 0, pool.predict(rows, strengths)
        if norm == 0:
            return
        yield DIFFERENCE, 0, along(everywhere * per_gene[shared].mean(dim=0))
        yield DIFFERENCE_PER_GENE, 0, along(per_gene)
        for i in range(replicates):
            yield RANDOM_DIRECTION, i, along(everywhere * random_direction(pool, rng))
            yield RANDOM_RECIPE, i, pool.predict(rows, scaled(random_recipe(strengths, firing, energy, rng)))

    def along(vectors: Float[Tensor, "token d_model"]) -> Prediction:
        return pool.predict_from(moved_along(pool, rows, vectors, norm))

    before, target = pool.baseline.part(rows), pool.baseline.part(parts.test.target)
    return [Trial(kind, i, after, score(yardstick, before, after, target)) for kind, i, after in edits()]


def trial_table(trials: Iterable[Trial]) -> pd.DataFrame:
    """One row per trial: kind, replicate and every score."""
    return pd.DataFrame(
        [{"kind": trial.kind, "replicate": trial.replicate, **trial.scores} for trial in trials]
    )
