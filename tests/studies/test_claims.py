import json
import shutil

import pytest

from cellprism.report.gather.all import gather_claims
from cellprism.report.inputs import read_run
from cellprism.report.verdict import judge


@pytest.fixture(scope="module")
def claims(facts):
    return {claim.id: claim for claim in gather_claims(facts)}


def field_of(value, path):
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def test_a_whole_run_makes_at_least_twelve_measured_claims(claims):
    assert sum(claim.value is not None for claim in claims.values()) >= 12


def test_no_claim_stands_without_control_or_reason(claims):
    for claim in claims.values():
        assert claim.null is not None or claim.why


def test_every_verdict_follows_from_the_numbers_beside_it(claims):
    for claim in claims.values():
        null = claim.null.interval if claim.null else None
        if "neurons" not in claim.id:  # an unfair control: see below
            assert claim.verdict == judge(claim.value, claim.interval, null, matters=claim.test.matters).verdict


def test_every_number_is_in_the_file_and_field_that_it_names(claims, whole_run):
    found = 0
    for claim in claims.values():
        if claim.source is None:
            continue
        path = whole_run / claim.source.file
        assert path.exists(), claim.id
        field = claim.source.field.split(" ")[0]
        if path.suffix == ".json" and "[" not in field:
            value = field_of(json.loads(path.read_text()), field)
            assert claim.value == pytest.approx(1 - value if "1 − value" in claim.source.field else value), claim.id
            found += 1
    assert found >= 25


def test_verdicts_of_the_made_up_run(claims):
    expected = {
        "model-beats-ridge": "above chance",
        "model-beats-type-mean": "cannot be told here",  # 95 % of the paired difference reach below zero
        "cell-types-against-untrained": "above chance",
        "cell-types-against-raw": "at chance",
        "annotated-against-uniform": "above chance",
        "annotated-against-popularity": "above chance",
        "annotated-against-coexpression": "at chance",
        "annotated-against-neurons": "cannot be told here",
        "features-tell-types-apart": "above chance",
        "steer-programs-12-genes": "above chance",
        "steer-programs-40-genes": "at chance",
        "contrast-latent-latent-progress": "above chance",
        "contrast-latent-expression-progress": "cannot be told here",
        "contrast-latent-cd8a": "at chance",
        "contrast-latent-recipe-03": "cannot be told here",
        "regulators-directed": "cannot be told here",
        "donors": "cannot be told here",
    }
    assert {id: claims[id].verdict for id in expected} == expected


def test_lists_of_another_length_allow_no_verdict(claims):
    claim = claims["annotated-against-neurons"]
    assert claim.why == "lists of 21 and of 189 genes on average: long lists match more easily"


def test_a_longer_search_than_that_with_shuffled_labels_is_no_evidence(run_folder):
    path = run_folder / "contrast" / "latent" / "summary.json"
    summary = json.loads(path.read_text())
    summary["scores"]["latent_progress"]["shuffled_labels"]["observed"] = 0.07
    path.write_text(json.dumps(summary))
    claim = next(c for c in gather_claims(read_run(run_folder)) if c.id == "contrast-latent-latent-progress")
    assert claim.verdict == "cannot be told here"
    assert "as short as those with shuffled ones reaches only 0.07" in claim.why


def test_published_values_stand_beside_ours_with_their_model(claims):
    for id in (
        "annotated-against-uniform",
        "contrast-latent-fraction-closer",
        "contrast-latent-cd8a",
        "regulators-directed",
    ):
        assert "AIDO.Cell-100M" in claims[id].published.model
    assert claims["contrast-latent-fraction-closer"].published.value == pytest.approx(931 / 1144)
    assert claims["contrast-expression-fraction-closer"].published.value == pytest.approx(0.17)


def test_recipe_sizes_are_counted_from_the_recipe(claims, facts):
    strengths = facts.contrasts[0].recipe["strength"]
    assert claims["contrast-latent-recipe-03"].value == sum(abs(s - 1) > 0.3 for s in strengths)


def test_features_beyond_shuffled_labels_are_counted_among_those_that_fire(claims, facts):
    table = facts.features.table
    fires = table[table["firing_rate"] > 0]
    claim = claims["features-tell-types-apart"]
    assert claim.value == pytest.approx((fires["type_share"] > facts.features.chance_share).mean())
    assert claim.test.n == len(fires)
    assert claim.null.interval[0] <= 0.05 <= claim.null.interval[1]


def test_a_step_that_was_not_run_claims_nothing(run_folder):
    for step in ("steer", "contrast", "terms"):
        shutil.rmtree(run_folder / step)
    ids = [claim.id for claim in gather_claims(read_run(run_folder))]
    assert not [id for id in ids if id.startswith(("steer-", "contrast-", "annotated-"))]
    assert "sae-explained-variance" in ids


def test_an_empty_run_claims_only_what_cannot_be_told(tmp_path):
    claims = gather_claims(read_run(tmp_path))
    assert claims
    assert all(claim.value is None and claim.verdict == "cannot be told here" for claim in claims)


def test_an_autoencoder_without_controls_proves_nothing(run_folder):
    path = run_folder / "sae" / "L1" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"controls": {}, "explained_within": None}))
    claim = next(c for c in gather_claims(read_run(run_folder)) if c.id == "sae-explained-variance")
    assert (claim.verdict, claim.null) == ("cannot be told here", None)
    assert "no control was measured" in claim.why


def test_a_gene_that_is_not_measured_says_so(run_folder):
    path = run_folder / "contrast" / "latent" / "summary.json"
    summary = json.loads(path.read_text())
    summary["named"]["CD8A"] = {"measured": False}
    path.write_text(json.dumps(summary))
    claim = next(c for c in gather_claims(read_run(run_folder)) if c.id == "contrast-latent-cd8a")
    assert claim.verdict == "cannot be told here"
    assert "CD8A is not among the genes of this run" in claim.why
