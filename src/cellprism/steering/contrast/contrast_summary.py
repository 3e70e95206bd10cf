"""The headline of a contrast: every value beside its interval and what chance gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellprism.steering.contrast.baselines import (
    DIFFERENCE,
    DIFFERENCE_PER_GENE,
    RANDOM_DIRECTION,
    RANDOM_RECIPE,
    TUNED,
    Trial,
)
from cellprism.steering.contrast.scores import (
    OTHER_SCORES,
    BaselineValues,
    cell_interval,
    directed_scores,
    score_intervals,
)
from cellprism.steering.nulls import null_summary, plain
from cellprism.steering.site_cache import Prediction

COMPETITORS = {
    "difference_of_means": DIFFERENCE,
    "difference_of_means_best_norm": DIFFERENCE + TUNED,
    "difference_of_means_per_gene": DIFFERENCE_PER_GENE,
    "difference_of_means_per_gene_best_norm": DIFFERENCE_PER_GENE + TUNED,
}


def score_summary(
    base: BaselineValues,
    trials: Sequence[Trial],
    matched: dict[str, float],
    shuffled: Sequence[dict[str, float]],
    before: Prediction,
    after: Prediction,
    target: Prediction,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Per score: value, low, high (95 % over test cells), one entry per null and one per competitor.

    A null has mean, low, high (95 % range), p and n; p is one-sided towards larger values and left out for
    scores of which neither direction is better. Searches with shuffled labels are short: their p is that of
    ``observed``, the score of an equally short search with the true labels. ``trials[0]`` is the recipe.
    """
    intervals = score_intervals(base, before, after, target, resamples, seed)
    summary = {}
    for name in (*directed_scores(base.output_kind), *OTHER_SCORES):
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
        entry["shuffled_labels"]["observed"] = plain(matched[name])
        for key, kind in COMPETITORS.items():
            entry[key] = next((plain(t.scores[name]) for t in trials if t.kind == kind), None)
        summary[name] = entry
    return summary


def named_summary(
    named: Sequence[str],
    table: pd.DataFrame,
    trials: Sequence[Trial],
    moved_at: float,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Per named gene that the model speaks of: is it predicted to move towards the target, and further than random
    edits of equal norm move it.

    ``moved`` means that the gap fraction reaches ``moved_at``, that its interval over cells lies above 0, and
    that it exceeds the 95 % range of random recipes and random directions. Where ``gap`` (predicted) and
    ``observed_gap`` (in the counts) differ in sign, the model does not know the gene's direction to begin
    with. ``table`` is that of ``scores.gene_table``; the trials' moves are of the named genes that are in it, in order.
    """
    summary: dict[str, dict[str, Any]] = {}
    measured = [gene for gene in named if gene in set(table["gene"])]
    for gene in named:
        if gene not in measured:
            summary[gene] = {"measured": False}
            continue
        row = table.loc[table["gene"] == gene].iloc[0]
        gap = float(row["target_mean"] - row["source_mean"])
        moves = [trial.moves[:, measured.index(gene)] for trial in trials]
        fractions = np.array([m.mean() / gap if gap else np.nan for m in moves])
        low, high = cell_interval(np.mean, [moves[0] / gap if gap else moves[0] * np.nan], resamples, seed)
        is_random = [t.kind in (RANDOM_RECIPE, RANDOM_DIRECTION) for t in trials]
        null = null_summary(fractions[0], fractions[is_random])
        beyond = null["high"] is None or fractions[0] > null["high"]
        summary[gene] = {
            "measured": True,
            "direction": str(row["direction"]),
            "differential": bool(row["weight"] > 0),
            "gap": plain(gap),
            "observed_gap": float(row["observed_gap"]),
            "gap_fraction": plain(fractions[0]),
            "low": plain(low),
            "high": plain(high),
            "random": null,
            "moved": bool(fractions[0] >= moved_at and low > 0 and beyond),
        }
    return summary
