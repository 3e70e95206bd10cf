"""Tables and headline of a dose sweep."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellprism.enrich.over_representation import over_representation
from cellprism.equations.effects import dose_slope, linear_share, monotonicity
from cellprism.ontology.collection import record_of
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.nulls import plain
from cellprism.steering.plausible import Strain
from cellprism.steering.response import Sweep, top_moved
from cellprism.steering.settings import DIFFERENCE


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
                "effect": effect,
                "direct": direct,
                "baseline": dose_cells.level,
                "on_target": np.isin(place, sweep.own.chosen),
                "held_out": np.isin(place, held),
                "edited": edited,
            }
        )
        for strength, effect, direct in zip(sweep.strengths.tolist(), sweep.effects, sweep.direct, strict=True)
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
            "direct": [sweep.own.response(effect) for effect in sweep.direct],
            "held_out": sweep.responses(sweep.held_out) if sweep.held_out else np.nan,
            "edit_ratio": [strain.edit_ratio for strain in strains],
            "percentile": [strain.percentile for strain in strains],
            "misfit": [strain.misfit for strain in strains],
        }
    )


def moved_terms(
    sweep: Sweep,
    genes: pd.Index,
    collection: Mapping[str, Iterable[str]],
    distance: float,
    count: int,
    least: float,
) -> pd.DataFrame:
    """Programs of the genes that rose and of those that fell most, at 1 + d and 1 - d; columns as in
    ``DoseResult.terms``.

    The two signs are never mixed, and a list may be short: genes moved by less than ``least`` do not fill it
    up.
    """
    lists = {
        f"{strength:g} {direction}": top_moved(sweep.at(strength), genes, sign, count, least)
        for strength in (1 + distance, 1 - distance)
        for direction, sign in (("up", 1), ("down", -1))
    }
    lists = {name: members for name, members in lists.items() if members}
    table = over_representation(lists, collection, genes, background_name="genes of the cells")
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
