"""What the made-up run claims: every number has its control, its place on disk, and the verdict that follows."""

import pytest

from cellprism.report.claims import judgement
from cellprism.report.source import number_at
from cellprism.store.run import Run
from studies.made_up import edit_json, shown


def test_a_whole_run_makes_at_least_twelve_measured_claims(page):
    assert sum(claim.value is not None for claim in page.claims.values()) >= 12


def test_no_claim_stands_without_control_or_reason(page):
    for claim in page.claims.values():
        assert claim.null is not None or claim.why


def test_every_verdict_follows_from_the_numbers_beside_it(page):
    for claim in page.claims.values():
        said = judgement(claim.value, claim.interval, claim.null, matters=claim.test.matters)
        assert claim.verdict == said.verdict, claim.id


def test_every_number_is_in_the_file_and_field_that_it_names(page, whole_run):
    measured = [claim for claim in page.claims.values() if claim.source]
    assert len(measured) >= 40
    for claim in measured:
        assert claim.value == number_at(whole_run, claim.source), claim.id


def test_verdicts_of_the_made_up_run(page):
    expected = {
        "model-beats-ridge": "above chance",
        "model-beats-type-mean": "cannot be told here",  # 95 % of the paired difference reach below zero
        "cell-types-against-untrained": "above chance",
        "cell-types-against-raw": "at chance",
        "sae-explained-variance": "above chance",
        "sae-loss-recovered": "above chance",
        "annotated-against-popularity": "above chance",
        "annotated-against-untrained": "at chance",
        "annotated-against-neurons": "below chance",
        "correlated-against-coexpression": "above chance",
        "features-tell-types-apart": "above chance",
        "ladder-top20": "below chance",
        "ladder-correlation": "above chance",
        "features-tell-types-apart-beside-tokens": "at chance",
        "features-tell-types-apart-beside-components": "above chance",
        "features-follow-depth": "above chance",
        "features-follow-mitochondrial": "at chance",
        "components-share-meaning": "at chance",
        "modules-share-meaning": "above chance",
        "steer-programs-12-genes": "above chance",
        "steer-programs-12-lists": "above chance",
        "steer-programs-40-genes": "at chance",
        "steer-programs-71-genes": "cannot be told here",
        "contrast-latent-latent-progress": "above chance",
        "contrast-latent-expression-progress": "at chance",
        "contrast-latent-cd8a": "at chance",
        "contrast-latent-recipe-03": "cannot be told here",
        "regulators-directed": "at chance",
        "donors": "cannot be told here",
    }
    assert {id: page.claims[id].verdict for id in expected} == expected


def test_claims_stand_in_the_order_of_the_page(page):
    parts = list(dict.fromkeys(claim.section for claim in page.claims.values()))
    assert parts == [
        "The model", "The autoencoder", "Features and programs", "Gene or state", "The map of features", "Stability",
        "Cells in which features are high", "Conditions", "Steering", "Screen",
        "From one cell type to another", "Both at once", "Regulation", "Not told by this run",
    ]  # fmt: skip
    ours = [claim.id for claim in page.claims.values() if claim.section == "The autoencoder"]
    assert ours == ["sae-explained-variance", "sae-loss-recovered"]


def test_published_values_stand_beside_ours_with_their_model(page):
    for id in (
        "annotated-against-untrained", "contrast-latent-fraction-closer", "contrast-latent-cd8a", "regulators-directed",
    ):  # fmt: skip
        assert "AIDO.Cell-100M" in page.claims[id].published.model
    assert page.claims["contrast-latent-fraction-closer"].published.value == pytest.approx(931 / 1144)
    assert page.claims["contrast-expression-fraction-closer"].published.value == pytest.approx(0.17)


def test_a_step_that_was_not_run_claims_nothing_and_leaves_its_question_open(run_folder, page):
    assert not [id for id in page.claims if id in ("features-annotated", "types-steered")]
    for step in ("steer", "contrast", "programs"):
        Run(run_folder).forget(step)
    claims = shown(run_folder).claims
    assert not [id for id in claims if id.startswith(("steer-", "contrast-", "annotated-"))]
    assert {"sae-explained-variance", "features-annotated", "types-steered"} <= set(claims)


def test_an_empty_run_claims_only_what_cannot_be_told(tmp_path):
    Run(tmp_path).update(steps={})
    claims = shown(tmp_path).claims.values()
    assert claims
    assert all(claim.value is None and claim.verdict == "cannot be told here" for claim in claims)
    assert all(claim.section == "Not told by this run" for claim in claims)


def test_an_autoencoder_without_fair_controls_proves_nothing(run_folder):
    edit_json(run_folder / "fit" / "measures.json", lambda m: m.update(fair=None))
    claim = shown(run_folder).claims["sae-explained-variance"]
    assert (claim.verdict, claim.null) == ("cannot be told here", None)
    assert "transcoder" in claim.why


def test_a_model_without_a_loss_of_its_own_says_why_nothing_was_recovered(run_folder):
    edit_json(run_folder / "fit" / "measures.json", lambda m: m.update(splice=None, no_splice="it has no decoder"))
    claim = shown(run_folder).claims["sae-loss-recovered"]
    assert (claim.value, claim.verdict, claim.why) == (None, "cannot be told here", "it has no decoder")
