"""The whole contrast, on a model whose recipe is known and on one with random weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import binomtest

from cellprism.errors import ConfigError
from cellprism.simulate.linear_model import LEVEL, LinearCell, as_counts, linear_sae
from cellprism.steering.contrast.cell_split import split_types
from cellprism.steering.contrast.contrast import contrast, observed_gap
from cellprism.steering.contrast.recipe_search import measure, search
from cellprism.steering.contrast.trials import TestCells, try_edits
from cellprism.steering.nulls import drawn_summary
from cellprism.steering.settings import DOSES, ContrastSettings
from cellprism.steering.site_cache import read_site_cache
from cellprism.store.tables import read_table, write_table
from steering.planted import PlantedModel, planted_cells, planted_sae

RECIPE = {3: 2.5, 11: 0.2}
SMALL = ContrastSettings(penalties=7, iterations=40, null_replicates=3, random_edits=3, resamples=29, n_genes=4)


@pytest.fixture(scope="module", params=["latent", "expression"])
def result(request):
    model = PlantedModel()
    return contrast(
        model, planted_sae(model), planted_cells(RECIPE, noise=0.02), 1, "helper", "killer", request.param,
        settings=SMALL, named=("G3", "G5", "ABSENT"), seed=1,
    )  # fmt: skip


def test_the_planted_recipe_is_found_and_the_planted_zeros_are_exact(result):
    assert (result.path["n_above_0"] == 2).any()
    assert result.path.loc[result.path["chosen"], "n_above_0.1"].item() == 2
    large = {f: s for f, s in result.strengths.items() if abs(s - 1) > 0.1}
    assert set(large) == set(RECIPE)
    for feature, strength in RECIPE.items():
        assert large[feature] == pytest.approx(strength, abs=0.08)
    silent = set(range(29, 41))  # features of no gene
    assert not silent & set(result.strengths)


def test_unseen_cells_arrive_and_their_scores_beat_random_recipes(result):
    scores = result.summary["scores"]
    for name in ("latent_progress", "expression_progress"):
        assert scores[name]["value"] == pytest.approx(1, abs=0.1)
        for null in ("random_recipe", "permuted_labels"):
            assert scores[name][null]["p"] == pytest.approx(2 / 4)
        assert scores[name]["low"] <= scores[name]["value"] <= scores[name]["high"]
    assert scores["nearer_target"]["value"] == scores["fraction_closer"]["value"] == 1
    assert scores["up_correct"]["value"] == scores["down_correct"]["value"] == 1
    assert scores["drift"]["value"] < 0.1


def test_recipe_and_difference_of_means_are_tried_at_the_same_norms(result):
    trials = result.trials
    for kind in ("recipe", "difference of means", "difference of means per gene"):
        line = trials[trials["kind"] == kind].sort_values("dose")
        assert line["dose"].tolist() == list(DOSES)
        assert line["expression_progress"].is_monotonic_increasing
        assert line["move of G3"].is_monotonic_increasing
    recipe = trials[trials["kind"] == "recipe"].set_index("dose")
    assert recipe.loc[0.5, "expression_progress"] == pytest.approx(recipe.loc[1.0, "expression_progress"] / 2, rel=1e-3)


def test_named_genes_are_reported_moved_unmoved_or_not_measured(result):
    named = result.summary["named"]
    assert named["G3"]["gap_fraction"] > named["G3"]["permuted_labels"]["high"]
    assert named["G3"]["permuted_labels"]["p"] == pytest.approx(2 / 4)
    assert named["G3"]["gap_fraction"] == pytest.approx(1, abs=0.1)
    assert named["G3"]["direction"] == "up"
    assert not named["G5"]["moved"]
    assert named["ABSENT"] == {"measured": False}


def test_genes_say_how_far_each_went(result):
    table = result.genes.set_index("gene")
    assert table.loc["G3", "direction"] == "up"
    assert table.loc["G11", "direction"] == "down"
    assert table.loc[["G3", "G11"], "correct"].all()
    assert table.loc[["G3", "G11"], "gap_fraction"].to_numpy() == pytest.approx(1, abs=0.1)


def test_tables_go_to_parquet_and_the_summary_to_json(result, tmp_path):
    for name in ("path", "genes", "cells", "recipe", "trials"):
        table = getattr(result, name)
        write_table(tmp_path / f"{name}.parquet", table)
        assert read_table(tmp_path / f"{name}.parquet").equals(table)
    assert json.loads(json.dumps(result.summary, allow_nan=False)) == result.summary
    assert result.path["chosen"].sum() == 1
    assert result.path["lambda"].is_monotonic_decreasing
    assert result.path.iloc[0][["n_above_0", "train_loss", "validation_loss"]].tolist() == [0, 1.0, 1.0]
    assert result.recipe["edit_share"].sum() == pytest.approx(1)


def test_every_baseline_is_tried(result):
    counts = result.trials["kind"].value_counts()
    assert counts.to_dict() == {
        "recipe": 4,
        "difference of means": 4,
        "difference of means per gene": 4,
        "random recipe": 3,
        "permuted labels": 3,
    }


def test_cells_that_judge_have_no_say_in_the_recipe():
    model, adata = PlantedModel(), planted_cells(RECIPE)
    sae = planted_sae(model)
    split = {"train": np.arange(0, 112, 2), "validation": np.arange(1, 112, 4), "test": np.arange(3, 112, 4)}
    quick = ContrastSettings(penalties=3, null_replicates=0, random_edits=0, n_genes=4)
    first = contrast(model, sae, adata, 1, "helper", "killer", split=split, settings=quick)
    other = adata.copy()
    counts = adata.X.toarray()
    counts[split["test"]] = 2 * counts[split["test"]][:, ::-1]
    other.X = sp.csr_matrix(counts)
    second = contrast(model, sae, other, 1, "helper", "killer", split=split, settings=quick)
    assert first.strengths == second.strengths
    assert first.genes["gene"].tolist() == second.genes["gene"].tolist()
    assert first.summary["scores"]["latent_progress"] != second.summary["scores"]["latent_progress"]
    assert first.cells["cell"].tolist() == [f"cell{i}" for i in split["test"] if i < 53]


def test_a_run_is_the_same_run_with_the_same_seed_and_another_with_another(real_model, real_sae, cells):
    quick = ContrastSettings(penalties=2, iterations=2, null_replicates=1, random_edits=1, resamples=9, n_genes=4)
    runs = [
        contrast(real_model, real_sae, _doubled(cells), 1, "helper", "killer", settings=quick, seed=seed)
        for seed in (0, 0, 5)
    ]
    assert runs[0].summary == runs[1].summary
    assert runs[0].trials.equals(runs[1].trials)
    assert runs[0].cells["cell"].tolist() != runs[2].cells["cell"].tolist()


def _doubled(cells):
    """34 cells, so that every part has two of each type."""
    import anndata as ad

    twice = ad.concat([cells, cells], index_unique="-")
    twice.var = cells.var
    return twice


def test_no_strength_leaves_the_bound():
    model = PlantedModel()
    settings = ContrastSettings(penalties=5, null_replicates=0, random_edits=0, bound=0.5, n_genes=4)
    found = contrast(model, planted_sae(model), planted_cells(RECIPE), 1, "helper", "killer", settings=settings)
    assert max(abs(s - 1) for s in found.strengths.values()) == pytest.approx(0.5)


def test_the_plainer_two_types_differ_the_farther_permuted_labels_stay_behind():
    programs = (np.random.default_rng(3).random((20, 29)) < 0.4) * 1.0
    model, activity = LinearCell(29), np.random.default_rng(5).gamma(4, 0.5, (80, 20))
    activity[40:, :3] *= 4
    adata = AnnData(as_counts(LEVEL + activity @ programs))
    adata.var_names, adata.obs_names = list(model.genes), [f"cell{i}" for i in range(80)]
    adata.obs["cell_type"] = ["source"] * 40 + ["target"] * 40
    settings = replace(QUICK, null_replicates=2, resamples=9, batch_size=80)
    found = contrast(model, linear_sae(model, programs), adata, 0, "source", "target", named=(), settings=settings)
    drawn = found.trials[found.trials["kind"] == "permuted labels"]
    way = found.trials["latent_progress"].iloc[0]
    assert drawn["latent_progress"].max() < 0.5 * way
    at_equal_norm = drawn["latent_progress"] / drawn["dose"]
    assert at_equal_norm.max() > 0.8 * way, "at the recipe's norm they would not stay behind"


QUICK = ContrastSettings(penalties=2, iterations=2, train_cells=8, n_genes=4, null_replicates=9, random_edits=0)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["latent", "expression"])
def test_where_the_types_do_not_differ_permuted_labels_do_as_well_as_the_true_ones(objective):
    model = PlantedModel()
    p = {name: [] for name in ("latent_progress", "expression_progress", "balanced_correct", "nearer_target")}
    for seed in range(20):
        adata = planted_cells({}, n_source=23, n_target=29, seed=seed)
        _, parts = split_types(adata, "helper", "killer", "cell_type", None, 400, seed)
        cache = read_site_cache(model, planted_sae(model), adata, 1, 64)
        test = TestCells(cache, parts, measure(cache, parts.test, parts.validation, 4), np.array([0]))
        found = search(cache, parts, objective, QUICK, seed)
        trials = [t.scores for t in try_edits(test, found, cache.predict(test.rows, found.strengths), QUICK, seed)]
        drawn = trials[-9:]
        for name, values in p.items():
            values.append(drawn_summary(trials[0][name], np.array([scores[name] for scores in drawn]))["p"])
    for values in p.values():  # two-sided, of 9 draws: .2 is the smallest that there is
        small = sum(value is not None and value <= 0.2 for value in values)
        assert binomtest(small, 20, 0.2, alternative="greater").pvalue > 0.01


def test_the_observed_gap_is_in_log_counts_per_ten_thousand(cells):
    _, parts = split_types(_doubled(cells), "helper", "killer", "cell_type", None, 400, 0)
    twice = _doubled(cells)
    model = PlantedModel(n_genes=31)
    found = observed_gap(read_site_cache(model, planted_sae(model), twice, 1, 50), parts)
    scaled = np.log1p(twice.X.toarray() / twice.obs["total_counts"].to_numpy()[:, None] * 1e4)
    expected = scaled[parts.test.target].mean(axis=0) - scaled[parts.test.source].mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"penalties": 0}, "penalties is 0; it must be at least 1"),
        ({"n_genes": 1}, "n_genes is 1; it must be at least 2"),
        ({"null_replicates": -1}, "null_replicates is -1; it must be 0 or more"),
        ({"smallest_penalty": 1.0}, "smallest_penalty is 1.0; give a share between 0 and 1"),
        ({"train_cells": 0}, "train_cells is 0; it must be at least 1"),
        ({"bound": 0.0}, "bound is 0.0; it must be above 0"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        ContrastSettings(**change)


def test_an_unknown_objective_is_refused(planted):
    with pytest.raises(ConfigError, match=r"objective is 'both'; expected one of \['latent', 'expression', "):
        contrast(*planted, planted_cells(RECIPE), 1, "helper", "killer", "both")
