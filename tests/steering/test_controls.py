"""The controls are what they are called: each test here fails when its control is weakened in silence."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from cellprism.steering.contrast.contrast import contrast_read, read_contrast_cells
from cellprism.steering.contrast.recipe_search import measure, search
from cellprism.steering.contrast.scores import score
from cellprism.steering.contrast.trials import TestCells, _differences, _permuted, _random, edit_norms
from cellprism.steering.dose import DoseSettings, _sweeps, dose_sweep
from cellprism.steering.dose_cells import Types, read_dose_cells
from cellprism.steering.dose_work import Sweeping, one_by_one
from cellprism.steering.settings import ContrastSettings
from cellprism.steering.site_cache import SiteCache
from steering.planted import PlantedModel, planted_cells, planted_sae, values_of

SETTINGS = ContrastSettings(penalties=7, iterations=12, null_replicates=2, random_edits=3, resamples=9, n_genes=4)
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


@dataclass(frozen=True)
class Noting(SiteCache):
    """A cache that keeps the strengths it was asked for."""

    asked: list = field(default_factory=list)

    def predict(self, rows, strengths):
        self.asked.append((rows, strengths))
        return super().predict(rows, strengths)


def judged_by(read, cache) -> TestCells:
    base = measure(cache, read.parts.test, read.parts.validation, SETTINGS.n_genes)
    return TestCells(cache, read.parts, base, np.array([0]))


def test_permuted_labels_are_searched_with_the_same_effort_and_steer_the_true_source_cells(read, result):
    cache = Noting(**vars(read.cache))
    found = search(read.cache, read.parts, "latent", SETTINGS, SEED)
    test = judged_by(read, cache)
    norm = test.norm(found.strengths)
    trials = _permuted(test, found, norm, SETTINGS, SEED, None)
    for i, ((rows, strengths), trial) in enumerate(zip(cache.asked, trials, strict=True)):
        seed = SEED + 1 + i
        other = search(read.cache, read.parts.permuted(seed), "latent", SETTINGS, seed)
        assert len(other.points) == len(found.points)
        assert np.array_equal(rows, read.parts.test.source)
        own, _ = edit_norms(read.cache, rows, other.strengths)
        np.testing.assert_array_equal(strengths, other.strengths)
        assert trial.dose == pytest.approx(own / norm)
        after, there = read.cache.predict(rows, strengths), read.cache.baseline.part(read.parts.test.target)
        assert trial.scores == pytest.approx(
            score(test.base, read.cache.baseline.part(rows), after, there), nan_ok=True
        )
    drawn = result.trials[result.trials["kind"] == "permuted labels"]
    assert drawn["latent_progress"].tolist() == pytest.approx([t.scores["latent_progress"] for t in trials], rel=1e-4)


def test_the_p_of_permuted_labels_ranks_the_recipe_among_them(result):
    trials = result.trials.set_index("kind")
    for name in ("latent_progress", "nearer_target", "up_correct"):
        drawn, value = trials.loc["permuted labels", name], trials.loc["recipe", name].iloc[0]
        b, c = (drawn >= value).sum(), (drawn <= value).sum()
        assert result.summary["scores"][name]["permuted_labels"]["p"] == min(1, 2 * (1 + min(b, c)) / 3)


def test_random_recipes_have_the_recipe_s_edit_norm_and_none_of_its_features(read):
    cache = Noting(**vars(read.cache))
    found = search(read.cache, read.parts, "latent", SETTINGS, SEED)
    test = judged_by(read, cache)
    norm = test.norm(found.strengths)
    assert len(_random(test, found, norm, SETTINGS, SEED)) == len(cache.asked) == 3
    for rows, strengths in cache.asked:
        assert edit_norms(cache, rows, strengths)[0] == pytest.approx(norm, rel=1e-3)
        assert not ((strengths != 1) & (found.strengths != 1)).any()


def test_what_scores_comes_from_cells_that_are_not_fitted(read):
    test, cache = judged_by(read, read.cache), read.cache
    np.testing.assert_allclose(test.base.source, cache.baseline.embedding[read.parts.test.source].mean(axis=0))
    np.testing.assert_allclose(test.base.target, cache.baseline.embedding[read.parts.test.target].mean(axis=0))
    sides = (read.parts.validation.target, read.parts.validation.source)
    gap = np.subtract(*(np.asarray(cache.observed[rows].mean(axis=0)).ravel() for rows in sides))
    chosen = test.base.weight > 0
    np.testing.assert_allclose(test.base.weight[chosen], np.abs(gap[chosen]))


def test_the_difference_of_means_is_that_of_training_cells(read):
    x, train = read.cache.kept.x, read.parts.train
    found = _differences(judged_by(read, read.cache))["difference of means per gene"]
    expected = (x[train.target].mean(dim=0) - x[train.source].mean(dim=0))[:29]
    np.testing.assert_allclose(found[:29], expected, atol=1e-5)


def test_the_difference_of_means_moves_the_feature_s_genes_as_far_as_it_points_to_them(adata, swept):
    counts, group = values_of(adata).numpy(), np.arange(59) < 29
    (row,) = swept.nulls[swept.nulls["kind"] == "difference of means"].to_dict("records")
    model = PlantedModel()
    shared = (counts[group].mean(axis=0) - counts[~group].mean(axis=0)) @ model.rows[:29].numpy() / 29
    norm = 4 * np.sqrt((counts[:, 7] ** 2).sum())
    moves = shared * norm / np.linalg.norm(shared) / np.sqrt(59 * 29) @ model.rows[:29].numpy().T
    own = _groups(adata)[0]
    assert row["response"] == pytest.approx(moves[7] - moves[own.matched].mean(), rel=2e-2, abs=1e-3)
    assert swept.summary[0]["response"]["difference_of_means"] == pytest.approx(row["response"])


def _groups(adata):
    sweep = _swept(adata, DOSES)
    assert sweep.held_out is not None
    return sweep.own, sweep.held_out


def _swept(adata, settings):
    model = PlantedModel()
    dose_cells = read_dose_cells(model, planted_sae(model), adata, 1, 16, [7])
    sweeping = Sweeping(dose_cells, Types.among(adata), settings, lambda number: pytest.fail("no dictionary is read"))
    (sweep,) = _sweeps(sweeping, {7: (np.array([7]), np.array([9, 12]))}, (), one_by_one)
    return sweep


def test_genes_of_the_program_are_never_their_own_match(adata):
    own, held_out = _groups(adata)
    assert own.chosen.tolist() == [7]
    assert held_out.chosen.tolist() == [9, 12]
    sweep = _swept(adata, DoseSettings(matched_genes=26))
    assert sweep.held_out is not None
    for group in (sweep.own, sweep.held_out):
        assert set(group.matched.tolist()) == set(range(29)) - {7, 9, 12}


def test_held_out_genes_are_those_named_and_not_the_feature_s_own(swept):
    effects = swept.effects
    assert set(effects.loc[effects["held_out"], "gene"]) == {"G9"}
    assert abs(swept.summary[0]["held_out"]["value"]) < 0.05 * swept.summary[0]["response"]["value"]
