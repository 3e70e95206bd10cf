"""The top of the page, and what the run can and cannot show."""

import re
import shutil
from dataclasses import asdict, replace

import pytest
from studies.made_up import edit_json, shown

from cellprism.report.claims import Null, judgement
from cellprism.report.context import place_in_words
from cellprism.report.findings import findings_of, looked_at, tally, than_control
from cellprism.report.limits import limits_of
from cellprism.report.multiple import sentences
from cellprism.report.verdict import VERDICTS
from cellprism.store.run import Run
from cellprism.studies.programs.over_seeds import excess_of
from cellprism.studies.study import studies


def limits(page):
    return limits_of(page.context, list(page.sections.values()))


def with_seeds(run_folder, shares=None, controls=None) -> str:
    """What is said of features after the mean shares of features, or of controls, beside some controls were changed."""

    def change(found):
        for place, row in enumerate(found["rows"]):
            ours, theirs = (
                [one - was + changed.get(row["name"], was) for one in row[field]]
                for field, was, changed in (
                    ("shares", row["share"], shares or {}), ("controls", row["control"], controls or {}),
                )
            )  # fmt: skip
            found["rows"][place] = asdict(
                excess_of(row["name"], ours, theirs, row["lists"], row["p_draws"], row["draws"])
            )

    edit_json(run_folder / "programs" / "seeds.json", change)
    return shown(run_folder).sections["features"].said


@pytest.fixture
def empty(tmp_path):
    """The page of a run without steps."""
    Run(tmp_path / "empty").update(steps={})
    return shown(tmp_path / "empty")


def test_the_top_has_a_line_for_each_question_of_the_records_in_their_order(page):
    assert "mini (block 1, the 2nd of 3) while it read 331 cells of 7 types" in looked_at(page.context)
    ids = [finding.claim.id for finding in page.findings]
    assert ids == [
        "model-beats-type-mean", "cell-types-against-raw", "sae-explained-variance", "annotated-against-neurons",
        "features-follow-depth", "components-share-meaning", "features-stable", "ladder-top20", "lens-rare-cells",
        "compare-features-differ", "steer-programs-features-beat-controls", "screen-features-move-their-genes",
        "contrast-latent-nearer-target", "contrast-expression-expression-progress",
        "pareto-both-at-once", "regulators-directed",
    ]  # fmt: skip
    every_run = {name for name, study in studies().items() if study.every_run}
    assert 6 <= sum(len(studies()[name].headline) for name in every_run) <= 10
    for finding in page.findings:
        assert finding.said.endswith(".")
        assert not re.search(r"[+−]0\.\d|log\(1", finding.said), "an effect is in percent"
        assert finding.by_chance != "–"
        assert finding.claim == page.claims[finding.claim.id]
        assert finding.section in page.sections


def mirrored(claim):
    """A claim with its number as far on the other side of its control."""
    null = claim.null
    if null is None or null.value is None or claim.value is None:
        return claim
    turned = replace(claim, value=2 * null.value - claim.value, interval=None)
    if claim.interval:
        low, high = (2 * null.value - end for end in claim.interval)
        turned = replace(claim, value=turned.value, interval=(high, low))
    barred = judgement(claim.value, claim.interval, null, matters=claim.test.matters).verdict != claim.verdict
    found = judgement(turned.value, turned.interval, null, matters=claim.test.matters)
    return turned if barred else replace(turned, verdict=found.verdict, why=found.why)


def test_what_stands_on_top_is_chosen_without_a_look_at_its_direction(page):
    """Claims that say the opposite give the same lines in the same order."""
    for study, section in zip(studies().values(), page.sections.values(), strict=True):
        before = [finding.claim.id for finding in findings_of(study.headline, section)]
        turned = replace(section, claims=[mirrored(claim) for claim in section.claims])
        assert [finding.claim.id for finding in findings_of(study.headline, turned)] == before


def test_sentences_have_the_direction_of_their_verdict(page):
    claim = page.claims["sae-explained-variance"]
    for verdict, words in zip(VERDICTS, ("more than", "no more than", "less than", "not told apart from"), strict=True):
        assert than_control(replace(claim, verdict=verdict, why="a reason")).startswith(f"{words} vectors of the inner")
    steering = next(f for f in page.findings if f.section == "steering")
    assert "feature 12 (B cell receptor signalling) raises its genes by 25\u00a0%" in steering.said


def test_a_study_that_tells_nothing_has_its_claim_told(page):
    section = replace(page.sections["stability"], told={})
    (finding,) = findings_of(("features-stable",), section)
    assert finding.said == (
        "Features are found again by another training with another seed: 41\u00a0% of the features that fire, mean "
        "over trainings."
    )


def test_the_parts_say_what_was_found_beside_its_control(page):
    said = {id: section.said for id, section in page.sections.items()}
    features = "41\u00a0% of popularity-matched lists, 61\u00a0% of untrained autoencoders and 77\u00a0% of raw neurons"
    assert "61\u00a0% of its features" in said["features"]
    assert f"against {features}, tails apart, so matching a program is by itself no evidence" in said["features"]
    assert "88\u00a0% of features do, 66\u00a0% of co-expression modules." in said["features"]
    assert said["stability"].startswith("41\u00a0% of features are found again by another training with another seed")
    assert said["adds"].startswith(
        "The trained autoencoder leads in 1 of 3 measures, directions that nobody trained in 1"
    )
    assert "and 52 of 103 mark cells that lie together; set high, 1 of 2 raise their own genes" in said["lens"]
    assert said["compare"].startswith("Between treated and untreated, 3 of 124 features differ over donors (q < 0.05).")
    assert said["ladder"].startswith("Features exceed the hardest fair control by 1 of 2 ways of making lists")
    assert "feature 12 (B cell receptor signalling) raises its genes by 25\u00a0%" in said["steering"]
    assert "1 of 2 move them beyond features that nobody trained" in said["steering"]
    assert "(permuted labels 30\u00a0%)" in said["contrast"]
    assert "CD8A closes 4.0\u00a0% of its gap (permuted labels −4.0\u00a0% to 6.0\u00a0%)" in said["contrast"]
    assert said["regulation"].startswith("The model has no direction that matters between factors and their targets")
    for id, words in said.items():
        assert len(words.split()) <= 110, id


