"""What a steered type really did: judged on cells that neither the solver nor the choice of genes has seen.

Notable choices

- What scores owes nothing to the cells of the fit: centroids, and the gap to close, are those of the test cells,
  differential genes, their directions and weights those of the validation cells' counts. So a recipe that was fitted on
  permuted labels can be scored in the same way.
- "Closer to the target than before" can be had by shrinking. Hence the share of cells that end nearer the target
  *than the source*, progress along the axis, drift across it and the variance kept stand beside it.
- Progress has one scale for both metrics: 0 unsteered, 1 the whole gap between the two types.
- A rise of all genes would get half of the directions right: the balanced share is the mean over genes that should rise
  and genes that should fall.
- What is scored of genes is what the model predicts of them (``model_output``): expression, else the logit of each
  gene's own token, and the scores are named for it. A gene that only some cells express is averaged over these, and
  neither places nor moves the others.
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
    variance_kept,
    weighted_progress,
)
from cellprism.steering.model_output import EXPRESSION, NOTHING, expressing_mean, expressing_moves
from cellprism.steering.site_cache import Prediction

OTHER_SCORES = ("drift", "variance_kept", "fraction_closer_to_source")


def directed_scores(output_kind: str) -> tuple[str, ...]:
    """Scores of which higher is better, for a model of an output kind (``model_output``)."""
    latent = ("nearer_target", "fraction_closer", "latent_progress")
    of_genes = (f"{output_kind}_progress", "balanced_correct", "up_correct", "down_correct")
    return latent if output_kind == NOTHING else (*latent, *of_genes)


@dataclass(frozen=True)
class BaselineValues:
    """What some cells say of the two types; the fit has its own, and so have the scores."""

    source: Float[np.ndarray, " d_model"]
    """Centroid of the source type's unsteered embeddings."""
    target: Float[np.ndarray, " d_model"]
    """Centroid of the target type's embeddings."""
    source_mean: Float[np.ndarray, " gene"]
    """Predicted value of each gene in the source type, on average; NaN where too few of its cells express it."""
    target_mean: Float[np.ndarray, " gene"]
    """The same of the target type."""
    weight: Float[np.ndarray, " gene"]
    """|observed gap| on the differential genes, 0 elsewhere."""
    observed_gap: Float[np.ndarray, " gene"]
    """Target minus source in mean log1p counts per ten thousand; 0 where nothing is predicted."""
    output_kind: str = EXPRESSION
    """What the predicted values are, see ``model_output``."""

    @property
    def gap(self) -> Float[np.ndarray, " gene"]:
        """Target minus source, as the model predicts them."""
        return self.target_mean - self.source_mean

    @property
    def up(self) -> Int[np.ndarray, " some"]:
        """Differential genes that are higher in the target."""
        return np.flatnonzero((self.weight > 0) & (self.observed_gap > 0))

    @property
    def down(self) -> Int[np.ndarray, " some"]:
        """Differential genes that are lower in the target."""
        return np.flatnonzero((self.weight > 0) & (self.observed_gap < 0))


def score(base: BaselineValues, before: Prediction, after: Prediction, target: Prediction) -> dict[str, float]:
    """Every score of steered test cells.

    Args:
        base: centroids of the test cells, differential genes of the validation cells.
        before: test cells of the source type, unsteered.
        after: the same cells, steered.
        target: test cells of the target type.

    Returns:
        ``nearer_target``: share of cells that are nearer to the target centroid than to the source centroid.
        ``fraction_closer``: share of cells nearer to the target centroid than before.
        ``fraction_closer_to_source``: the same for their own centroid.
        ``latent_progress``: mean way along the axis, 1 the whole gap.
        ``drift``: mean way across the axis, in units of the gap.
        ``variance_kept``: variance after over before.
        ``expression_progress``: weighted way of mean expression, 1 the target's.
        ``up_correct``, ``down_correct``: share of the differential genes that moved the right way, of those that moved
        at all; NaN where none did; ``balanced_correct``: their mean. Models that speak of genes in token logits have
        ``token_logit_progress``, models that do not speak of genes none of the four.
    """
    distance = [np.linalg.norm(p.embedding - base.target, axis=1) for p in (before, after)]
    own = [np.linalg.norm(p.embedding - base.source, axis=1) for p in (before, after)]
    progress = [axis_progress(p.embedding, base.source, base.target) for p in (before, after)]
    scores = {
        "nearer_target": float((distance[1] < own[1]).mean()),
        "fraction_closer": float((distance[1] < distance[0]).mean()),
        "fraction_closer_to_source": float((own[1] < own[0]).mean()),
        "latent_progress": float((progress[1] - progress[0]).mean()),
        "drift": float(axis_drift(before.embedding, after.embedding, base.source, base.target).mean()),
        "variance_kept": variance_kept(before.embedding, after.embedding),
    }
    if base.output_kind == NOTHING:
        return scores
    move = expressing_moves(before.values, after.values).mean(axis=0)
    up, down = share_positive(move[base.up]), share_positive(-move[base.down])
    return scores | {
        f"{base.output_kind}_progress": _progress(base, before, expressing_mean(after.values), target),
        "balanced_correct": (up + down) / 2,
        "up_correct": up,
        "down_correct": down,
    }


