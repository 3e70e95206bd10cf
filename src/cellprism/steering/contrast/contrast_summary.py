"""The headline of a contrast: every value beside its interval and what chance gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellprism.equations.effects import LEVEL
from cellprism.equations.ratio import is_spread
from cellprism.steering.contrast.scores import (
    OTHER_SCORES,
    BaselineValues,
    cell_interval,
    directed_scores,
    score_intervals,
)
from cellprism.steering.contrast.trials import Trial
from cellprism.steering.nulls import drawn_summary, plain
from cellprism.steering.settings import DIFFERENCE, DIFFERENCE_PER_GENE, PERMUTED, RANDOM_RECIPE
from cellprism.steering.site_cache import Prediction

NULLS = {"permuted_labels": PERMUTED, "random_recipe": RANDOM_RECIPE}
COMPETITORS = {"difference_of_means": DIFFERENCE, "difference_of_means_per_gene": DIFFERENCE_PER_GENE}


def score_summary(
    base: BaselineValues,
    trials: Sequence[Trial],
    before: Prediction,
    after: Prediction,
    target: Prediction,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Per score: value, low, high (95 % over test cells), one entry per null and one per competitor, these at the
    recipe's norm, recipes of permuted labels at their own.

    A null has mean, low, high (95 % range), p (two-sided, among its draws) and n; p is left out for scores of which
    neither direction is better. ``trials[0]`` is the recipe.
    """
    intervals = score_intervals(base, before, after, target, resamples, seed)
    summary = {}
    for name in (*directed_scores(base.output_kind), *OTHER_SCORES):
        value = trials[0].scores[name]
        low, high = intervals.get(name, (np.nan, np.nan))
        entry: dict[str, Any] = {"value": plain(value), "low": plain(low), "high": plain(high)}
        for null, kind in NULLS.items():
            entry[null] = drawn_summary(value, np.array([t.scores[name] for t in trials if t.kind == kind]))
            if name in OTHER_SCORES:
                del entry[null]["p"]
        for key, kind in COMPETITORS.items():
            entry[key] = next((plain(t.scores[name]) for t in trials if t.kind == kind and t.dose == 1), None)
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
    """Per named gene that the model speaks of: is it predicted to move towards the target, and further than recipes
    fitted on permuted labels move it, and random recipes.

    ``moved`` means that the gap fraction reaches ``moved_at``, that its interval over cells lies above 0, and that it
    exceeds what permuted labels give with p of at most ``LEVEL``. Where ``gap`` (predicted) and
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
        source, target = float(row["source_mean"]), float(row["target_mean"])
        gap = target - source
        of_gap = 1 / gap if is_spread(gap**2, source**2 + target**2) else np.nan
        moves = [trial.moves[:, measured.index(gene)] * of_gap for trial in trials]
        fractions = np.array([m.mean() for m in moves])
        low, high = cell_interval(np.mean, [moves[0]], resamples, seed)
        nulls = {
            null: drawn_summary(fractions[0], fractions[[t.kind == kind for t in trials]])
            for null, kind in NULLS.items()
        }
        permuted = nulls["permuted_labels"]
        beyond = permuted["p"] is not None and permuted["p"] <= LEVEL and fractions[0] > permuted["mean"]
        summary[gene] = {
            "measured": True,
            "direction": str(row["direction"]),
            "differential": bool(row["weight"] > 0),
            "gap": plain(gap),
            "observed_gap": float(row["observed_gap"]),
            "gap_fraction": plain(fractions[0]),
            "low": plain(low),
            "high": plain(high),
            **nulls,
            "moved": bool(fractions[0] >= moved_at and low > 0 and beyond),
        }
    return summary
