"""Scores of steered cells: what earns them, and what must not."""

import numpy as np
import pandas as pd
import pytest

from cellprism.steering.contrast.scores import (
    BaselineValues,
    cell_interval,
    cell_table,
    directed_scores,
    gene_table,
    score,
    score_intervals,
    share_positive,
)
from cellprism.steering.site_cache import Prediction

CELLS, D_MODEL, GENES = 17, 13, 29


@pytest.fixture
def case():
    """A baseline_values, source cells at its source, target cells at its target."""
    rng = np.random.default_rng(0)
    source, target = rng.standard_normal(D_MODEL), rng.standard_normal(D_MODEL)
    source_mean, target_mean = rng.uniform(1, 2, GENES), rng.uniform(1, 2, GENES)
    gap = target_mean - source_mean
    weight = np.where(np.abs(gap) > 0.3, np.abs(gap), 0)
    baseline_values = BaselineValues(source, target, source_mean, target_mean, weight, gap)
    before = Prediction(
        source + 0.1 * rng.standard_normal((CELLS, D_MODEL)),
        source_mean + 0.1 * rng.standard_normal((CELLS, GENES)),
    )
    there = Prediction(
        target + 0.1 * rng.standard_normal((19, D_MODEL)),
        target_mean + 0.1 * rng.standard_normal((19, GENES)),
    )
    return baseline_values, before, there


def moved(before: Prediction, embedding, expression) -> Prediction:
    return Prediction(before.embedding + embedding, before.values + expression)


def test_doing_nothing_scores_nothing(case):
    baseline_values, before, there = case
    scores = score(baseline_values, before, before, there)
    assert scores["fraction_closer"] == scores["latent_progress"] == scores["drift"] == 0
    assert scores["expression_progress"] == scores["nearer_target"] == 0
    assert scores["variance_kept"] == 1
    assert np.isnan(scores["up_correct"])
    assert np.isnan(scores["down_correct"])


def test_moving_by_the_whole_gap_arrives_at_1(case):
    baseline_values, before, there = case
    gap = there.values.mean(axis=0) - before.values.mean(axis=0)
    after = moved(before, baseline_values.target - baseline_values.source, gap)
    scores = score(baseline_values, before, after, there)
    assert scores["latent_progress"] == pytest.approx(1)
    assert scores["expression_progress"] == pytest.approx(1)
    assert scores["nearer_target"] == scores["balanced_correct"] == 1
    assert scores["fraction_closer"] == scores["up_correct"] == scores["down_correct"] == 1
    assert scores["fraction_closer_to_source"] == 0
    assert scores["drift"] == pytest.approx(0, abs=1e-6)
    assert scores["variance_kept"] == pytest.approx(1)


def test_shrinking_to_the_own_mean_is_no_progress(case):
    baseline_values, before, there = case
    mean = before.embedding.mean(axis=0)
    after = Prediction(mean + 0.01 * (before.embedding - mean), before.values)
    scores = score(baseline_values, before, after, there)
    assert scores["latent_progress"] == pytest.approx(0, abs=1e-9)
    assert scores["variance_kept"] == pytest.approx(1e-4)
    assert scores["fraction_closer_to_source"] > 0.5
    assert scores["nearer_target"] == 0


def test_shrinking_towards_the_target_brings_cells_closer_but_not_nearer_to_it_than_to_their_own(case):
    baseline_values, before, there = case
    middle = baseline_values.source + 0.4 * (baseline_values.target - baseline_values.source)
    after = Prediction(middle + 0.01 * (before.embedding - middle), before.values)
    scores = score(baseline_values, before, after, there)
    assert scores["fraction_closer"] == 1
    assert scores["nearer_target"] == 0


def test_up_and_down_genes_are_scored_apart(case):
    baseline_values, before, there = case
    after = moved(before, 0, 0.05)
    scores = score(baseline_values, before, after, there)
    assert scores["up_correct"] == 1
    assert scores["down_correct"] == 0
    assert scores["balanced_correct"] == 0.5


def test_the_share_that_moved_right_leaves_out_what_did_not_move():
    assert share_positive(np.array([0.0, 0, 1, -2, 3])) == pytest.approx(2 / 3)
    assert np.isnan(share_positive(np.zeros(3)))


def test_intervals_hold_their_score_and_narrow_with_more_cells(case):
    baseline_values, before, there = case
    rng = np.random.default_rng(1)
    after = moved(
        before,
        0.4 * (baseline_values.target - baseline_values.source),
        0.2 * baseline_values.gap + rng.standard_normal((CELLS, GENES)),
    )
    scores = score(baseline_values, before, after, there)
    intervals = score_intervals(baseline_values, before, after, there, 199, 0)
    assert set(intervals) == set(directed_scores("expression"))
    for name in (
        "nearer_target",
        "fraction_closer",
        "latent_progress",
        "expression_progress",
        "balanced_correct",
    ):
        low, high = intervals[name]
        assert low - 1e-9 <= scores[name] <= high + 1e-9
    few = score_intervals(baseline_values, before.part(np.arange(5)), after.part(np.arange(5)), there, 199, 0)
    assert np.ptp(few["expression_progress"]) > np.ptp(intervals["expression_progress"])


def test_intervals_of_a_mean_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = [
        low <= 0 <= high
        for low, high in (cell_interval(np.mean, [rng.standard_normal(40)], 199, seed) for seed in range(199))
    ]
    assert 0.88 < np.mean(covered) < 0.99


def test_an_interval_needs_two_cells_and_a_value():
    assert np.isnan(cell_interval(np.mean, [np.array([1.0])], 99, 0)).all()
    assert np.isnan(cell_interval(np.mean, [np.array([np.nan, 1.0])], 99, 0)).all()


def test_the_gene_table_tells_direction_and_gap_of_every_gene_differential_ones_first(case):
    baseline_values, before, there = case
    genes = pd.Index([f"G{i}" for i in range(GENES)])
    after = moved(before, 0, 0.05)
    table = gene_table(baseline_values, genes, before, after, there, np.arange(GENES, dtype=float))
    assert set(table["gene"]) == set(genes)
    assert table["weight"].is_monotonic_decreasing
    assert (table["observed_gap"] == table["gene"].str[1:].astype(float)).all()
    first = table.iloc[0]
    place = int(first["gene"][1:])
    assert baseline_values.weight[place] == baseline_values.weight.max()
    means = [p.values[:, place].mean() for p in (before, there, after)]
    assert first["gap_fraction"] == pytest.approx((means[2] - means[0]) / (means[1] - means[0]))
    assert (table["correct"] == (table["direction"] == "up")).all()


def test_the_cell_table_is_what_the_scores_average(case):
    baseline_values, before, there = case
    after = moved(before, 0.3 * (baseline_values.target - baseline_values.source), 0)
    table = cell_table(baseline_values, pd.Index([f"c{i}" for i in range(CELLS)]), before, after)
    scores = score(baseline_values, before, after, there)
    assert table["closer"].mean() == scores["fraction_closer"]
    assert (table["projection_after"] - table["projection_before"]).mean() == pytest.approx(scores["latent_progress"])


def test_an_interval_is_nan_without_a_word_where_a_resample_leaves_the_statistic_undefined():
    def ratio(x, axis=-1):
        with np.errstate(invalid="ignore"):
            return x.sum(axis=axis) / (x != 0).sum(axis=axis)

    assert np.isnan(cell_interval(ratio, [np.array([0.0, 0.0, 1.0])], 200, 0)).all()
