"""Tables and headline of a dose sweep."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.stats import false_discovery_control

from cellprism.enrich.differential import differential
from cellprism.enrich.over_representation import over_representation
from cellprism.equations.effects import LEVEL, dose_slope, linear_share, monotonicity
from cellprism.ontology.collection import record_of
from cellprism.steering.dose_cells import DoseCells, Types
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.nulls import plain
from cellprism.steering.plausible import Strain
from cellprism.steering.response import Sweep, moves_surely, top_moved
from cellprism.steering.settings import BONFERRONI, DIFFERENCE, DoseSettings
from cellprism.steering.site_cache import SiteCache


def effect_table(dose_cells: DoseCells, sweep: Sweep, genes: pd.Index) -> pd.DataFrame:
    """Columns as in ``DoseResult.effects``."""
    edited = dose_cells.edited[sweep.feature]
    place = np.arange(genes.size)
    held = sweep.held_out.chosen if sweep.held_out else []
    parts = [
        pd.DataFrame(
            {
                "feature": sweep.feature,
                "alpha": strength,
                "gene": genes.astype(str),
                "effect": effect.read,
                "direct": effect.direct,
                "rises": effect.rises,
                "falls": effect.falls,
                "baseline": dose_cells.level,
                "on_target": np.isin(place, sweep.own.chosen),
                "held_out": np.isin(place, held),
                "edited": edited,
            }
        )
        for strength, effect in zip(sweep.strengths.tolist(), sweep.by_dose, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def dose_table(dose_cells: DoseCells, sweep: Sweep, strains: Sequence[Strain]) -> pd.DataFrame:
    """Columns as in ``DoseResult.doses``."""
    return pd.DataFrame(
        {
            "feature": sweep.feature,
            "alpha": sweep.strengths,
            "on_target": sweep.effects[:, sweep.own.chosen].mean(axis=1),
            "off_target": sweep.effects[:, sweep.own.matched].mean(axis=1),
            "response": sweep.responses(sweep.own),
            "direct": [sweep.own.response(effect.direct) for effect in sweep.by_dose],
            "held_out": sweep.responses(sweep.held_out) if sweep.held_out else np.nan,
            "edit_ratio": [strain.edit_ratio for strain in strains],
            "percentile": [strain.percentile for strain in strains],
            "misfit": [strain.misfit for strain in strains],
        }
    )


def type_table(dose_cells: DoseCells, sweep: Sweep, types: Types) -> pd.DataFrame:
    """Columns as in ``DoseResult.types``."""
    fires = np.bincount(types.of_cells[dose_cells.rows(sweep.feature)], minlength=len(types.names))
    rows = []
    for strength, effect in zip(sweep.strengths.tolist(), sweep.by_dose, strict=True):
        for number in np.flatnonzero(fires):
            change = effect.by_type[number]
            on, off = (_mean(change[some]) for some in (sweep.own.chosen, sweep.own.matched))
            rows.append((sweep.feature, strength, types.names[number], int(fires[number]), on, off, on - off))
    names = ["feature", "alpha", "cell_type", "cells", "on_target", "off_target", "response"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def _mean(values: Float[np.ndarray, " some"]) -> float:
    """Of those that there are; NaN of none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan


def gene_table(cache: SiteCache) -> pd.DataFrame:
    """Columns as in ``DoseResult.genes``."""
    said, seen = cache.baseline.values, cache.baseline.direct
    there = ~np.isnan(said)
    cells = there.sum(axis=0)
    counts = np.asarray(cache.observed.multiply(there).sum(axis=0)).ravel() / np.maximum(cells, 1)
    return pd.DataFrame({
        "gene": cache.genes.astype(str), "cells": cells, "counts": counts, "read": expressing_mean(said),
        "seen": expressing_mean(said if seen is None else seen),
    })  # fmt: skip


def moved_terms(
    cache: SiteCache,
    sweep: Sweep,
    collection: Mapping[str, Iterable[str]],
    background: Collection[str] | None,
    group: Bool[np.ndarray, " cell"] | None,
    settings: DoseSettings,
) -> pd.DataFrame:
    """Programs of the genes that rose and of those that fell most, at 1 + d and 1 - d; columns as in
    ``DoseResult.terms``.

    The two signs are never mixed, and a list may be short: genes moved by less than ``least_effect`` do not fill it
    up.

    Args:
        cache: the cells.
        sweep: the feature's effects.
        collection: the terms.
        background: genes that may be listed; all where None.
        group: cells of the type in which the feature stands out.
        settings: which genes are listed, and how many.
    """
    genes = cache.genes
    known = np.ones(len(genes), dtype=bool) if background is None else np.asarray(genes.isin(list(background)))
    allowed = known & _differ(cache, group) if settings.differential else known
    lists = {}
    for strength in (1 + settings.judged_at, 1 - settings.judged_at):
        effect = sweep.at(strength)
        own = allowed & moves_surely(effect, LEVEL) if settings.lists == BONFERRONI else allowed
        for direction, sign in (("up", 1), ("down", -1)):
            lists[f"{strength:g} {direction}"] = top_moved(
                effect.read, genes, sign, settings.top_genes, settings.least_effect, own
            )
    lists = {name: members for name, members in lists.items() if members}
    table = over_representation(lists, collection, genes[known], background_name="genes that may be listed")
    names = [str(name).split(" ") for name in table["feature"]]
    head = pd.DataFrame(
        {
            "feature": np.full(len(table), sweep.feature),
            "alpha": np.array([name[0] for name in names], dtype=float),
            "direction": pd.Series([name[1] for name in names], dtype="str"),
            "genes": np.array([len(lists[" ".join(name)]) for name in names], dtype=int),
        }
    )
    found = pd.concat([head, table.drop(columns="feature").reset_index(drop=True)], axis=1)
    found.attrs["cellprism"] = {"gene_sets": record_of(collection)}
    return found


