"""Tables and headline of a dose sweep."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cellprism.enrich.over_representation import over_representation
from cellprism.equations.effects import dose_slope, linear_share, monotonicity
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.dose_nulls import DIFFERENCE, RANDOM_DIRECTION, RANDOM_FEATURE
from cellprism.steering.nulls import null_summary, plain
from cellprism.steering.response import Sweep, top_moved


def effect_table(dose_cells: DoseCells, sweep: Sweep, genes: pd.Index) -> pd.DataFrame:
    """Columns as in ``DoseResult.effects``."""
    edited = dose_cells.edited_share(sweep.feature)
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


def dose_table(dose_cells: DoseCells, sweep: Sweep) -> pd.DataFrame:
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
            "edit_ratio": [dose_cells.edit_ratio(sweep.feature, strength) for strength in sweep.strengths],
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
    return pd.concat([head, table.drop(columns="feature").reset_index(drop=True)], axis=1)


def feature_summary(dose_cells: DoseCells, sweep: Sweep, nulls: pd.DataFrame, distance: float) -> dict[str, Any]:
    """Headline of one feature, as plain JSON.

    ``response`` and ``held_out``: half of the response at 1 + d minus that at 1 - d, each beside
    random_feature, random_direction (mean, low, high, p, n) and difference_of_means; ``its_own`` is what
    random features do to their own strongest genes; ``direct`` is the same response read where the model sees
    the genes. Their p compare sizes, since a feature may lower its
    genes. ``antisymmetry``: 1 means exact mirror images, beside the same of random edits. ``slope`` per unit
    of strength, ``monotonicity`` (Spearman) and ``linear_share`` over all strengths. ``effect_edited`` and
    ``effect_elsewhere``: mean absolute effect at 1 + d on genes whose own token is edited in some row, and
    on the others (where genes are read hidden, never in the row in which they are read).
    """
    mirror = sweep.mirror(distance)
    edited = dose_cells.edited_share(sweep.feature)
    size = np.abs(mirror.up)
    response = sweep.responses(sweep.own)
    entry: dict[str, Any] = {
        "feature": sweep.feature,
        "status": "judged",
        "judged_at": distance,
        "firing_rate": float(dose_cells.firing[sweep.feature]),
        "cells_firing": int(dose_cells.rows(sweep.feature).size),
        "cells": dose_cells.n_cells,
        "genes_own": int(sweep.own.chosen.size),
        "genes_held_out": int(sweep.held_out.chosen.size) if sweep.held_out else 0,
        "genes_edited": int((edited > 0).sum()),
        "edit_ratio": dose_cells.edit_ratio(sweep.feature, 1 + distance),
        "response": _beside(mirror.response(sweep.own), nulls, "response", two_sided=True),
        "direct": plain(sweep.direct_mirror(distance).response(sweep.own)),
        "antisymmetry": _beside(mirror.antisymmetry(), nulls, "antisymmetry"),
        "slope": plain(dose_slope(sweep.strengths, response)),
        "monotonicity": plain(monotonicity(sweep.strengths, response)),
        "linear_share": plain(linear_share(sweep.strengths, sweep.effects)),
        "effect_edited": plain(size[edited > 0].mean() if (edited > 0).any() else np.nan),
        "effect_elsewhere": plain(size[edited == 0].mean() if (edited == 0).any() else np.nan),
    }
    its_own = nulls.loc[nulls["kind"] == RANDOM_FEATURE, "its_own"].to_numpy(dtype=float)
    entry["response"]["its_own"] = null_summary(mirror.response(sweep.own), its_own, two_sided=True)
    if sweep.held_out:
        entry["held_out"] = _beside(mirror.response(sweep.held_out), nulls, "held_out", two_sided=True)
    return entry


def _beside(value: float, nulls: pd.DataFrame, column: str, two_sided: bool = False) -> dict[str, Any]:
    """A value, its two nulls and its competitor."""
    drawn = {kind: nulls.loc[nulls["kind"] == kind, column].to_numpy(dtype=float) for kind in nulls["kind"].unique()}
    none = np.empty(0)
    competitor = drawn.get(DIFFERENCE, none)
    return {
        "value": plain(value),
        "random_feature": null_summary(value, drawn.get(RANDOM_FEATURE, none), two_sided),
        "random_direction": null_summary(value, drawn.get(RANDOM_DIRECTION, none), two_sided),
        "difference_of_means": plain(competitor[0]) if competitor.size else None,
    }
