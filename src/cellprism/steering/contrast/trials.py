"""Other edits of the test cells than a recipe's: what permuted labels, other features and a plain difference of means
reach, each scored as the recipe is.

Notable choices

- Edits that need no search have the recipe's norm over the test cells, so that none wins by size; the recipe and the
  difference of means are also tried at other doses.
- Permuted labels: the whole search again, of the same effort, with the labels of the training and validation cells
  permuted. What it finds is tried as it is, at its own size. Brought to the recipe's norm it would go as far as the
  recipe wherever two types differ plainly: with permuted labels a group holds a little more of the target by luck, and
  features that tell the types apart lead from one to the other whichever way they are turned. What scores (the two
  types' centroids, the genes and their directions) comes from other cells, whose labels stay. Where the two types do
  not differ, the true labels are one permutation among the others, and p is exact.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.steering.contrast.cell_split import CellSplit
from cellprism.steering.contrast.recipe_search import Search, search
from cellprism.steering.contrast.scores import BaselineValues, score
from cellprism.steering.intervene import edited
from cellprism.steering.model_output import expressing_moves
from cellprism.steering.nulls import (
    difference_of_means,
    firing_and_edit_norms,
    moved_along,
    random_recipe,
    shared_vector,
)
from cellprism.steering.settings import (
    DIFFERENCE,
    DIFFERENCE_PER_GENE,
    DOSES,
    PERMUTED,
    RANDOM_RECIPE,
    RECIPE,
    ContrastSettings,
)
from cellprism.steering.site_cache import Prediction, SiteCache


@dataclass(frozen=True)
class Trial:
    """One edit of the test cells, and what became of them."""

    kind: str
    replicate: int
    dose: float
    """Norm of the edit over that of the recipe."""
    scores: dict[str, float]
    moves: Float[np.ndarray, "cell some"]
    """How far it moved the genes asked for in each test cell, see ``model_output.expressing_moves``."""


@dataclass(frozen=True)
class TestCells:
    """The cells that judge, and how."""

    __test__ = False  # pytest collects classes named Test*

    cache: SiteCache
    parts: CellSplit
    base: BaselineValues
    columns: Int[np.ndarray, " some"]
    """Genes of the cache whose moves are kept."""

    @property
    def rows(self) -> Int[np.ndarray, " some"]:
        """The cells that are steered."""
        return self.parts.test.source

    @property
    def before(self) -> Prediction:
        """The same, unsteered."""
        return self.cache.baseline.part(self.rows)

    @property
    def target(self) -> Prediction:
        """Test cells of the target type."""
        return self.cache.baseline.part(self.parts.test.target)

    def trial(self, kind: str, replicate: int, dose: float, after: Prediction) -> Trial:
        """Score an edit that left the cells ``after``."""
        before = self.before
        moves = expressing_moves(before.values[:, self.columns], after.values[:, self.columns])
        return Trial(kind, replicate, dose, score(self.base, before, after, self.target), moves)

    def norm(self, strengths: Float[Tensor, " feature"]) -> float:
        """Frobenius norm of a recipe's edit."""
        return edit_norms(self.cache, self.rows, strengths)[0]

    def scaled(self, strengths: Float[Tensor, " feature"], norm: float) -> Float[Tensor, " feature"]:
        """A recipe with an edit of another norm; itself where it is neutral."""
        own = self.norm(strengths)
        return 1 + (strengths - 1) * (norm / own if own > 0 else 0.0)


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


Recipes = Callable[[Sequence[int]], Iterable[Float[Tensor, " feature"]]]
"""From numbers of permutations to what a search with labels permuted so finds."""


def permuted_recipe(
    cache: SiteCache, parts: CellSplit, objective: str, settings: ContrastSettings, seed: int, number: int
) -> Float[Tensor, " feature"]:
    """What the search finds with the labels of the training and validation cells permuted, the ``number``-th time."""
    return search(cache, parts.permuted(seed + 1 + number), objective, settings, seed + 1 + number).strengths


def try_edits(
    test: TestCells,
    found: Search,
    after: Prediction,
    settings: ContrastSettings,
    seed: int,
    permuted: Recipes | None = None,
) -> list[Trial]:
    """Steer the test cells with the recipe, which left them ``after``, and with what it has to beat.

    The recipe itself comes first, then its other doses; the difference of means of the training cells at the same
    doses, as one vector for all tokens and as one per gene; ``null_replicates`` searches with permuted labels, each at
    its own size;
    ``random_edits`` random recipes. Where the recipe is neutral it stands alone. ``permuted`` makes the recipes of
    permuted labels where this process does not search for them itself.
    """
    norm = test.norm(found.strengths)
    trials = [test.trial(RECIPE, 0, 1.0, after)]
    if norm == 0:
        return trials
    for dose in DOSES:
        if dose != 1:
            trials.append(test.trial(RECIPE, 0, dose, _predicted(test, found.strengths, norm * dose)))
    for kind, vectors in _differences(test).items():
        for dose in DOSES:
            moved = moved_along(test.cache, test.rows, vectors, norm * dose)
            trials.append(test.trial(kind, 0, dose, test.cache.predict_from(moved)))
    return trials + _permuted(test, found, norm, settings, seed, permuted) + _random(test, found, norm, settings, seed)


def _permuted(
    test: TestCells, found: Search, norm: float, settings: ContrastSettings, seed: int, made: Recipes | None
) -> list[Trial]:
    trials, numbers = [], range(settings.null_replicates)
    here = partial(permuted_recipe, test.cache, test.parts, found.objective, settings, seed)
    for i, strengths in enumerate(map(here, numbers) if made is None else made(numbers)):
        after = test.cache.predict(test.rows, strengths)
        trials.append(test.trial(PERMUTED, i, test.norm(strengths) / norm, after))
    return trials


def _random(test: TestCells, found: Search, norm: float, settings: ContrastSettings, seed: int) -> list[Trial]:
    rng = np.random.default_rng(seed)
    firing, squared_norm = firing_and_edit_norms(test.cache, test.parts.train.source)
    trials = []
    for i in range(settings.random_edits):
        strengths = random_recipe(found.strengths, firing, squared_norm, rng)
        if test.norm(strengths) > 0:  # where all features that fire are in the recipe, no other is left
            trials.append(test.trial(RANDOM_RECIPE, i, 1.0, _predicted(test, strengths, norm)))
    return trials


def _predicted(test: TestCells, strengths: Float[Tensor, " feature"], norm: float) -> Prediction:
    return test.cache.predict(test.rows, test.scaled(strengths, norm))


def _differences(test: TestCells) -> dict[str, Float[Tensor, "place d_model"]]:
    """The difference of means of the training cells: the same vector at every token, and one per gene where cells have
    several tokens."""
    cache, train = test.cache, test.parts.train
    per_gene = difference_of_means(cache, train.source, train.target)
    shared = {DIFFERENCE: shared_vector(cache, per_gene, train.source)}
    return shared if cache.n_places == 1 else {**shared, DIFFERENCE_PER_GENE: per_gene}


def trial_table(trials: Iterable[Trial], genes: Iterable[str]) -> pd.DataFrame:
    """One row per trial: kind, replicate, dose, every score, and ``move of GENE`` (mean over the cells) for the genes
    whose moves were kept."""
    names = [f"move of {gene}" for gene in genes]
    return pd.DataFrame(
        [
            {"kind": t.kind, "replicate": t.replicate, "dose": t.dose, **t.scores}
            | dict(zip(names, t.moves.mean(axis=0).tolist(), strict=True))
            for t in trials
        ]
    )
