"""Which features, and how strongly, turn one cell type into another; and what chance would do.

Notable choices

- Source and target cells are split 60/20/20. The fit uses the first part and chooses its penalty on the second; the
  third is steered and scored, with genes from the second.
- The model is read where it was trained (``reading``). Differential genes come from the counts, and whether the
  predicted gaps follow the observed ones is measured on test cells (``agreement``): where they do not, nothing that
  the model says of these genes can be believed.
- The search is repeated with the two labels permuted among the cells of the fit, and what it finds is scored as the
  recipe is (``trials``). Any target can be approached a little, and cells that shrink to their own mean
  also come closer: only what exceeds this is about the two types.
- A recipe is also compared with edits of the same norm that need no search: the difference of means, and its own
  strengths on other features that fire alike.
- Either objective's recipe is scored on both metrics.

Departs from Yanovsky and Chernomoretz 2026: there strengths are learned for annotated features only, on the
cells that they are scored on, with one penalty for both objectives, each cell's own distance as the objective, and no
null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.display import Shown
from cellprism.equations.ratio import share
from cellprism.errors import ConfigError, ModelError
from cellprism.features.origin import forced_past
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.contrast.agreement import TypeValues, gap_agreement
from cellprism.steering.contrast.cell_split import CellSplit, split_types
from cellprism.steering.contrast.contrast_summary import named_summary, score_summary
from cellprism.steering.contrast.recipe_search import Search, measure, recipe_sizes, search
from cellprism.steering.contrast.scores import BaselineValues, cell_table, gene_table
from cellprism.steering.contrast.trials import Recipes, TestCells, edit_norms, trial_table, try_edits
from cellprism.steering.intervene import check_steerable
from cellprism.steering.model_output import lacks_expression
from cellprism.steering.nulls import firing_and_edit_norms, plain
from cellprism.steering.settings import BY_CELL, OBJECTIVES, ContrastSettings
from cellprism.steering.site_cache import MEMORY, SiteCache, read_site_cache
from cellprism.store.seed import check_seed
from cellprism.types import CellModel


@dataclass(frozen=True, repr=False)
class ContrastResult(Shown):
    """A recipe and what became of it. The tables are ready for parquet, ``summary`` for JSON."""

    strengths: dict[int, float]
    """The recipe: strength of every feature that is not neutral, largest change first."""
    path: pd.DataFrame
    """lambda, objective, n_above_0, n_above_0.1, n_above_0.3, n_above_0.5 (features by |alpha - 1|),
    train_loss and validation_loss (in units of the neutral loss), evaluations, chosen. The first row is the
    neutral recipe."""
    genes: pd.DataFrame
    """The differential genes and the named ones; columns as in ``scores.gene_table``."""
    cells: pd.DataFrame
    """See ``scores.cell_table``."""
    recipe: pd.DataFrame
    """feature, strength, firing_rate, edit_share (squared norm of the feature's own edit, over the sum of
    all)."""
    trials: pd.DataFrame
    """kind (recipe, permuted labels, random recipe, difference of means, difference of means per gene), replicate, dose
    (norm of the edit, over that of the recipe), every score of ``scores.score``, and ``move of GENE`` for the named
    genes. The first row is the recipe."""
    summary: dict[str, Any]
    """Settings, sizes, ``output_kind`` (see ``model_output``), ``read`` (``hidden`` or ``visible``), ``passes`` (of a
    cell through the model), ``gaps`` and ``gaps_direct`` (see ``agreement.gap_agreement``: where the model is read, and
    where it sees the genes; None where nothing, or nothing else, is said of genes), ``scores`` and ``named``: see
    ``contrast_summary.score_summary`` and ``contrast_summary.named_summary``."""

    def shown(self) -> Mapping[str, Any]:
        """Facts in words, by name."""
        made = self.summary
        steps = [f"feature {feature} x {strength:.2g}" for feature, strength in list(self.strengths.items())[:5]]
        return {
            "from": made["source"], "to": made["target"], "objective": made["objective"],
            "features": f"{len(self.strengths):,}", "strongest": ", ".join(steps) or "none",
        }  # fmt: skip


@dataclass(frozen=True)
class ContrastCells:
    """Cells of two types, read once up to a site: what the search for either objective starts from."""

    cells: AnnData
    """Source and target cells that take part."""
    cache: SiteCache
    """The same cells at the site."""
    parts: CellSplit
    """Which of them are learned from, which choose the penalty, and which are scored."""
    origin: dict[str, Any]
    """Types, model and site, as plain JSON."""
    settings: ContrastSettings
    seed: int


def read_contrast_cells(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    source: str,
    target: str,
    *,
    label: str = "cell_type",
    split: Mapping[str, Int[np.ndarray, " some"]] | None = None,
    settings: ContrastSettings | None = None,
    seed: int = 0,
    memory: int = MEMORY,
    force: bool = False,
) -> ContrastCells:
    """Read the cells of two types for ``contrast_read``, which can be asked for several objectives.

    Arguments and errors are those of ``contrast``.
    """
    settings = settings or ContrastSettings()
    check_seed(seed)
    site = check_steerable(model, sae, layer, force)
    kept, parts = split_types(adata, source, target, label, split, settings.max_cells, seed)
    cache = read_site_cache(model, sae, adata[kept], layer, settings.batch_size, memory, settings.read)
    origin = {
        "source": source, "target": target, "label": label, "model": model.name, "layer": layer, "site": str(site),
        "forced": forced_past(model, sae, layer), "seed": seed, "output_kind": cache.output_kind, "read": cache.read,
        "passes": cache.folds, "n_cells": parts.sizes(),
    }  # fmt: skip
    return ContrastCells(adata[kept], cache, parts, origin, settings, seed)


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
    memory: int = MEMORY,
    force: bool = False,
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
            on differential genes; for models that predict amounts), for the cells' mean; with ``-by-cell`` at its end
            for every cell, as published.
        label: column of ``adata.obs`` that holds the types.
        split: row numbers under ``train``, ``validation`` and ``test``; drawn 60/20/20 per type where None.
        named: genes to report by name, differential or not.
        settings: effort and sampling; the defaults where None.
        seed: decides the split, the subsamples, the shuffles and the random edits.
        memory: bytes of residuals and codes that may be kept; where the cells' take more, the blocks before the site
            run again for each edit.
        force: use an autoencoder that was trained on another model, layer or order of genes.

    Cost: one pass of each cell that takes part per loss, and per edit that is scored,
    ``reading.FOLDS`` of each test cell where genes are read hidden.

    Raises:
        CellsError: no such label or type, or too few cells of a type.
        ConfigError: source and target are the same, or a setting is out of range.
        ModelError: no such layer, an autoencoder of another width, trained on something else or a transcoder, weights
            that came without their head, or an expression objective for a model that predicts no amounts.

    >>> import cellprism as cp
    >>> from cellprism.steering.settings import ContrastSettings
    >>> model = cp.load_model("pbmc2")
    >>> cells = cp.read_cells("bundled:pbmc68k", model=model)
    >>> types = cells.obs["cell_type"]
    >>> some = [name for kind in ("CD19+ B", "CD14+ Monocyte") for name in cells.obs_names[types == kind][:17]]
    >>> cells = cells[some].copy()[:, ::15].copy()
    >>> sae = cp.train_sae(model, cells, layer=1, config=cp.SaeConfig(k=4, n_features=64, epochs=1))
    >>> quick = ContrastSettings(penalties=2, iterations=1, train_cells=3, max_cells=17, n_genes=10, null_replicates=2,
    ...                          random_edits=3, resamples=20)
    >>> path = cp.contrast(model, sae, cells, 1, "CD19+ B", "CD14+ Monocyte", settings=quick, named=())
    >>> sorted(path.path.columns)[:2]
    ['chosen', 'evaluations']
    """
    _check_objective(objective, model)
    read = read_contrast_cells(
        model,
        sae,
        adata,
        layer,
        source,
        target,
        label=label,
        split=split,
        settings=settings,
        seed=seed,
        memory=memory,
        force=force,
    )
    return contrast_read(read, objective, named)


