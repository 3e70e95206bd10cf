"""What one feature causes, where every feature was screened."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.report.frames import where
from cellprism.studies.screen.tables import CARDS, Screen


def facts(found: Screen, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """Its effect and reach, its own genes beside controls, the strengths at which cells look like cells."""
    if found.cards is None:
        return []
    mine = where(found.cards, found.cards["feature"] == feature)
    at = f"screen/{CARDS}"
    if mine.empty:
        return [Fact("screened", False, at, "it fires in too few of the cells that were screened")]
    row = mine.iloc[0]
    said = [
        Fact("effect", number(row["effect"]), at, "root mean square over genes of the change per unit of edit"),
        Fact("genes that move at strength 5", int(row["reach"]), at),
        Fact(
            "change of its own genes against others as high, at strength 5", number(row["response"]), at,
            f"features beside it {row['control_low']:.2g} to {row['control_high']:.2g}; p = {row['p']:.2g}, q = "
            f"{row['q']:.2g}",
        ),
        Fact(
            "share of its changes on its own genes", number(row["specificity"]), at,
            f"if all genes changed alike {row['specificity_expected']:.2g}",
        ),
        Fact("does as it is described", str(row["quadrant"]), at),
    ]  # fmt: skip
    if row["passed"]:
        low, high = number(row["plausible_low"]), number(row["plausible_high"])
        said.append(Fact("strengths at which cells look like cells", [low, high], at, "from exact passes"))
    return said


def number(value: Any) -> float | None:
    """A number, or nothing where it is none."""
    return None if np.isnan(value) else float(value)
