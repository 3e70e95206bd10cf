"""The made-up run's ladder: features exceed all fair controls by one rule, neurons match more often by the other."""

import numpy as np

from cellprism.studies.ladder.compare import result_of
from cellprism.studies.ladder.labels import unfair
from cellprism.studies.ladder.ratios import EDGES
from cellprism.studies.ladder.score import Matched
from cellprism.studies.ladder.tables import Absent, Information, Informed, Ladder, Ratios, RuleResult, Rung
from cellprism.studies.programs.over_seeds import excess_of

OURS = [0.61, 0.60, 0.63, 0.62, 0.59]
LISTS = {str(i): ("A",) * 20 for i in range(541)}


def ladder() -> Ladder:
    """Two rules; a model without blocks to draw anew; the null has as informative programs as the features."""
    controls = {"uniform": 0.01, "popularity": 0.41, "matched": 0.45, "coexpression": 0.66, "untrained": 0.34}
    by_cell = {"popularity": 0.2, "coexpression": 0.31, "nmf": 0.42}
    ratios = [
        Ratios("features", np.bincount(np.arange(127) % 17 + 9, minlength=36).tolist(), 28.7),
        Ratios("untrained", np.bincount(np.arange(127) % 11 + 5, minlength=36).tolist(), 12.7),
    ]
    edges = np.linspace(0, 5.3, 25).tolist()
    counts = [float(i % 5) for i in range(24)]
    information = Information(
        edges, [Informed("features", counts, 0.61, 4.3), Informed("neurons", counts, 0.77, 4.1),
                         Informed("popularity", counts, 0.04, 4.7)],
        128, 0.68, (0.64, 0.72), 1e-7, 0.69, (0.6, 0.8), 99,
    )  # fmt: skip
    return Ladder(
        [3, 4, 5, 6, 7], 331, 127, "blood", 73, 211, "all-terms", 0.05, 199, "",
        [_rule("top20", controls | {"neurons": 0.77}, ["embedding"]), _rule("correlation", by_cell, [])],
        [Absent("random_blocks", "'mini' cannot draw its blocks alone anew (it has no with_random_blocks)")],
        ["maximum"], EDGES, ratios, information,
    )  # fmt: skip


def _rule(name: str, controls: dict[str, float], missing: list[str]) -> RuleResult:
    matched = [Matched(rate, np.array([3, 0, 1]), 541, np.array([np.nan])) for rate in OURS]
    rungs = [_rung(rung, rate, unfair(rung, name, False)) for rung, rate in controls.items()]
    return result_of(name, matched, LISTS, rungs, missing)


def _rung(name: str, rate: float, why: str) -> Rung:
    drawn = name in ("uniform", "popularity", "matched", "coexpression")
    shift = np.zeros(5) if name == "neurons" else np.array([0.0, 0.01, -0.01, 0.02, -0.02])
    found = excess_of(name, OURS, rate + shift, 541, *((0.01, 199) if drawn else ()))
    spread = None if name == "neurons" else (rate - 0.03, rate + 0.03)
    return Rung(name, found, spread, 128 if name == "neurons" else 541, 17.0, 43.0, why)
