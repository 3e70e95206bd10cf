"""The whole contrast, on a model whose recipe is known and on one with random weights."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import kstest

from cellprism.errors import ConfigError
from cellprism.steering.contrast.cell_split import split_types
from cellprism.steering.contrast.contrast import contrast, observed_gap
from cellprism.steering.contrast.recipe_search import search
from cellprism.steering.settings import ContrastSettings, Effort
from cellprism.steering.site_cache import read_site_cache
from cellprism.store.tables import read_table, write_table
from steering.planted import PlantedModel, planted_cells, planted_sae

RECIPE = {3: 2.5, 11: 0.2}
SMALL = ContrastSettings(
    penalties=7, iterations=40, null_replicates=3, null_penalties=2, random_edits=3, resamples=29, n_genes=4
)


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
        assert scores[name]["random_recipe"]["p"] == pytest.approx(1 / 4)
        assert scores[name]["low"] <= scores[name]["value"] <= scores[name]["high"]
    assert scores["fraction_closer"]["value"] == 1
    assert scores["up_correct"]["value"] == scores["down_correct"]["value"] == 1
    assert scores["drift"]["value"] < 0.1


def test_the_difference_of_means_may_choose_its_norm_where_the_recipe_s_would_overshoot(result):
    trials = result.trials.set_index("kind")
    even, tuned = trials.loc["difference of means"], trials.loc["difference of means, best norm"]
    assert tuned["norm"] <= even["norm"] == 1
    if result.summary["objective"] == "latent":
        assert even["latent_progress"] > 2
        assert tuned["distance_closed"] > even["distance_closed"]


def test_named_genes_are_reported_moved_unmoved_or_not_measured(result):
    named = result.summary["named"]
    assert named["G3"]["moved"]
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
        "recipe": 1,
        "difference of means": 1,
        "difference of means, best norm": 1,
        "difference of means per gene": 1,
        "difference of means per gene, best norm": 1,
        "random direction": 3,
        "random recipe": 3,
        "true labels": 1,
        "shuffled labels": 3,
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
    assert first.summary["scores"]["fraction_closer"] != second.summary["scores"]["fraction_closer"]
    assert first.cells["cell"].tolist() == [f"cell{i}" for i in split["test"] if i < 53]


def test_a_run_is_the_same_run_with_the_same_seed_and_another_with_another(real_model, real_sae, cells):
    quick = ContrastSettings(
        penalties=2, iterations=2, null_replicates=1, null_penalties=1, random_edits=1, resamples=9, n_genes=4
    )
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


@pytest.mark.slow
def test_shuffled_labels_give_uniform_p_values_where_the_types_do_not_differ():
    model = PlantedModel()
    effort = Effort(2, 3, 8, 4, 6.0)
    ps = []
    for seed in range(13):
        adata = planted_cells({}, n_source=23, n_target=29, seed=seed)
        _, parts = split_types(adata, "helper", "killer", "cell_type", None, 400, seed)
        cache = read_site_cache(model, planted_sae(model), adata, 1, 64)
        gains = []
        for labels in (parts, *(parts.shuffled(10 * seed + i) for i in range(1, 10))):
            found = search(cache, labels, "latent", effort, seed)
            gains.append(found.validation[-1])
        ps.append((1 + sum(gain <= gains[0] for gain in gains[1:])) / 10)
    assert kstest(np.array(ps) - 0.05, "uniform").pvalue > 0.01


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
        ({"bound": 0.0}, "bound is 0.0; it must be above 0"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        ContrastSettings(**change)


def test_an_unknown_objective_is_refused(planted):
    with pytest.raises(ConfigError, match=r"objective is 'both'; expected one of \['latent', 'expression'\]"):
        contrast(*planted, planted_cells(RECIPE), 1, "helper", "killer", "both")
