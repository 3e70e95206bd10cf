"""What turning a feature up and down does to predicted genes, dose by dose, and what random edits do.

Notable choices

- Doses are measured from 1, where nothing happens, and compared in mirror pairs around it: 1 + d against 1 -
  d.
- A feature is judged on its program's genes minus other genes with the same predicted expression, so that
  "highly expressed genes respond" cannot pass for an effect of the feature.
- A feature that is strong where its genes are low is expected to lower them: its responses, and those of its controls
  each for itself, are counted in the direction that they stand for.
- Effects are on what the model predicts of genes (``model_output``): expression, or the logit of each gene's own
  token, over the cells that express it. Genes that too few of the cells express are left out.
- Genes are read where the model was trained (``reading``). Where that is at hidden genes, an effect on a feature's
  own genes came from other tokens; what the edit does to their own tokens stands apart as ``direct``.
- Elsewhere a feature is edited where it fires, at its own genes, and an effect on these is partly built in. Hence the
  same statistic on genes of the program that are not among the feature's own, where the caller names them, and genes
  whose own token is edited are told apart from genes that feel the edit only through other tokens. And the response is
  read once more with the tokens of all compared genes left as they are: what is *propagated* to them.
- All visible tokens of present genes are open to the edit; a feature changes those at which it fires. A model that
  reads a cell as a whole has no token of a gene: all its genes feel the edit through the cell's one vector.
- Only cells in which a feature fires are edited and read, and there must be some of them.
- The effect is ranked among those of features that nobody trained and that were chosen as this one was, and of lists of
  other features (``dose_nulls``). No test over cells: the model is deterministic. A feature that moves no gene by as
  much as counts has nothing to be ranked.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Int

from cellprism.errors import ConfigError, ModelError
from cellprism.features.origin import forced_past
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import DoseCells, Types, read_dose_cells
from cellprism.steering.dose_nulls import Beside, acts_directly, feature_mirror, null_table
from cellprism.steering.dose_tables import (
    dose_table,
    effect_table,
    feature_summary,
    gene_table,
    moved_terms,
    no_effect,
    type_table,
)
from cellprism.steering.dose_work import Each, Sweeping, Turn, one_by_one, turn
from cellprism.steering.edits import strength_vector
from cellprism.steering.intervene import check_steerable
from cellprism.steering.model_output import lacks_genes
from cellprism.steering.nulls import plain
from cellprism.steering.plausible import RealCells, plausible_range
from cellprism.steering.response import Effect, GeneGroup, Sweep, positions_of
from cellprism.steering.settings import LEAST_CELLS, DoseSettings
from cellprism.steering.site_cache import MEMORY
from cellprism.types import CellModel

NO_EFFECT = "no effect possible"
FEW_CELLS = f"it fires in fewer than {LEAST_CELLS} of these cells"
NO_GENES = "too few of these cells express its genes"


@dataclass(frozen=True)
class DoseResult:
    """What a sweep found. The tables are ready for parquet, ``summary`` for JSON."""

    effects: pd.DataFrame
    """feature, alpha, gene, effect (mean change of ``output_kind`` over the cells that express the gene), direct (the
    same read where the model sees the gene), rises and falls (shares of these cells in which the gene changes by more
    than ``least_effect``), baseline, on_target, held_out, edited (share of these cells in which the gene's own token is
    edited where it is seen)."""
    doses: pd.DataFrame
    """feature, alpha, on_target, off_target (means over the program's and the matched genes), response (their
    difference), direct (that difference, read where the model sees the genes), held_out (the response of the held-out
    genes), edit_ratio (edit norm over residual norm), percentile and misfit (how far out of the real cells, see
    ``plausible.Strain``)."""
    types: pd.DataFrame
    """feature, alpha, cell_type, cells (of the type, in which the feature fires), on_target, off_target and response,
    as in ``doses``, over these cells; all cells are of one type without a name where none are known."""
    genes: pd.DataFrame
    """Of the cells without any edit, one row a gene: gene, cells (that express it), counts (mean log1p counts per ten
    thousand over these), read (what the model says where it is read) and seen (the same where it sees the gene)."""
    nulls: pd.DataFrame
    """See ``dose_nulls.null_table``."""
    terms: pd.DataFrame
    """feature, alpha, direction (up, down), genes (how many moved, at most ``top_genes``), and the columns of
    ``over_representation`` from term on; empty without a collection."""
    summary: list[dict[str, Any]]
    """One entry per feature; ``status`` is ``judged`` (see ``dose_tables.feature_summary``; ``plausible``: the lowest
    and the highest strength at which cells still look like cells), ``no effect
    possible`` where it fires in none of the cells, or that it fires in too few, or that too few express its genes;
    ``forced`` what was gone past by ``force``."""
    output_kind: str
    """What the predicted values are, see ``model_output``."""
    read: str
    """Where genes were read: ``hidden`` or ``visible``."""
    passes: int
    """Passes of each cell through the model for one edit."""


def dose_sweep(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    programs: Mapping[int, Sequence[str]],
    *,
    held_out: Mapping[int, Sequence[str]] | None = None,
    low: Collection[int] = (),
    groups: Mapping[int, Bool[np.ndarray, " cell"]] | None = None,
    beside: Callable[[Sequence[int]], Beside] | None = None,
    collection: Mapping[str, Iterable[str]] | None = None,
    background: Collection[str] | None = None,
    settings: DoseSettings | None = None,
    memory: int = MEMORY,
    force: bool = False,
    each: Each = one_by_one,
) -> DoseResult:
    """Turn chosen features up and down in some cells and read every gene.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them; a few hundred are enough.
        layer: block whose output is edited, from 0.
        programs: the features to sweep, each with its own genes (its gene set).
        held_out: per feature, genes of the program that it stands for which are not among its own.
        low: the features that are strong where their genes are low (``enrich.signs``).
        groups: per feature, the cells (a mask) whose mean residual, against all others, is the competing
            direction.
        beside: asked, of the features that move genes at all, what they may stand beside; nothing where None.
        collection: terms to look up for the genes moved most; none where None.
        background: genes that may be among the genes moved most, and the background of their terms; all where None.
        settings: doses and sampling; the defaults where None.
        memory: bytes of residuals and codes that may be kept; the blocks before the site run again for each edit where
            those of all cells take more.
        force: use an autoencoder that was trained on another model, layer or order of genes.
        each: makes the pieces of the sweep (``dose_work``); here, one after the other, unless said otherwise.

    Cost: for each edit one pass over the cells in which the feature fires, ``reading.FOLDS`` passes where genes are
    read hidden; two edits a control; each dictionary reads the cells twice, without the model.

    Raises:
        ConfigError: a feature does not exist, or none of its genes is among the cells'.
        ModelError: no such layer, an autoencoder of another width, trained on something else or a transcoder, or a
            model that says nothing of genes.
    """
    settings = settings or DoseSettings()
    check_steerable(model, sae, layer, force)
    forced = forced_past(model, sae, layer)
    strength_vector(sae, dict.fromkeys(programs, 1.0))
    if why := lacks_genes(model):
        raise ModelError(why)
    own = {f: positions_of(genes, adata.var_names, f"programs[{f}]") for f, genes in programs.items()}
    held = {f: positions_of(genes, adata.var_names, f"held_out[{f}]") for f, genes in (held_out or {}).items() if genes}
    for f in held:
        if np.intersect1d(own[f], held[f]).size:
            raise ConfigError(f"held_out[{f}] shares genes with programs[{f}]; hold out genes that are not its own")
    dose_cells = read_dose_cells(
        model, sae, adata, layer, settings.batch_size, list(programs), memory, settings.read
    )  # fmt: skip
    types = Types.among(adata)
    sweeping = Sweeping(dose_cells, types, settings, dictionary=lambda number: found.dictionaries[number])
    genes, at = dose_cells.cache.genes, settings.judged_at
    place = genes.get_indexer(adata.var_names)
    entries: dict[int, dict[str, Any]] = {}
    judged: dict[int, tuple[Int[np.ndarray, " some"], Int[np.ndarray, " others"]]] = {}
    for feature in programs:
        its_own, others = (np.sort(p[p >= 0]) for p in (place[own[feature]], place[held.get(feature, [])]))
        if why := _unfit(dose_cells, feature, its_own):
            entries[feature] = {
                "feature": feature, "status": why, "firing_rate": float(dose_cells.firing[feature]),
                "cells_firing": int(dose_cells.rows(feature).size),
            }  # fmt: skip
        else:
            judged[feature] = (its_own, others)
    sweeps = _sweeps(sweeping, judged, low, each)
    moving = [sweep for sweep in sweeps if not no_effect(sweep, at, settings.least_effect)]
    found = beside([sweep.feature for sweep in moving]) if beside and moving else Beside()
    nulls = null_table(sweeping, moving, found, groups or {}, each)
    real = RealCells(dose_cells)
    strains = {sweep.feature: real.strain(sweep.feature, settings.strengths) for sweep in sweeps}
    for sweep in sweeps:
        drawn = nulls.query("feature == @sweep.feature") if len(nulls) else nulls
        entry = feature_summary(dose_cells, sweep, drawn, at, settings.least_effect)
        if acts_directly(dose_cells, sweep) and not entry["no_effect"]:
            mirror = feature_mirror(dose_cells, sweep.feature, at, sweep.own.genes, True)
            entry["propagated"] = {"value": plain(sweep.direction * mirror.response(sweep.own))}
        entries[sweep.feature] = {**entry, "plausible": list(plausible_range(strains[sweep.feature]))}
    return DoseResult(
        effects=_stacked(effect_table(dose_cells, sweep, genes) for sweep in sweeps),
        doses=_stacked(dose_table(dose_cells, sweep, strains[sweep.feature]) for sweep in sweeps),
        types=_stacked(type_table(dose_cells, sweep, types) for sweep in sweeps),
        genes=gene_table(dose_cells.cache) if sweeps else pd.DataFrame(),
        nulls=nulls,
        terms=_stacked(
            moved_terms(dose_cells.cache, sweep, collection, background, (groups or {}).get(sweep.feature), settings)
            for sweep in sweeps
            if collection is not None
        ),
        summary=[{**entries[feature], "forced": forced} for feature in programs],
        output_kind=model.predicts,
        read=dose_cells.cache.read,
        passes=dose_cells.cache.folds,
    )


def _unfit(dose_cells: DoseCells, feature: int, own: Int[np.ndarray, " some"]) -> str:
    """Why a feature cannot be judged on these cells; empty where it can."""
    cells = dose_cells.rows(feature).size
    if cells < LEAST_CELLS:
        return FEW_CELLS if cells else NO_EFFECT
    return "" if own.size else NO_GENES


def _sweeps(
    sweeping: Sweeping,
    judged: Mapping[int, tuple[Int[np.ndarray, " some"], Int[np.ndarray, " others"]]],
    low: Collection[int],
    each: Each,
) -> list[Sweep]:
    """Effects of some features at every strength, and their genes, own and held out, with their matches."""
    dose_cells, settings = sweeping.dose_cells, sweeping.settings
    level, per_gene = dose_cells.level, settings.matched_genes
    turns = [Turn(feature, strength) for feature in judged for strength in settings.strengths if strength != 1]
    effects = {task: Effect(**found) for task, found in zip(turns, each(sweeping, turn, turns), strict=True)}
    still, sweeps = Effect.still(len(level), len(sweeping.types.names)), []
    for feature, (own, other) in judged.items():
        known = np.union1d(own, other)
        sweeps.append(Sweep(
            feature,
            -1 if feature in low else 1,
            np.array(settings.strengths),
            [effects.get(Turn(feature, strength), still) for strength in settings.strengths],
            GeneGroup.of(own, known, level, per_gene),
            GeneGroup.of(other, known, level, per_gene) if other.size else None,
            level,
        ))  # fmt: skip
    return sweeps


def _stacked(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    parts = list(tables)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