def test_the_tally_and_the_errors_are_of_all_claims(page):
    claims = list(page.claims.values())
    assert tally(claims).startswith(f"{len(claims)} claims: ")
    assert tally(claims[:1]).startswith("1 claim: 1 ")
    assert "would be called above or below chance all the same." in " ".join(sentences(claims))


def test_a_run_without_steps_has_nothing_on_top(empty):
    assert (empty.findings, looked_at(empty.context)) == ([], "")
    assert all(section.empty for section in empty.sections.values())


def test_the_summary_praises_features_only_beyond_all_controls(run_folder):
    names = [f"{name}, 20 genes each" for name in ("popularity", "untrained", "neurons")]
    assert "more than any of these explains" in with_seeds(run_folder, shares=dict.fromkeys(names, 0.9))


def test_the_summary_names_the_control_that_features_do_not_exceed(run_folder):
    said = with_seeds(run_folder, controls={"popularity, 20 genes each": 0.92})
    assert (
        "and 92\u00a0% of popularity-matched lists" in said or "against 92\u00a0% of popularity-matched lists" in said
    )
    assert "so matching a program is by itself no evidence" in said


def test_the_summary_says_when_modules_match_more_often(run_folder):
    rule = "coexpression, 20 genes by correlation"
    assert "merely vary together match programs more often" in with_seeds(run_folder, shares={rule: 0.5})


def test_what_is_said_of_steering_is_of_the_runs_own(run_folder, page):
    """A sweep that somebody tried beside it has a stronger effect and stands first by name."""
    folder = run_folder / "steer" / "a-try"
    shutil.copytree(run_folder / "steer" / "programs", folder)

    def change(summary):
        first = summary["features"][0]
        first["program"] = "Something tried"
        first["response"]["value"] = 9.5
        summary.update(features=[first], together={**summary["together"], "features": 1, "beat_controls": 1})

    edit_json(folder / "summary.json", change)
    both = shown(run_folder)
    assert "steer-a-try-12-genes" in both.claims
    assert both.sections["steering"].said == page.sections["steering"].said != ""
    assert [f.said for f in both.findings] == [f.said for f in page.findings]


def test_without_steering_of_its_own_a_run_says_nothing_of_what_was_tried(run_folder):
    folder = run_folder / "steer"
    (folder / "programs").rename(folder / "feature-7")
    tried = shown(run_folder)
    assert "steer-feature-7-12-genes" in tried.claims
    assert (tried.sections["steering"].said, tried.sections["steering"].told) == ("", {})
    assert not [finding for finding in tried.findings if finding.section == "steering"]


def test_a_question_stands_beside_its_hardest_fair_control(page):
    section, pattern = page.sections["features"], "annotated-against-*[a-z]"

    def first(claims) -> str:
        (finding,) = findings_of((pattern,), replace(section, claims=claims))
        return finding.claim.id

    claims = list(section.claims)
    rivals = [c for c in claims if c.id in ("annotated-against-popularity", "annotated-against-neurons")]
    worst = max(rivals, key=lambda c: c.null.value)
    assert first(claims) == worst.id
    barred = [replace(c, verdict="cannot be told here", why="of another length") if c is worst else c for c in claims]
    assert first(barred) != worst.id
    easiest = min(rivals, key=lambda c: c.null.value)
    null: Null = replace(easiest.null, value=0.99)
    hard = replace(easiest, null=null, verdict="below chance")
    assert first([hard if c is easiest else c for c in claims]) == easiest.id


@pytest.mark.parametrize(
    ("layer", "n_layers", "words"),
    [
        (0, 3, "block 0, the 1st of 3"),
        (2, 3, "block 2, the 3rd of 3"),
        (12, 18, "block 12, the 13th of 18"),
        (21, None, "block 21, the 22nd"),
    ],
)
def test_a_site_in_words(layer, n_layers, words):
    assert place_in_words(layer, n_layers) == words


def test_limits_come_from_the_run(page):
    found = limits(page)
    cannot = " ".join(found.cannot)
    for part in (
        "331 cells",
        "one donor",
        "not cells sorted",
        "211 of its 1,600 genes",
        "mini is small",
        "64 numbers per gene",
        "block 1, the 2nd of 3",
        "another training numbers them anew",
        "with 39 control features none can be below 0.05",
        "one donor's blood and nothing else",
    ):
        assert part in cannot, part
    can = " ".join(found.can)
    for part in ("which gene programs", "stronger or weaker", "CD4 T cells can be moved towards CD8 T"):
        assert part in can, part


def test_a_run_without_steps_can_show_nothing_yet(empty):
    found = limits(empty)
    assert found.can == ["Nothing yet: no step of this run has results."]


def test_a_wide_model_is_not_called_small(run_folder):
    edit_json(run_folder / "model.json", lambda m: m.update(d_model=640))
    assert "is small" not in " ".join(limits(shown(run_folder)).cannot)
