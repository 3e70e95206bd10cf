"""What a steered type really did: judged on cells that neither the solver nor the choice of genes has seen.

Notable choices

- Centroids, differential genes and their weights come from training cells; every score from test cells.
- "Closer to the target" is reported with what could fake it: closeness to the own centroid, drift across the
  axis and the variance kept.
- Progress has one scale for both metrics: 0 unsteered, 1 the whole gap between the two types. The gap of
  shuffled types is short, and progress over it large by chance: the shift, in units of the cells' spread, is
  what can be compared with theirs.
- Intervals resample test cells. They say how much the score depends on these cells, not on the donor or the
  training.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import DegenerateDataWarning, bootstrap

from cellprism.equations.effects import (
    axis_drift,
    axis_progress,
    gap_fraction,
    standardised_shift,
    variance_kept,
    weighted_progress,
)
from cellprism.steering.pool import Prediction

HIGHER_IS_BETTER = (
    "fraction_closer",
    "latent_progress",
    "latent_shift",
    "distance_closed",
    "expression_progress",
    "expression_shift",
    "up_correct",
    "down_correct",
)
OTHER_SCORES = ("drift", "variance_kept", "fraction_closer_to_source")


@dataclass(frozen=True)
class Yardstick:
    """What training cells say of the two types; scores of test cells are read off it."""

    source: Float[np.ndarray, " d_model"]
    """Centroid of the source type's unsteered embeddings."""
    target: Float[np.ndarray, " d_model"]
    """Centroid of the target type's embeddings."""
    source_mean: Float[np.ndarray, " gene"]
    """Mean predicted expression of the source type."""
    target_mean: Float[np.ndarray, " gene"]
    """Mean predicted expression of the target type."""
    weight: Float[np.ndarray, " gene"]
    """|gap| on the differential genes, 0 elsewhere."""

    @property
    def gap(self) -> Float[np.ndarray, " gene"]:
        """Target minus source."""
        return self.target_mean - self.source_mean

    @property
    def up(self) -> Int[np.ndarray, " some"]:
        """Differential genes that are higher in the target."""
        return np.flatnonzero((self.weight > 0) & (self.gap > 0))

    @property
    def down(self) -> Int[np.ndarray, " some"]:
        """Differential genes that are lower in the target."""
        return np.flatnonzero((self.weight > 0) & (self.gap < 0))


def score(yardstick: Yardstick, before: Prediction, after: Prediction, target: Prediction) -> dict[str, float]:
    """Every score of steered test cells.

    Args:
        yardstick: centroids and differential genes of the training cells.
        before: test cells of the source type, unsteered.
        after: the same cells, steered.
        target: test cells of the target type.

    Returns:
        ``fraction_closer``: share of cells nearer to the target centroid than before.
        ``fraction_closer_to_source``: the same for their own centroid.
        ``latent_progress``: mean way along the axis, 1 the whole gap.
        ``latent_shift``: the same way in units of the cells' spread along it, to compare with other targets.
        ``distance_closed``: share of the mean distance to the target centroid that went away.
        ``drift``: mean way across the axis, in units of the gap.
        ``variance_kept``: variance after over before.
        ``expression_progress``: weighted way of mean expression, 1 the target's.
        ``expression_shift``: way along the weighted gap of the training cells, in units of the spread along
        it. ``up_correct``, ``down_correct``: share of the differential genes that moved the right way, of
        those that moved at all; NaN where none did.
    """
    distance = [np.linalg.norm(p.embedding - yardstick.target, axis=1) for p in (before, after)]
    own = [np.linalg.norm(p.embedding - yardstick.source, axis=1) for p in (before, after)]
    progress = [axis_progress(p.embedding, yardstick.source, yardstick.target) for p in (before, after)]
    move = (after.expression - before.expression).mean(axis=0)
    return {
        "fraction_closer": float((distance[1] < distance[0]).mean()),
        "fraction_closer_to_source": float((own[1] < own[0]).mean()),
        "latent_progress": float((progress[1] - progress[0]).mean()),
        "latent_shift": standardised_shift(before.embedding, after.embedding, yardstick.target - yardstick.source),
        "distance_closed": float(1 - distance[1].mean() / distance[0].mean()),
        "drift": float(axis_drift(before.embedding, after.embedding, yardstick.source, yardstick.target).mean()),
        "variance_kept": variance_kept(before.embedding, after.embedding),
        "expression_progress": weighted_progress(
            before.expression.mean(axis=0),
            target.expression.mean(axis=0),
            after.expression.mean(axis=0),
            yardstick.weight,
        ),
        "expression_shift": standardised_shift(before.expression, after.expression, yardstick.weight * yardstick.gap),
        "up_correct": share_positive(move[yardstick.up]),
        "down_correct": share_positive(-move[yardstick.down]),
    }


def share_positive(values: Float[np.ndarray, " some"]) -> float:
    """Share above 0 among the values that are not 0; NaN where all are."""
    moved = values[values != 0]
    return float((moved > 0).mean()) if moved.size else np.nan