def _progress(base: BaselineValues, before: Prediction, after: Float[np.ndarray, " gene"], target: Prediction) -> float:
    """``weighted_progress`` of mean values, over the genes that enough cells express."""
    start, end = expressing_mean(before.values), expressing_mean(target.values)
    known = np.isfinite(start + end + after)
    return weighted_progress(start[known], end[known], after[known], base.weight[known])


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
    base: BaselineValues,
    before: Prediction,
    after: Prediction,
    target: Prediction,
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """95 % intervals of the scores of ``directed_scores`` over test cells of the source type; the gap is
    held fixed."""
    distance = [np.linalg.norm(p.embedding - base.target, axis=1) for p in (before, after)]
    own = np.linalg.norm(after.embedding - base.source, axis=1)
    progress = [axis_progress(p.embedding, base.source, base.target) for p in (before, after)]
    statistics: dict[str, tuple[Callable[..., Any], Sequence[np.ndarray]]] = {
        "nearer_target": (np.mean, [(distance[1] < own).astype(float)]),
        "fraction_closer": (np.mean, [(distance[1] < distance[0]).astype(float)]),
        "latent_progress": (np.mean, [progress[1] - progress[0]]),
    }
    if base.output_kind != NOTHING:
        statistics |= _gene_statistics(base, before, after, target)
    return {name: cell_interval(*given, resamples, seed) for name, given in statistics.items()}


def _gene_statistics(
    base: BaselineValues, before: Prediction, after: Prediction, target: Prediction
) -> dict[str, tuple[Callable[..., Any], Sequence[np.ndarray]]]:
    """The scores of genes as statistics of cells, each with what they are taken of."""
    move, start = expressing_moves(before.values, after.values), expressing_mean(before.values)
    # Progress of the mean is linear in the move, so it is a mean over cells of each cell's own.
    travelled = np.array([_progress(base, before, start + own, target) for own in move])

    def right(r: np.ndarray, of: Int[np.ndarray, " some"], sign: float) -> float:
        return share_positive(sign * move[r][:, of].mean(axis=0))

    def share(*ways: tuple[np.ndarray, float]) -> Callable[..., Any]:
        def statistic(rows: np.ndarray, axis: int = -1) -> Any:
            return np.apply_along_axis(lambda r: np.mean([right(r, *way) for way in ways]), axis, rows)

        return statistic

    up, down = (base.up, 1.0), (base.down, -1.0)
    rows = np.arange(len(move))
    return {
        f"{base.output_kind}_progress": (np.mean, [travelled]),
        "balanced_correct": (share(up, down), [rows]),
        "up_correct": (share(up), [rows]),
        "down_correct": (share(down), [rows]),
    }


def gene_table(
    base: BaselineValues,
    genes: pd.Index,
    before: Prediction,
    after: Prediction,
    target: Prediction,
    observed_gap: Float[np.ndarray, " gene"],
) -> pd.DataFrame:
    """Every gene as test cells show it, differential ones first.

    Columns: gene; direction ``up`` or ``down`` in the target, by the counts of validation cells; source_mean,
    target_mean, steered_mean (what the model predicts of the gene, see ``model_output``, over the cells that express
    it); gap_fraction (0 not moved, 1 arrived; NaN without a gap, or where too few test cells express the gene); correct
    (moved in ``direction``); observed_gap (the same two types' difference in log1p counts per ten thousand); weight
    (0: not differential).
    """
    means = [expressing_mean(p.values) for p in (before, target, after)]
    up = base.observed_gap > 0
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
            "weight": base.weight,
        }
    )
    return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)


def cell_table(base: BaselineValues, cells: pd.Index, before: Prediction, after: Prediction) -> pd.DataFrame:
    """One row per test cell: cell; projection_before, projection_after (0 source centroid, 1 target
    centroid); distance_before, distance_after to the target centroid; closer.
    """
    distance = [np.linalg.norm(p.embedding - base.target, axis=1) for p in (before, after)]
    progress = [axis_progress(p.embedding, base.source, base.target) for p in (before, after)]
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
