"""The recipe aimed at: few features, half-way in both, no larger than the plain edit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cellprism.steering.nulls import plain
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.pareto.tables import Aimed, Condition

GAIN, HALF, VARIANCE = 0.6, 0.5, 0.9


def aimed_at(rows: pd.DataFrame, places: Mapping[str, int], settings: ParetoSettings) -> Aimed:
    """What is asked of one recipe, and whether the one chosen for both meets it on test cells."""
    most = {
        kind: float(rows[f"{kind}_gain"].iloc[places[kind]]) for kind in ("latent", "expression")
    }  # what a recipe for it alone gains
    every = [_conditions(row, most, settings) for _, row in rows.iterrows()]
    meet = sum(all(one.met is not False for one in some) for some in every)
    return Aimed(every[places["both"]], meet, len(rows))


def _conditions(row: Any, most: Mapping[str, float], settings: ParetoSettings) -> list[Condition]:
    found = [
        Condition("features", float(row["features"]), float(settings.most), True, ".0f"),
        Condition("norm over that of the difference of means per gene", plain(row["norm"]), 1.0, True, ".2f"),
    ]
    for kind, words in (("latent", "the inner state"), ("expression", "expression")):
        gain = row[f"{kind}_gain"] / most[kind] if most[kind] > 0 else 0.0  # no recipe gains, so none has a share
        found.append(Condition(f"gain in {words}, over that of a recipe for it alone", plain(gain), GAIN, False, ".2f"))
    for gene in settings.named:
        way = row.get(f"way of {gene}", np.nan)
        found.append(Condition(f"way of {gene}", plain(way), HALF, False, ".2f"))
    found.append(Condition("variance kept", plain(row["variance_kept"]), VARIANCE, False, ".2f"))
    if settings.judge:
        found.append(
            Condition(
                "way of the outside judge", plain(row.get("way of the outside judge", np.nan)), HALF, False, ".2f"
            )
        )
    return found
