"""Planted truth: models of which it is known what they know get the numbers, claims and banners that they deserve."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from cellprism.cells.noise import noise_cells
from cellprism.errors import ModelError
from cellprism.parallel.shards import from_json
from cellprism.report.context import Context
from cellprism.studies.assess import work
from cellprism.studies.assess.banner import banner
from cellprism.studies.assess.card import card_scores
from cellprism.studies.assess.claims import claims
from cellprism.studies.assess.hidden import median_correlation, paired_errors
from cellprism.studies.assess.pieces import Asking, answered
from cellprism.studies.assess.settings import AssessSettings
from cellprism.studies.assess.split import split_of
from cellprism.studies.assess.tables import Assessment, CardScores
from studies.assess.planted import CELLS, DEPTH, GENES, KINDS, Planted, planted_cells, planted_shares

CONTEXT = Context("planted", {}, 0, None, None)
SETTINGS = AssessSettings(cells=89)


def measured(model, split, settings, layer, seed, size, card) -> Assessment:
    ask = Asking(model, split, settings, layer, seed, size)
    return work.measured(ask, card, lambda asked: {question: from_json(answered(ask, question)) for question in asked})


@pytest.fixture(scope="module")
def split():
    return split_of(planted_cells(), SETTINGS, 3)


@pytest.fixture(scope="module")
def found(split):
    """What is found of each kind of planted model."""
    kinds = ("knows", "nothing", "shifted", "backwards")
    return {how: measured(Planted(how), split, SETTINGS, 0, 3, 17, CardScores()) for how in kinds}


def verdicts(found: Assessment) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in claims(found, CONTEXT)}


def test_a_model_that_knows_everything_beats_the_gene_means_and_stands_level_with_the_types(found):
    methods = found["knows"].hidden_genes.methods
    assert methods["model"].removed > 0.4
    assert methods["model"].value == pytest.approx(methods["type mean"].value, abs=0.02)
    said = verdicts(found["knows"])
    assert said["model-beats-gene-mean"] == "above chance"
    assert said["model-beats-ridge"] == "above chance"
    assert said["hidden-output-follows-counts"] == said["visible-output-follows-counts"] == "above chance"
    assert banner(found["knows"], claims(found["knows"], CONTEXT)) == ""


def test_a_model_that_knows_nothing_is_exactly_the_gene_means_and_is_bannered(found):
    nothing = found["nothing"].hidden_genes
    assert nothing.methods["model"].value == pytest.approx(1, abs=1e-6)
    assert nothing.methods["model as it is"].value > 1
    assert nothing.agreement == {}  # what does not vary agrees with nothing
    assert verdicts(found["nothing"])["model-beats-gene-mean"] == "at chance"
    assert "is no better than always answering" in banner(found["nothing"], claims(found["nothing"], CONTEXT))


def test_recentring_saves_a_model_whose_gene_means_are_those_of_another_platform(found):
    shifted, knows = found["shifted"].hidden_genes.methods, found["knows"].hidden_genes.methods
    assert shifted["model as it is"].value > 1.5
    assert verdicts(found["shifted"])["model-beats-gene-mean"] == "above chance"
    assert shifted["model"].value < 0.7
    # the shift also misleads it about types: what is left of that is all that recentring cannot save
    assert shifted["model"].value >= knows["model"].value - 1e-6


def test_minus_the_counts_at_visible_tokens_is_found_and_hidden_ones_are_unharmed(found):
    agreement = found["backwards"].hidden_genes.agreement
    assert agreement["visible"].value == pytest.approx(-1, abs=1e-6)
    assert agreement["hidden"].value == pytest.approx(found["knows"].hidden_genes.agreement["hidden"].value, abs=1e-6)
    said = verdicts(found["backwards"])
    assert said["visible-output-follows-counts"] == "below chance"
    assert said["hidden-output-follows-counts"] == said["model-beats-gene-mean"] == "above chance"


def test_noise_cells_give_no_agreement_and_no_gain(found):
    noise = found["knows"].noise
    low, high = noise.agreement["hidden"].interval
    assert low < 0.05
    assert high > -0.05
    assert abs(noise.agreement["hidden"].value) < 0.1
    assert noise.methods["model"].value >= 1
    assert noise.methods["ridge"].value > 0.98
    assert "type mean" not in noise.methods


def test_the_gene_means_of_the_training_data_come_from_the_card(split, found):
    own = found["knows"].hidden_genes
    assert own.over_training_means is None
    from cellprism.cells.expression import log1p_cp10k

    means = np.asarray(log1p_cp10k(split.cells[split.fit]).mean(axis=0)).ravel()
    card = {"gene_means": means.tolist()}
    again = measured(Planted("knows", card=card), split, SETTINGS, 0, 3, 17, CardScores()).hidden_genes
    # where training data are these very cells, the two ratios have the same denominator
    assert again.over_training_means.value == pytest.approx(own.methods["model as it is"].value, rel=1e-5)
    far = {"gene_means": (means + 3).tolist()}
    again = measured(Planted("knows", card=far), split, SETTINGS, 0, 3, 17, CardScores()).hidden_genes
    assert again.methods["training gene mean"].value > 5
    assert again.over_training_means.value < 0.2


def test_a_model_that_predicts_no_amounts_is_only_read_for_types(split):
    model = Planted("knows", predicts="token_logit")
    only = measured(model, split, SETTINGS, 0, 3, 17, CardScores())
    assert only.hidden_genes is None
    assert only.noise is None
    assert only.absent == ["planted does not predict amounts, so that there is no error on hidden genes."]
    assert only.cell_types["raw expression"].value > 0.95
    assert only.cell_types["largest type"].value == pytest.approx(1 / 3, abs=0.02)
    assert "untrained network" not in only.cell_types


def test_cells_without_types_are_measured_all_the_same():
    cells = planted_cells()
    del cells.obs["cell_type"]
    bare = measured(Planted("knows"), split_of(cells, SETTINGS, 3), SETTINGS, 0, 3, 17, CardScores())
    assert set(bare.hidden_genes.methods) == {"model", "model as it is", "ridge", "gene mean"}
    assert bare.cell_types == {}
    assert bare.absent == ["The cells carry no types, or only one, so that none can be read from the model."]


def test_a_model_of_whole_cells_is_measured_by_hidden_counts(split):
    knows = measured(planted_shares(), split, SETTINGS, 0, 3, 17, CardScores())
    counts = knows.hidden_counts
    assert knows.hidden_genes is None
    assert counts["gene mean"].value == 0
    assert counts["model"].value == pytest.approx(counts["type mean"].value, abs=0.01)
    assert counts["model"].value > 0.1
    assert counts["untrained network"].value == pytest.approx(0, abs=0.01)
    said = verdicts(knows)
    assert said["model-gains-over-gene-mean"] == said["model-gains-over-untrained-network"] == "above chance"
    shifted = measured(planted_shares(shifted=True), split, SETTINGS, 0, 3, 17, CardScores())
    assert shifted.hidden_counts["model as it is"].value < counts["model"].value - 0.05
    assert shifted.hidden_counts["model"].value == pytest.approx(counts["model"].value, abs=0.02)
    nothing = measured(planted_shares(knows=False), split, SETTINGS, 0, 3, 17, CardScores())
    assert nothing.hidden_counts["model"].value == pytest.approx(0, abs=1e-6)
    assert "no better than the gene means at predicting" in banner(nothing, claims(nothing, CONTEXT))


def test_what_is_fitted_is_not_judged_and_every_type_is_on_both_sides(split):
    assert not set(split.fit) & set(split.test)
    assert set(split.asked) <= set(split.fit)
    assert (len(split.asked), len(split.test)) == (89, 89)
    assert len(split.fit) == pytest.approx(0.6 * CELLS, abs=3)
    for rows in (split.fit, split.test):
        assert set(split.labels[rows]) == set(KINDS)
    again = split_of(planted_cells(), SETTINGS, 3)
    assert list(again.cells.obs_names) == list(split.cells.obs_names)
    other = split_of(planted_cells(), SETTINGS, 4)
    assert list(other.cells.obs_names) != list(split.cells.obs_names)


def test_the_same_seed_gives_the_same_numbers(split, found):
    assert measured(Planted("knows"), split, SETTINGS, 0, 3, 23, CardScores()) == found["knows"]


def test_noise_cells_have_the_margins_of_the_cells_and_nothing_else():
    cells = planted_cells()
    cells.obs["total_counts"] = np.asarray(cells.X.sum(axis=1)).ravel() + 101.0
    noise = noise_cells(cells, 5)
    counts, drawn = cells.X.toarray(), noise.X.toarray()
    assert drawn.sum(axis=1) == pytest.approx(counts.sum(axis=1), abs=5 * DEPTH**0.5)
    assert drawn.sum(axis=0) == pytest.approx(counts.sum(axis=0), rel=0.1)
    assert (noise.obs["total_counts"] - drawn.sum(axis=1)).to_numpy() == pytest.approx(101)
    between = [np.var([x[(cells.obs["cell_type"] == k).to_numpy()].mean(axis=0) for k in KINDS], axis=0).mean()
               for x in (counts, drawn)]  # fmt: skip
    assert between[1] < 0.01 * between[0]
    assert (noise_cells(cells, 5).X != noise.X).nnz == 0
    cells.X = cells.X * 0
    cells.X[:, 0] = 1
    assert (noise_cells(cells, 5).X.sum(axis=1) > 0).all()


def test_paired_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits, replicates, n = 0, 400, 120
    for _ in range(replicates):
        hard = rng.gamma(4, 1 / 4, n)  # a cell is hard for every method
        per_cell = {
            "gene mean": hard + rng.normal(0, 0.1, n),
            "model": 0.85 * hard + rng.normal(0, 0.1, n),
            "ridge": 0.9 * hard + rng.normal(0, 0.1, n),
        }
        low, high = paired_errors(per_cell, hard**2, rng.integers(n, size=(500, n)))["ridge"].behind
        hits += low <= 0.05 <= high
    low, high = binom.ppf([0.001, 0.999], replicates, 0.945)  # a percentile bootstrap of 120 cells is a little narrow
    assert low <= hits <= high


def test_cells_that_are_all_the_same_have_no_error_to_remove():
    cells = planted_cells()
    cells.X = cells.X[np.zeros(CELLS, dtype=int)]
    found = measured(Planted("knows"), split_of(cells, SETTINGS, 3), SETTINGS, 0, 3, 17, CardScores())
    assert found.hidden_genes is None
    assert "The hidden genes have the same counts in all cells, so that there is no error to remove." in found.absent
    assert banner(found, claims(found, CONTEXT)) == ""


def test_draws_of_cells_without_an_error_say_nothing():
    gene_mean, model = np.array([1e-15, 1e-15, 2.0]), np.array([3.0, 0.0, 1.0])
    draws = np.array([[0, 1, 1], [0, 1, 2], [2, 2, 2]])
    found = paired_errors({"gene mean": gene_mean, "model": model}, np.ones(3), draws)["model"]
    assert found.value == pytest.approx(2)
    assert found.interval == pytest.approx((0.5375, 2), abs=1e-6)


def test_an_agreement_of_nothing_is_none_and_its_interval_holds_it():
    assert median_correlation([np.full((5, 3), np.nan)]) is None
    rng = np.random.default_rng(1)
    measure = median_correlation([rng.normal(0.3, 0.1, size=(200, 31)), np.full((200, 2), np.nan)])
    assert measure.interval[0] <= measure.value <= measure.interval[1]


def test_scores_that_lack_a_number_are_the_cards_fault():
    with pytest.raises(ModelError, match="the card of 'mini' holds scores without 'of_gene_mean'; measure it again"):
        card_scores("mini", {"assessment": {"masked": {"methods": {"model": {"mse": 1.0}}}}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test": 1.0}, "test is 1.0: expected a number between 0 and 1"),
        ({"hidden": 0.0}, "hidden is 0.0: expected a number between 0 and 1"),
        ({"cells": 3}, "cells is 3: expected a whole number of at least 10"),
        ({"masks": 0}, "masks is 0: expected a whole number of at least 1"),
    ],
)
def test_impossible_settings_are_refused(change, words):
    from cellprism.errors import ConfigError

    with pytest.raises(ConfigError, match=words):
        replace(SETTINGS, **change)


def test_genes_are_hidden_in_the_share_asked_for(split):
    few = measured(Planted("knows"), split, replace(SETTINGS, hidden=1 / GENES), 0, 3, 17, CardScores())
    assert few.hidden_genes.methods["model"].interval[1] - few.hidden_genes.methods["model"].interval[0] > 0.05
