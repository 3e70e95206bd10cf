"""Rows of the calibration table, and the table's own test: is anything called more often than it may be?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from calibration.world import ABOVE, BELOW, UNTOLD, World

LEVEL, DETECTED = 0.05, 0.8
SIDES = ("above", "below")


def rows_of(world: World, found: Mapping[float, Mapping[str, list[str]]], settings: str) -> list[dict[str, Any]]:
    """One row for each of a world's claims."""
    rows = []
    for key, claim in world.claims.items():
        null = found[0.0][key]
        n, called = len(null), {"above": null.count(ABOVE), "below": null.count(BELOW)}
        power = [_power(size, found[size][key]) for size in world.sizes]
        rows.append({
            "claim": claim, "world": world.name, "null": world.null, "replicates": n, "nominal": world.nominal,
            **called, **{f"rate_{side}": called[side] / n for side in SIDES}, "cannot_be_told": null.count(UNTOLD) / n,
            **{f"p_{side}": binomtest(called[side], n, world.nominal, alternative="greater").pvalue for side in SIDES},
            "planted": world.planted, "power": power, "detects": power[-1]["above"] >= DETECTED, "settings": settings,
        })  # fmt: skip
    return rows


def _power(size: float, verdicts: Sequence[str]) -> dict[str, float]:
    return {"size": size, "replicates": len(verdicts), "above": verdicts.count(ABOVE) / len(verdicts)}


def corrected(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with Holm's correction over all of them and both sides, and whether none is called too often."""
    if not rows:
        return []
    p = np.array([row[f"p_{side}"] for row in rows for side in SIDES])
    holm = multipletests(p, LEVEL, "holm")[1].reshape(len(rows), len(SIDES))
    return [
        {**row, "holm_above": float(above), "holm_below": float(below), "calibrated": bool(min(above, below) > LEVEL)}
        for row, (above, below) in zip(rows, holm, strict=True)
    ]


def shown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as text."""
    lines = [f"{'claim':<66} {'n':>5} {'above':>6} {'below':>6} {'Holm':>5}  called above at planted sizes"]
    for row in rows:
        power = ", ".join(f"{one['size']:g}: {one['above']:.0%}" for one in row["power"])
        said = "" if row["calibrated"] else "; CALLED TOO OFTEN"
        said += "" if row["detects"] else "; cannot detect"
        holm = min(row["holm_above"], row["holm_below"])
        rates = f"{row['replicates']:>5} {row['rate_above']:>6.1%} {row['rate_below']:>6.1%} {holm:>5.2f}"
        lines.append(f"{row['claim']:<66} {rates}  {power}{said}")
    return "\n".join(lines)
