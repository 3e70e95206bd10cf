"""The controls are what they are called: each test here fails when its control is weakened in silence."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from cellprism.steering.contrast.baselines import (
    RANDOM_RECIPE,
    SHARES,
    _best_share,
    _differences,
    edit_norms,
    try_baselines,
)
from cellprism.steering.contrast.contrast import ContrastSettings, contrast_read, read_contrast_cells
from cellprism.steering.contrast.contrast_summary import score_summary
from cellprism.steering.contrast.recipe_search import search
from cellprism.steering.contrast.scores import score
from cellprism.steering.dose import DoseSettings, _sweep, dose_sweep
from cellprism.steering.dose_cells import read_dose_cells
from cellprism.steering.nulls import moved_along
from cellprism.steering.site_cache import SiteCache
from steering.planted import PlantedModel, planted_cells, planted_sae

SETTINGS = ContrastSettings(
    penalties=7, iterations=12, null_replicates=2, null_penalties=2, random_edits=3, resamples=9, n_genes=4
)
DOSES = DoseSettings(matched_genes=2)
SEED, NOW = 1, {3: 2.5, 11: 0.2}


@pytest.fixture(scope="module")
def read():
    model = PlantedModel()
    adata = planted_cells(NOW, noise=0.02)
    return read_contrast_cells(model, planted_sae(model), adata, 1, "helper", "killer", settings=SETTINGS, seed=SEED)


@pytest.fixture(scope="module")
def result(read):
    return contrast_read(read, "latent", ("G3",))


@pytest.fixture(scope="module")
def adata():
    return planted_cells({5: 0.0})[:59].copy()


@pytest.fixture(scope="module")
def swept(adata):
    model = PlantedModel()
    group = np.arange(59) < 29
    return dose_sweep(
        model, planted_sae(model), adata, 1, {7: ["G7"]}, held_out={7: ["G9"]}, groups={7: group}, settings=DOSES
    )


def short_scores(read, penalty, labels, seed) -> dict[str, float]:
    found = search(read.cache, labels, "latent", SETTINGS.null_effort(penalty), seed)
    rows, there = read.parts.test.source, read.parts.test.target
    if labels is not read.parts:
        rows, there = labels.test.source, labels.test.target
    before, target = read.cache.baseline.part(rows), read.cache.baseline.part(there)
    return score(found.baseline_values, before, read.cache.predict(rows, found.strengths), target)


def test_the_search_with_true_labels_is_as_short_as_those_with_shuffled_ones(read, result):
    penalty = result.path.loc[result.path["chosen"], "lambda"].item()
    trials = result.trials.set_index("kind")
    expected = short_scores(read, penalty, read.parts, SEED)
    assert trials.loc["true labels"][list(expected)].to_dict() == pytest.approx(expected, nan_ok=True)
    shuffled = trials.loc["shuffled labels"]
    for i in range(2):
        seed = SEED + 1 + i
        expected = short_scores(read, penalty, read.parts.shuffled(seed), seed)
        assert shuffled.iloc[i][list(expected)].to_dict() == pytest.approx(expected, nan_ok=True)


def test_what_shuffled_labels_are_compared_with_is_the_short_search_not_the_recipe(result):
    trials = result.trials.set_index("kind")
    scores = result.summary["scores"]
    for name in ("latent_progress", "latent_shift", "distance_closed"):
        short, long = trials.loc["true labels", name], trials.loc["recipe", name]
        assert short != long
        assert scores[name]["shuffled_labels"]["observed"] == short
        drawn = trials.loc["shuffled labels", name]
        assert scores[name]["shuffled_labels"]["p"] == (1 + (drawn >= short).sum()) / 3


def test_the_p_of_shuffled_labels_ranks_the_short_search(read):
    cache, parts = read.cache, read.parts
    found = search(cache, parts, "latent", SETTINGS.effort(), SEED)
    after = cache.predict(parts.test.source, found.strengths)
    before, there = (cache.baseline.part(rows) for rows in (parts.test.source, parts.test.target))
    trials = try_baselines(cache, parts, found, after, np.array([0]), 0, SEED)
    assert trials[0].scores["latent_progress"] > 0.8
    matched, shuffled = (dict.fromkeys(trials[0].scores, value) for value in (0.5, 0.6))
    found = score_summary(found.baseline_values, trials, matched, [shuffled] * 3, before, after, there, 9, SEED)
    assert found["latent_progress"]["shuffled_labels"]["p"] == 1


@dataclass(frozen=True)
class Noting(SiteCache):
    """A cache that keeps the strengths it was asked for."""

    asked: list = field(default_factory=list)

    def predict(self, rows, strengths):
        self.asked.append(strengths)
        return super().predict(rows, strengths)


def test_random_recipes_have_the_recipe_s_edit_norm(read):
    cache = Noting(**vars(read.cache))
    found = search(cache, read.parts, "latent", SETTINGS.effort(), SEED)
    rows = read.parts.test.source
    after = SiteCache.predict(cache, rows, found.strengths)
    trials = try_baselines(cache, read.parts, found, after, np.array([0]), 3, SEED)
    assert sum(t.kind == RANDOM_RECIPE for t in trials) == len(cache.asked) == 3
    norm, _ = edit_norms(cache, rows, found.strengths)
    for strengths in cache.asked:
        assert edit_norms(cache, rows, strengths)[0] == pytest.approx(norm, rel=1e-3)


def test_the_difference_of_means_is_that_of_training_cells(read):
    x, train = read.cache.kept.x, read.parts.train
    found = _differences(read.cache, read.parts)["difference of means per gene"]
    expected = (x[train.target].mean(dim=0) - x[train.source].mean(dim=0))[:29]
    np.testing.assert_allclose(found[:29], expected, atol=1e-5)


def test_its_best_norm_is_chosen_on_validation_cells(read):
    cache = read.cache
    found = search(cache, read.parts, "latent", SETTINGS.effort(), SEED)
    vectors = _differences(cache, read.parts)["difference of means"]
    rows = read.parts.validation.source
    assert np.array_equal(found.validator.rows, rows)
    norm, _ = edit_norms(cache, rows, found.strengths)
    distances = []
    for share in SHARES:
        after = cache.predict_from(moved_along(cache, rows, vectors, norm * share)).embedding
        distances.append(((after - found.baseline_values.target) ** 2).sum(axis=1).mean())
    assert _best_share(cache, found, vectors) == SHARES[int(np.argmin(distances))]


def test_the_difference_of_means_moves_the_feature_s_genes_as_far_as_it_points_to_them(adata, swept):
    counts, group = adata.X.toarray(), np.arange(59) < 29
    (row,) = swept.nulls[swept.nulls["kind"] == "difference of means"].to_dict("records")
    model = PlantedModel()
    shared = (counts[group].mean(axis=0) - counts[~group].mean(axis=0)) @ model.rows[:29].numpy() / 29
    norm = 4 * np.sqrt((counts[:, 7] ** 2).sum())
    moves = shared * norm / np.linalg.norm(shared) / np.sqrt(59 * 29) @ model.rows[:29].numpy().T
    own = _groups(adata)[0]
    assert row["response"] == pytest.approx(moves[7] - moves[own.matched].mean(), rel=2e-2, abs=1e-3)
    assert swept.summary[0]["response"]["difference_of_means"] == pytest.approx(row["response"])


def _groups(adata):
    model = PlantedModel()
    dose_cells = read_dose_cells(model, planted_sae(model), adata, 1, 16, [7])
    sweep = _sweep(dose_cells, 7, np.array([7]), np.array([9, 12]), DOSES)
    assert sweep.held_out is not None
    return sweep.own, sweep.held_out


def test_genes_of_the_program_are_never_their_own_match(adata):
    own, held_out = _groups(adata)
    assert own.chosen.tolist() == [7]
    assert held_out.chosen.tolist() == [9, 12]
    model = PlantedModel()
    wide = DoseSettings(matched_genes=26)
    dose_cells = read_dose_cells(model, planted_sae(model), adata, 1, 16, [7])
    sweep = _sweep(dose_cells, 7, np.array([7]), np.array([9, 12]), wide)
    for group in (sweep.own, sweep.held_out):
        assert set(group.matched.tolist()) == set(range(29)) - {7, 9, 12}


def test_held_out_genes_are_those_named_and_not_the_feature_s_own(swept):
    effects = swept.effects
    assert set(effects.loc[effects["held_out"], "gene"]) == {"G9"}
    assert abs(swept.summary[0]["held_out"]["value"]) < 0.05 * swept.summary[0]["response"]["value"]