def contrast_read(
    read: ContrastCells,
    objective: str,
    named: Sequence[str] = ("CD8A", "CD8B"),
    permuted: Recipes | None = None,
) -> ContrastResult:
    """``contrast`` of cells that are read already, for one objective; ``permuted`` as ``trials.try_edits``.

    Raises:
        ConfigError: there is no such objective.
        ModelError: an expression objective for a model that predicts no amounts.
    """
    cache, parts, settings, seed = read.cache, read.parts, read.settings, read.seed
    _check_objective(objective, cache.model)
    found = search(cache, parts, objective, settings, seed)
    columns = cache.genes.get_indexer(pd.Index([gene for gene in named if gene in cache.genes], dtype=object))
    test = TestCells(cache, parts, measure(cache, parts.test, parts.validation, settings.n_genes), columns)
    after = cache.predict(test.rows, found.strengths)
    trials = try_edits(test, found, after, settings, seed, permuted)
    base, sampling = test.base, (settings.resamples, seed)
    genes = gene_table(base, cache.genes, test.before, after, test.target, observed_gap(cache, parts))
    scores = score_summary(base, trials, test.before, after, test.target, *sampling)
    movers = named_summary(named, genes, trials, settings.moved_at, *sampling)
    return ContrastResult(
        strengths=_moved(found.strengths),
        path=found.table(),
        genes=genes.loc[(genes["weight"] > 0) | genes["gene"].isin(list(named))].reset_index(drop=True),
        cells=cell_table(base, read.cells.obs_names[test.rows], test.before, after),
        recipe=_recipe_table(cache, parts, found.strengths),
        trials=trial_table(trials, cache.genes[columns]),
        summary={"objective": objective, **read.origin, **_recipe_summary(cache, parts, found)}
        | _gap_summary(cache, parts, base, sampling)
        | {"scores": scores, "named": movers},
    )


