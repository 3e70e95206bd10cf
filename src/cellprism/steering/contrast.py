"""Which features, and how strongly, turn one cell type into another; and what chance would do.

Notable choices

- Source and target cells are split 60/20/20. Centroids, differential genes and strengths come from the first
  part, the penalty from the second, every score from the third.
- The search is repeated with the two labels shuffled among the same cells. Any target can be approached a
  little, and cells that shrink to their own mean also come closer: only what exceeds this is about the two
  types. These searches are shorter, so they are compared with one of the same effort with the true labels.
- A recipe is compared with edits of the same norm that need no features, the difference of means and random
  directions, and with its own strengths on other features that fire alike.
- Either objective's recipe is scored on both metrics.

Departs from Yanovsky and Chernomoretz 2026: there strengths are learned for annotated features only, on the
cells that they are scored on, with one penalty for both objectives and no null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.cells.expression import log1p_cp10k
from cellprism.errors import ConfigError, ModelError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.intervene import check_steerable
from cellprism.steering.judge import cell_table, gene_table, score
from cellprism.steering.nulls import firing_and_energy
from cellprism.steering.parts import Parts, read_parts
from cellprism.steering.pool import CellPool, read_pool
from cellprism.steering.readout import lacks_expression
from cellprism.steering.rivals import MATCHED, SHUFFLED, edit_norms, trial_table, try_rivals
from cellprism.steering.search import OBJECTIVES, Effort, Search, recipe_sizes, search
from cellprism.steering.verdict import named_summary, score_summary
from cellprism.types import CellModel


@dataclass(frozen=True)
class ContrastSettings:
    """How hard to search and how much chance to sample."""

    penalties: int = 12
    """Values of lambda on the path, below the one at which nothing moves."""
    smallest_penalty: float = 3e-3
    """Last value of lambda, as a share of the one at which nothing moves."""
    iterations: int = 4
    """Most gradients per value of lambda."""
    train_cells: int = 24
    """Source cells whose mean loss is descended, drawn from the training part. Time grows with it."""
    bound: float = 6.0
    """Largest |alpha - 1|: no strength leaves the range over which single features are swept."""
    max_cells: int = 400
    """Cells per type that are read at all, drawn evenly from the three parts. Memory grows with it."""
    n_genes: int = 100
    """Differential genes, half of them higher and half lower in the target."""
    null_replicates: int = 19
    """Searches with shuffled labels. With n of them no p-value can be below 1 / (n + 1)."""
    null_penalties: int = 2
    """Values of lambda in each of those, down to the one chosen with the true labels."""
    null_train_cells: int = 8
    """Source cells whose mean loss is descended in each of those."""
    random_edits: int = 20
    """Random recipes, and random directions, of the recipe's norm."""
    resamples: int = 500
    """Bootstrap samples of test cells behind each interval."""
    moved_at: float = 0.1
    """Gap fraction from which a named gene can be called moved."""
    batch_size: int = 16
    """Cells per forward pass."""

    def __post_init__(self):
        positive = (
            "penalties",
            "iterations",
            "train_cells",
            "max_cells",
            "null_penalties",
            "null_train_cells",
        )
        for name in (*positive, "resamples", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.n_genes < 2:
            raise ConfigError(f"n_genes is {self.n_genes}; it must be at least 2, one for each direction")
        if self.bound <= 0:
            raise ConfigError(f"bound is {self.bound}; it must be above 0, such as 6 for strengths from -5 to 7")
        for name in ("null_replicates", "random_edits"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 < self.smallest_penalty < 1:
            raise ConfigError(
                f"smallest_penalty is {self.smallest_penalty}; give a share between 0 and 1, such as 0.003"
            )

    def effort(self) -> Effort:
        """Effort of the search for the recipe."""
        return Effort(
            self.penalties, self.iterations, self.train_cells, self.n_genes, self.bound, self.smallest_penalty
        )

    def null_effort(self, smallest: float) -> Effort:
        """Effort of the searches that are compared with each other, down to a given penalty."""
        return Effort(
            self.null_penalties,
            self.iterations,
            self.null_train_cells,
            self.n_genes,
            self.bound,
            smallest=smallest,
        )


@dataclass(frozen=True)
class ContrastResult:
    """A recipe and what became of it. The tables are ready for parquet, ``summary`` for JSON."""

    strengths: dict[int, float]
    """The recipe: strength of every feature that is not neutral, largest change first."""
    path: pd.DataFrame
    """lambda, objective, n_above_0, n_above_0.1, n_above_0.3, n_above_0.5 (features by |alpha - 1|),
    train_loss and validation_loss (in units of the neutral loss), evaluations, chosen. The first row is the
    neutral recipe."""
    genes: pd.DataFrame
    """The differential genes and the named ones; columns as in ``judge.gene_table``."""
    cells: pd.DataFrame
    """See ``judge.cell_table``."""
    recipe: pd.DataFrame
    """feature, strength, firing_rate, edit_share (squared norm of the feature's own edit, over the sum of
    all)."""
    trials: pd.DataFrame
    """kind (recipe, true labels, shuffled labels, random recipe, random direction, difference of means and
    difference of means per gene, both also with ``, best norm``), replicate, norm (of the edit, over that of
    the recipe) and every score of ``judge.score``. ``true labels`` is a search as short as those with
    shuffled ones."""
    summary: dict[str, Any]
    """Settings, sizes, ``quantity`` (what the model says of genes, see ``readout``), ``scores`` and ``named``: see
    ``verdict.score_summary`` and ``verdict.named_summary``."""


def contrast(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    source: str,
    target: str,
    objective: str = "latent",
    *,
    label: str = "cell_type",
    split: Mapping[str, Int[np.ndarray, " some"]] | None = None,
    named: Sequence[str] = ("CD8A", "CD8B"),
    settings: ContrastSettings | None = None,
    seed: int = 0,
) -> ContrastResult:
    """Find sparse strengths that move one type towards another, and judge them on unseen cells.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them.
        layer: block whose output is edited, from 0.
        source: cell type to start from.
        target: cell type to reach.
        objective: ``latent`` (the target's centroid in the embedding) or ``expression`` (its mean expression
            on differential genes; for models that predict amounts).
        label: column of ``adata.obs`` that holds the types.
        split: row numbers under ``train``, ``validation`` and ``test``; drawn 60/20/20 per type where None.
        named: genes to report by name, differential or not.
        settings: effort and sampling; the defaults where None.
        seed: decides the split, the subsamples, the shuffles and the random edits.

    Raises:
        CellsError: no such label or type, or too few cells of a type.
        ConfigError: source and target are the same, or a setting is out of range.
        ModelError: no such layer, an autoencoder of another width or a transcoder, weights that came without their
            head, or an expression objective for a model that predicts no amounts.
    """
    settings = settings or ContrastSettings()
    if objective not in OBJECTIVES:
        raise ConfigError(f"objective is {objective!r}; expected one of {list(OBJECTIVES)}")
    site = check_steerable(model, sae, layer)
    if objective == "expression" and (why := lacks_expression(model)):
        raise ModelError(why)
    kept, parts = read_parts(adata, source, target, label, split, settings.max_cells, seed)
    pool = read_pool(model, sae, adata[kept], layer, settings.batch_size)
    found = search(pool, parts, objective, settings.effort(), seed)
    head = {"objective": objective, "source": source, "target": target, "label": label, "model": model.name}
    head |= {"layer": layer, "site": str(site), "seed": seed, "quantity": model.predicts, "n_cells": parts.sizes()}
    return _judged(adata[kept], pool, parts, found, head, named, settings, seed)


def _judged(
    cells: AnnData,
    pool: CellPool,
    parts: Parts,
    found: Search,
    head: dict[str, Any],
    named: Sequence[str],
    settings: ContrastSettings,
    seed: int,
) -> ContrastResult:
    """A recipe with its scores on test cells, its rivals and its nulls."""
    trials = try_rivals(pool, parts, found, settings.random_edits, seed)
    matched, shuffled = _label_scores(pool, parts, found, settings, seed)
    before, after = pool.baseline.part(parts.test.source), trials[0].prediction
    there = pool.baseline.part(parts.test.target)
    yardstick, sampling = found.yardstick, (settings.resamples, seed)
    gap = observed_gap(cells, parts)[cells.var_names.get_indexer(pool.genes)]
    genes = gene_table(yardstick, pool.genes, before, after, there, gap)
    scores = score_summary(yardstick, trials, matched, shuffled, before, there, *sampling)
    movers = named_summary(named, genes, pool.genes, before, trials, settings.moved_at, *sampling)
    return ContrastResult(
        strengths=_moved(found.strengths),
        path=found.table(),
        genes=genes.loc[(genes["weight"] > 0) | genes["gene"].isin(list(named))].reset_index(drop=True),
        cells=cell_table(yardstick, cells.obs_names[parts.test.source], before, after),
        recipe=_recipe_table(pool, parts, found.strengths),
        trials=pd.concat([trial_table(trials), _label_table(matched, shuffled)], ignore_index=True),
        summary=head | _recipe_summary(pool, parts, found) | {"scores": scores, "named": movers},
    )


def _label_scores(
    pool: CellPool, parts: Parts, found: Search, settings: ContrastSettings, seed: int
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Scores of short searches, equal in effort: one with the true labels, the others with shuffled ones."""
    effort = settings.null_effort(found.penalty)
    seeds = range(seed + 1, seed + 1 + settings.null_replicates)
    true = _search_score(pool, parts, found.objective, effort, seed)
    return true, [_search_score(pool, parts.shuffled(s), found.objective, effort, s) for s in seeds]


def _search_score(pool: CellPool, parts: Parts, objective: str, effort: Effort, seed: int) -> dict[str, float]:
    """Scores on test cells of a search with some labels, true or shuffled."""
    found = search(pool, parts, objective, effort, seed)
    before, target = pool.baseline.part(parts.test.source), pool.baseline.part(parts.test.target)
    return score(found.yardstick, before, pool.predict(parts.test.source, found.strengths), target)


def _label_table(matched: dict[str, float], shuffled: Sequence[dict[str, float]]) -> pd.DataFrame:
    rows = [{"kind": MATCHED, "replicate": 0, "norm": np.nan, **matched}]
    return pd.DataFrame(
        rows + [{"kind": SHUFFLED, "replicate": i, "norm": np.nan, **scores} for i, scores in enumerate(shuffled)]
    )


def _moved(strengths: Float[Tensor, " feature"]) -> dict[int, float]:
    order = (strengths - 1).abs().argsort(descending=True, stable=True)
    return {int(f): float(strengths[f]) for f in order if strengths[f] != 1}


def _recipe_table(pool: CellPool, parts: Parts, strengths: Float[Tensor, " feature"]) -> pd.DataFrame:
    """Columns as in ``ContrastResult.recipe``; firing rates and edit sizes over training source cells."""
    firing, energy = firing_and_energy(pool, parts.train.source)
    recipe = _moved(strengths)
    features = np.array(list(recipe), dtype=int)
    values = np.array(list(recipe.values()), dtype=float)
    squared = energy[features] * (values - 1) ** 2
    share = squared / squared.sum() if squared.size else squared
    return pd.DataFrame({"feature": features, "strength": values, "firing_rate": firing[features], "edit_share": share})


def _recipe_summary(pool: CellPool, parts: Parts, found: Search) -> dict[str, Any]:
    """How large the recipe is, in features and in units of the residual stream."""
    edit, residual = edit_norms(pool, parts.test.source, found.strengths)
    return {
        "lambda": found.penalty,
        "n_features_considered": found.n_considered,
        "recipe_sizes": recipe_sizes(found.strengths),
        "edit_ratio": edit / residual,
        "validation_loss": found.validation[found.chosen],
    }


def observed_gap(cells: AnnData, parts: Parts) -> Float[np.ndarray, " gene"]:
    """Difference, target minus source, of the test cells' own mean log1p counts per ten thousand."""
    observed = log1p_cp10k(cells)
    means = [np.asarray(observed[rows].mean(axis=0)).ravel() for rows in (parts.test.target, parts.test.source)]
    return means[0] - means[1]