def cell_interval(
    statistic: Callable[..., Any], samples: Sequence[np.ndarray], resamples: int, seed: int
) -> tuple[float, float]:
    """95 % percentile interval of a statistic of cells, by resampling them; NaN for fewer than two cells, or where
    a resample leaves the statistic undefined.

    ``samples`` are arrays with one value a cell, resampled together; ``statistic(*samples, axis)`` is a
    reduction.
    """
    if len(samples[0]) < 2 or np.isnan(statistic(*samples, axis=-1)):
        return np.nan, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # undefined for some resample: the interval is NaN
        interval = bootstrap(
            samples, statistic, n_resamples=resamples, paired=True, vectorized=True, method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
    return float(interval.low), float(interval.high)


def score_intervals(
    yardstick: Yardstick, before: Prediction, after: Prediction, target: Prediction, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % intervals of the scores of ``HIGHER_IS_BETTER`` over test cells of the source type; the gap is
    held fixed."""
    distance = [np.linalg.norm(p.embedding - yardstick.target, axis=1) for p in (before, after)]
    progress = [axis_progress(p.embedding, yardstick.source, yardstick.target) for p in (before, after)]
    move = after.expression - before.expression
    means = before.expression.mean(axis=0), target.expression.mean(axis=0)
    # Progress of mean expression is linear in the move, so it is a mean over cells of each cell's own.
    travelled = np.array([weighted_progress(*means, means[0] + own, yardstick.weight) for own in move])

    along = yardstick.weight * yardstick.gap

    def closed(before: np.ndarray, after: np.ndarray, axis: int = -1) -> Any:
        return 1 - after.mean(axis) / before.mean(axis)

    def correct(signed: Float[np.ndarray, "cell gene"]) -> Callable[..., Any]:
        def share(rows: np.ndarray, axis: int = -1) -> Any:
            return np.apply_along_axis(lambda r: share_positive(signed[r].mean(axis=0)), axis, rows)

        return share

    rows = np.arange(len(move))
    statistics: dict[str, tuple[Callable[..., Any], Sequence[np.ndarray]]] = {
        "fraction_closer": (np.mean, [(distance[1] < distance[0]).astype(float)]),
        "latent_progress": (np.mean, [progress[1] - progress[0]]),
        "latent_shift": (np.mean, [_in_spreads(progress[0], progress[1] - progress[0])]),
        "distance_closed": (closed, distance),
        "expression_progress": (np.mean, [travelled]),
        "expression_shift": (np.mean, [_in_spreads(before.expression @ along, move @ along)]),
        "up_correct": (correct(move[:, yardstick.up]), [rows]),
        "down_correct": (correct(-move[:, yardstick.down]), [rows]),
    }
    return {name: cell_interval(*given, resamples, seed) for name, given in statistics.items()}


def _in_spreads(place: Float[np.ndarray, " cell"], way: Float[np.ndarray, " cell"]) -> Float[np.ndarray, " cell"]:
    """Each cell's way in units of the cells' spread, which is held fixed."""
    spread = place.std()
    return way / spread if spread > 0 else np.full_like(way, np.nan)


def gene_table(
    yardstick: Yardstick,
    genes: pd.Index,
    before: Prediction,
    after: Prediction,
    target: Prediction,
    observed_gap: Float[np.ndarray, " gene"],
) -> pd.DataFrame:
    """Every gene as test cells show it, differential ones first.

    Columns: gene; direction ``up`` or ``down`` in the target, by training cells; source_mean, target_mean,
    steered_mean (predicted log1p of counts per ten thousand); gap_fraction (0 not moved, 1 arrived; NaN
    without a gap); correct (moved in ``direction``); observed_gap (the same two types' difference in the
    counts themselves); weight (0: not differential).
    """
    means = [p.expression.mean(axis=0) for p in (before, target, after)]
    up = yardstick.gap > 0
    move = means[2] - means[0]
    table = pd.DataFrame(
        {
            "gene": genes.astype(str),
            "direction": np.where(up, "up", "down"),
            "source_mean": means[0],
            "target_mean": means[1],
            "steered_mean": means[2],
            "gap_fraction": gap_fraction(*means),
            "correct": np.where(up, move > 0, move < 0),
            "observed_gap": observed_gap,
            "weight": yardstick.weight,
        }
    )
    return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)


def cell_table(yardstick: Yardstick, cells: pd.Index, before: Prediction, after: Prediction) -> pd.DataFrame:
    """One row per test cell: cell; projection_before, projection_after (0 source centroid, 1 target
    centroid); distance_before, distance_after to the target centroid; closer.
    """
    distance = [np.linalg.norm(p.embedding - yardstick.target, axis=1) for p in (before, after)]
    progress = [axis_progress(p.embedding, yardstick.source, yardstick.target) for p in (before, after)]
    return pd.DataFrame(
        {
            "cell": cells.astype(str),
            "projection_before": progress[0],
            "projection_after": progress[1],
            "distance_before": distance[0],
            "distance_after": distance[1],
            "closer": distance[1] < distance[0],
        }
    )
