"""The claims of the published simulation, each confirmed or not, from the rows of the grid and from nothing else.

Notable choices

- The unit is one dense network: seeds of a sparse autoencoder on the same latents depend on each other, and are
  averaged. Intervals are t intervals over networks. Where there is one network alone, as in the small simulation and
  on leaderboards, the unit is the seed, and what is said holds for that network.
- A claim is confirmed where the interval lies above 0, refuted where it lies below, and else not told apart.
- Recovery under superposition is a difference to the best dictionary without training: that a linear probe reads a
  variable says that it is there, and what random directions find as well is no merit of training. The network's own
  axes are too few for a one-to-one match; the one that follows each variable best may serve several.
- Distances mix numbers, switches and categories; activities alone are compared as well.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

METHOD = "topk"
CONTROLS = ("untrained", "covariance-matched", "sampled vectors")
NEAREST = "x2"
SELECTED = "best axis, told the answers"


def claims(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a measure of a claim: value, interval, the values of all units, and the verdict."""
    grid = {name: world for name, world in found.items() if in_grid(name, world)}
    if len(grid) < 2:
        return _boards(found)
    squeezed = {n: w for n, w in grid.items() if w["network"]["latent"] < w["hidden_columns"]}
    few = {n: w for n, w in grid.items() if w["network"]["latent"] < 100}
    return [
        _row("recovers variables in superposition", f"{NEAREST}, latent smaller than the 100 programs: match of "
             f"{METHOD} less that of the best untrained dictionary", [_excess(w, NEAREST) for w in few.values()]),
        _row("recovers variables in superposition", f"all variables, latent smaller than the {_columns(grid)} hidden "
             f"columns: score of {METHOD} less that of the best untrained dictionary",
             [_excess(w, None) for w in squeezed.values()]),
        _row("recovers variables in superposition", f"all variables: score of {METHOD} less that of the axis that "
             "follows each best, chosen with the answers",
             [_score(w, METHOD) - _score(w, SELECTED) for w in squeezed.values()]),
        *[_row("better near the data", f"{METHOD}: match at distance 1 less that at distance {far}",
               [_at(w, 1) - _at(w, far) for w in grid.values()]) for far in (2, 3, 4)],
        *[_row("better near the data", f"{METHOD}, like with like: match of {NEAREST} less that of {far}",
               [_score(w, METHOD, NEAREST) - _score(w, METHOD, far) for w in grid.values()]) for far in ("x1", "x0")],
        *_wide(grid),
        *_boards(found),
    ]  # fmt: skip


def _boards(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each architecture beside the best dictionary without training, seed by seed on one network."""
    rows = []
    for name, world in found.items():
        every = pd.DataFrame(world["rows"])
        each = every.groupby(["group", "method", "seed"])["matched"].mean()
        learned, drawn = each["architecture"].unstack("seed"), each["untrained"].unstack("seed").max()
        if len(learned) < 2:
            continue
        for method, scores in learned.iterrows():
            measure = f"{name}: score of {method} less that of the best untrained dictionary"
            rows.append(_row("an architecture beats no training", measure, (scores - drawn).tolist(), "seeds"))
    return rows


def in_grid(name: str, world: dict[str, Any]) -> bool:
    """The published large simulation at the grid's L0."""
    return name.startswith("large") and "L0" not in name


def _columns(grid: dict[str, Any]) -> int:
    return next(iter(grid.values()))["hidden_columns"]


def _wide(grid: dict[str, Any]) -> list[dict[str, Any]]:
    """Wide networks against narrow ones of the same latent and depth."""
    by_shape = {(w["network"]["latent"], w["network"]["depth"], w["network"]["wide"]): w for w in grid.values()}
    pairs = [(by_shape[a, b, False], w) for (a, b, wide), w in by_shape.items() if wide and (a, b, False) in by_shape]
    measures: list[tuple[str, Callable[[dict[str, Any]], float]]] = [
        (f"score of {METHOD}, all variables", lambda w: _score(w, METHOD)),
        (f"match of {METHOD} for {NEAREST}", lambda w: _score(w, METHOD, NEAREST)),
        (f"probe R^2 of {NEAREST}", lambda w: w["probe"][NEAREST]),
    ]
    return [
        _row("better when wide", f"{name}: wide less narrow", [of(wide) - of(narrow) for narrow, wide in pairs])
        for name, of in measures
        if len(pairs) > 1
    ]


def _score(world: dict[str, Any], method: str, variable: str | None = None) -> float:
    """Mean over seeds and variables of the match."""
    rows = pd.DataFrame(world["rows"])
    rows = rows[rows["method"] == method]
    return float((rows if variable is None else rows[rows["variable"] == variable])["matched"].mean())


def _excess(world: dict[str, Any], variable: str | None) -> float:
    return _score(world, METHOD, variable) - max(_score(world, control, variable) for control in CONTROLS)


def _at(world: dict[str, Any], distance: int) -> float:
    rows = pd.DataFrame(world["rows"]).query("method == @METHOD and distance == @distance")
    return float(rows["matched"].mean())


def _row(claim: str, measure: str, values: Sequence[float], unit: str = "networks") -> dict[str, Any]:
    """Mean over networks or seeds, 95 % t interval, verdict."""
    n, mean = len(values), float(np.mean(values)) if values else float("nan")
    half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5) if n > 1 else float("nan")
    low, high = mean - half, mean + half
    verdict = "confirmed" if low > 0 else "refuted" if high < 0 else "not told apart"
    return {
        "claim": claim, "measure": measure, "value": mean, "low": low, "high": high, "n": n, "unit": unit,
        "each": sorted(values), "verdict": verdict if n > 1 else f"too few {unit}",
    }  # fmt: skip


def shown(rows: list[dict[str, Any]]) -> str:
    """A line a claim."""
    return "\n".join(
        f"{row['claim']}: {row['verdict']}. {row['measure']}: {row['value']:.3f} "
        f"[{row['low']:.3f}, {row['high']:.3f}], {row['n']} {row['unit']}"
        for row in rows
    )