def _check_objective(objective: str, model: CellModel) -> None:
    """An objective must exist and mean something to the model."""
    if objective not in OBJECTIVES:
        raise ConfigError(f"objective is {objective!r}; expected one of {list(OBJECTIVES)}")
    if objective.removesuffix(BY_CELL) == "expression" and (why := lacks_expression(model)):
        raise ModelError(why)


def _moved(strengths: Float[Tensor, " feature"]) -> dict[int, float]:
    order = (strengths - 1).abs().argsort(descending=True, stable=True)
    return {int(f): float(strengths[f]) for f in order if strengths[f] != 1}


def _recipe_table(cache: SiteCache, parts: CellSplit, strengths: Float[Tensor, " feature"]) -> pd.DataFrame:
    """Columns as in ``ContrastResult.recipe``; firing rates and edit sizes over training source cells."""
    firing, squared_norm = firing_and_edit_norms(cache, parts.train.source)
    recipe = _moved(strengths)
    features = np.array(list(recipe), dtype=int)
    values = np.array(list(recipe.values()), dtype=float)
    squared = squared_norm[features] * (values - 1) ** 2
    shares = share(squared, squared.sum(), 0.0)
    return pd.DataFrame(
        {"feature": features, "strength": values, "firing_rate": firing[features], "edit_share": shares}
    )


def _recipe_summary(cache: SiteCache, parts: CellSplit, found: Search) -> dict[str, Any]:
    """How large the recipe is, in features and in units of the residual stream."""
    edit, residual = edit_norms(cache, parts.test.source, found.strengths)
    return {
        "lambda": found.penalty,
        "n_features_considered": found.n_considered,
        "recipe_sizes": recipe_sizes(found.strengths),
        "edit_ratio": plain(float(share(edit, residual, 0.0))),
        "validation_loss": found.validation[found.chosen],
    }


def _gap_summary(cache: SiteCache, parts: CellSplit, base: BaselineValues, sampling: tuple[int, int]) -> dict[str, Any]:
    """Whether predicted gaps follow the observed ones on test cells, where the model is read and where it sees."""
    used, rows = np.flatnonzero(base.weight), (parts.test.source, parts.test.target)
    observed = [cache.observed[cells][:, used].toarray() for cells in rows]

    def agreement(predicted: Float[np.ndarray, "cell gene"] | None) -> dict[str, Any] | None:
        if predicted is None or not used.size:
            return None
        one, two = (TypeValues(predicted[cells][:, used], o) for cells, o in zip(rows, observed, strict=True))
        return gap_agreement(one, two, *sampling)

    return {"gaps": agreement(cache.baseline.values), "gaps_direct": agreement(cache.baseline.direct)}


def observed_gap(cache: SiteCache, parts: CellSplit) -> Float[np.ndarray, " gene"]:
    """Difference, target minus source, of the test cells' own mean log1p counts per ten thousand."""
    sides = (parts.test.target, parts.test.source)
    means = [np.asarray(cache.observed[rows].mean(axis=0)).ravel() for rows in sides]
    return means[0] - means[1]
