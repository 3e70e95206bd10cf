"""The headline of a contrast: every value beside its interval and what chance gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellprism.equations.effects import gap_fraction
from cellprism.steer.judge import HIGHER_IS_BETTER, OTHER_SCORES, Yardstick, cell_interval, score_intervals
from cellprism.steer.nulls import null_summary, plain
from cellprism.steer.pool import Prediction
from cellprism.steer.rivals import (
    DIFFERENCE,
    DIFFERENCE_PER_GENE,
    RANDOM_DIRECTION,
    RANDOM_RECIPE,
    Trial,
)


def score_summary(
    trials: Sequence[Trial],
    matched: dict[str, float],
    shuffled: Sequence[dict[str, float]],
    intervals: dict[str, tuple[float, float]],
) -> dict[str, dict[str, Any]]:
    """Per score: value, low, high (95 % over test cells), one entry per null and one per competitor.

    A null has mean, low, high (95 % range), p and n; p is one-sided towards larger values and left out for
    scores of which neither direction is better. ``trials[0]`` is the recipe.
    """
    summary = {}
    for name in (*HIGHER_IS_BETTER, *OTHER_SCORES):
        value = trials[0].scores[name]
        low, high = intervals.get(name, (np.nan, np.nan))
        entry: dict[str, Any] = {"value": plain(value), "low": plain(low), "high": plain(high)}
        drawn = {
            "shuffled_labels": [scores[name] for scores in shuffled],
            "random_recipe": [t.scores[name] for t in trials if t.kind == RANDOM_RECIPE],
            "random_direction": [t.scores[name] for t in trials if t.kind == RANDOM_DIRECTION],
        }
        for null, values in drawn.items():
            observed = matched[name] if null == "shuffled_labels" else value
            entry[null] = null_summary(observed, np.array(values, dtype=float))
            if name in OTHER_SCORES:
                del entry[null]["p"]
        for key, kind in (
            ("difference_of_means", DIFFERENCE),
            ("difference_of_means_per_gene", DIFFERENCE_PER_GENE),
        ):
            entry[key] = next((plain(t.scores[name]) for t in trials if t.kind == kind), None)
        summary[name] = entry
    return summary


def named_summary(
    named: Sequence[str],
    genes: pd.Index,
    yardstick: Yardstick,
    before: Prediction,
    target: Prediction,
    trials: Sequence[Trial],
    moved_at: float,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Per named gene: is it predicted to move towards the target, and further than under random edits of
    equal norm.

    ``moved`` means that the gap fraction reaches ``moved_at``, that its interval over cells lies above 0, and
    that it exceeds the 95 % range of random recipes and random directions.
    """
    summary: dict[str, dict[str, Any]] = {}
    for gene in named:
        if gene not in genes:
            summary[gene] = {"measured": False}
            continue
        column = int(genes.get_indexer([gene])[0])

        def fraction(after: Prediction, column: int = column) -> float:
            means = [p.expression[:, [column]].mean(axis=0) for p in (before, target, after)]
            return float(gap_fraction(*means)[0])

        value = fraction(trials[0].prediction)
        gap = float(target.expression[:, column].mean() - before.expression[:, column].mean())
        moves = (
            (trials[0].prediction.expression - before.expression)[:, column] / gap
            if gap
            else np.full(2, np.nan)
        )
        low, high = cell_interval(np.mean, [moves], resamples, seed)
        random = np.array(
            [fraction(t.prediction) for t in trials if t.kind in (RANDOM_RECIPE, RANDOM_DIRECTION)]
        )
        null = null_summary(value, random)
        beyond = null["high"] is None or value > null["high"]
        summary[gene] = {
            "measured": True,
            "direction": "up" if yardstick.gap[column] > 0 else "down",
            "differential": bool(yardstick.weight[column] > 0),
            "gap": gap,
            "gap_fraction": plain(value),
            "low": plain(low),
            "high": plain(high),
            "random": null,
            "moved": bool(value >= moved_at and low > 0 and beyond),
        }
    return summary


def summarise(
    yardstick: Yardstick,
    trials: Sequence[Trial],
    matched: dict[str, float],
    shuffled: Sequence[dict[str, float]],
    before: Prediction,
    target: Prediction,
    genes: pd.Index,
    named: Sequence[str],
    moved_at: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """``scores`` and ``named`` of a contrast, as plain JSON."""
    intervals = score_intervals(yardstick, before, trials[0].prediction, target, resamples, seed)
    return {
        "scores": score_summary(trials, matched, shuffled, intervals),
        "named": named_summary(named, genes, yardstick, before, target, trials, moved_at, resamples, seed),
    }