def _differ(cache: SiteCache, group: Bool[np.ndarray, " cell"] | None) -> Bool[np.ndarray, " gene"]:
    """Genes whose counts differ between some cells and all others; none where there is no group."""
    if group is None:
        return np.zeros(len(cache.genes), dtype=bool)
    return false_discovery_control(differential(cache.observed, group[:, None]).p[0]) <= LEVEL


def feature_summary(
    dose_cells: DoseCells, sweep: Sweep, nulls: pd.DataFrame, distance: float, least: float
) -> dict[str, Any]:
    """Headline of one feature, as plain JSON.

    ``response`` and ``held_out``: half of the response at 1 + d minus that at 1 - d, times ``direction`` (-1 for a
    feature that is strong where its genes are low), each with that of the difference_of_means; the draws of chance are
    in ``nulls``. ``direct`` is the same response read where the model sees
    the genes. ``antisymmetry`` of the own genes and their matches: 1 means exact mirror images. ``largest_effect``: of
    any gene at 1 + d or 1 - d; ``no_effect`` says so where it is below ``least``, else it is empty. ``slope`` per unit
    of strength, ``monotonicity`` (Spearman) and ``linear_share`` over all strengths. ``effect_edited`` and
    ``effect_elsewhere``: mean absolute effect at 1 + d on genes whose own token is edited in some row, and on the
    others (where genes are read hidden, never in the row in which they are read).
    """
    mirror = sweep.mirror(distance)
    edited = dose_cells.edited[sweep.feature]
    size = np.abs(mirror.up)
    response = sweep.responses(sweep.own)
    entry: dict[str, Any] = {
        "feature": sweep.feature,
        "status": "judged",
        "direction": sweep.direction,
        "judged_at": distance,
        "firing_rate": float(dose_cells.firing[sweep.feature]),
        "cells_firing": int(dose_cells.rows(sweep.feature).size),
        "cells": dose_cells.n_cells,
        "genes_own": int(sweep.own.chosen.size),
        "genes_held_out": int(sweep.held_out.chosen.size) if sweep.held_out else 0,
        "genes_edited": int((edited > 0).sum()),
        "edit_ratio": dose_cells.edit_ratio(sweep.feature, 1 + distance),
        "largest_effect": largest_effect(sweep, distance),
        "no_effect": no_effect(sweep, distance, least),
        "response": _beside(sweep.direction * mirror.response(sweep.own), nulls, "response"),
        "direct": plain(sweep.direction * sweep.direct_mirror(distance).response(sweep.own)),
        "antisymmetry": _beside(mirror.antisymmetry(sweep.own), nulls, "antisymmetry"),
        "slope": plain(dose_slope(sweep.strengths, response)),
        "monotonicity": plain(monotonicity(sweep.strengths, response)),
        "linear_share": plain(linear_share(sweep.strengths, sweep.effects, sweep.level)),
        "effect_edited": plain(size[edited > 0].mean() if (edited > 0).any() else np.nan),
        "effect_elsewhere": plain(size[edited == 0].mean() if (edited == 0).any() else np.nan),
    }
    if sweep.held_out:
        entry["held_out"] = _beside(sweep.direction * mirror.response(sweep.held_out), nulls, "held_out")
    return entry


def largest_effect(sweep: Sweep, distance: float) -> float:
    """The largest mean effect on any gene at 1 + d or 1 - d."""
    mirror = sweep.mirror(distance)
    return float(max(np.abs(mirror.up).max(), np.abs(mirror.down).max()))


def no_effect(sweep: Sweep, distance: float, least: float) -> str:
    """That a feature moves nothing, in words; empty where some gene moves by ``least``."""
    largest = largest_effect(sweep, distance)
    return "" if largest >= least else f"no effect possible: it moves no gene by {least:g}, the most by {largest:.1g}"


def _beside(value: float, nulls: pd.DataFrame, column: str) -> dict[str, Any]:
    """A value and that of its competitor."""
    found = nulls.loc[nulls["kind"] == DIFFERENCE, column].to_numpy(dtype=float) if len(nulls) else np.empty(0)
    return {"value": plain(value), "difference_of_means": plain(found[0]) if found.size else None}
