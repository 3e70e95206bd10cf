"""The top of the page, and what the run can and cannot show."""

import shutil
from dataclasses import asdict, replace

import pytest
from studies.made_up import edit_json, shown

from cellprism.report.context import place_in_words
from cellprism.report.limits import limits_of
from cellprism.report.summary import key_numbers, summary_sentences
from cellprism.store.run import Run
from cellprism.studies.programs.over_seeds import excess_of


def sentences(page) -> list[str]:
    return summary_sentences(page.context, list(page.sections.values()), list(page.claims.values()))


def limits(page):
    return limits_of(page.context, list(page.sections.values()), list(page.claims.values()))


def with_seeds(run_folder, shares=None, controls=None) -> str:
    """What the summary says of features after the mean shares of features, or of controls, beside some controls were
    changed."""

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
    return sentences(shown(run_folder))[1]


@pytest.fixture
def empty(tmp_path):
    """The page of a run without steps."""
    Run(tmp_path / "empty").update(steps={})
    return shown(tmp_path / "empty")


def test_the_summary_has_this_runs_numbers_each_with_its_control(page):
    what, *told, tally, errors = sentences(page)
    parts = {id: section.summary for id, section in page.sections.items() if section.summary}
    assert told == list(parts.values())
    features, stability, adds, ladder = (parts[id] for id in ("features", "stability", "adds", "ladder"))
    high, conditions, steering = (parts[id] for id in ("lens", "compare", "steering"))
    contrast, regulation = (parts[id] for id in ("contrast", "regulation"))
    assert "mini (block 1, the 2nd of 3)" in what
    assert "331 cells of 7 types" in what
    assert "61\u00a0% of its features" in features
    said = "41\u00a0% of popularity-matched lists, 61\u00a0% of untrained SAE and 77\u00a0% of raw neurons, tails apart"
    assert f"against {said}, so matching a program is by itself no evidence" in features
    assert "88\u00a0% of features do, 66\u00a0% of co-expression modules." in features
    assert stability.startswith(
        "Another training finds 41\u00a0% of the features again, chance 5.0\u00a0% (above chance)"
    )
    assert adds.startswith("The trained autoencoder leads in 1 of 3 measures, directions that nobody trained in 1")
    assert "and 52 of 103 mark cells that lie together; set high, 1 of 2 raise their own genes" in high
    assert conditions == "Between treated and untreated, 3 of 124 features differ over donors (q < 0.05)."
    assert ladder.startswith("Features exceed the hardest fair control by 1 of 2 ways of making lists")
    assert "feature 12 (B cell receptor signalling) moves its genes by 0.22" in steering
    assert "95 % of features that nobody trained, on theirs: −0.02 to +0.031" in steering
    assert "1 of 2 steered features" in steering
    assert "(30\u00a0% with recipes fitted on permuted labels: above chance)" in contrast
    assert "CD8A closes 4.0\u00a0% of its gap (permuted labels −4.0\u00a0% to 6.0\u00a0%)" in contrast
    assert regulation.startswith("The model has no direction that matters between factors and their targets: a target")
    assert tally.startswith(f"Of {len(page.claims)} claims")
    assert "would be called above or below chance all the same. Of the " in errors
    assert "Benjamini-Yekutieli" in errors


def test_the_summary_of_a_run_without_steps_claims_nothing(empty):
    assert len(sentences(empty)) == 1


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


def test_the_summary_speaks_of_the_runs_own_steering(run_folder, page):
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
    assert sentences(both)[2] == sentences(page)[2]
    for name in ("Something tried", "9.5", "1 of 1"):
        assert name not in " ".join(sentences(both))


def test_the_key_number_of_steering_is_that_of_the_runs_own(run_folder, page):
    folder = run_folder / "steer" / "feature-7"
    shutil.copytree(run_folder / "steer" / "programs", folder)
    edit_json(folder / "summary.json", lambda s: s["together"].update(share=1.0, interval=[0.9, 1.0]))
    both = shown(run_folder)
    assert both.claims["steer-feature-7-features-beat-controls"].value == 1.0
    assert both.sections["steering"].keys == page.sections["steering"].keys != []


def test_without_steering_of_its_own_a_run_says_nothing_of_what_was_tried(run_folder):
    folder = run_folder / "steer"
    (folder / "programs").rename(folder / "feature-7")
    tried = shown(run_folder)
    assert "steer-feature-7-12-genes" in tried.claims
    assert (tried.sections["steering"].summary, tried.sections["steering"].keys) == ("", [])


def test_every_key_number_has_a_control_and_a_verdict(page):
    keys = [key for section in page.sections.values() for key in section.keys]
    assert [section.id for section in page.sections.values() if section.keys] == [
        "model", "features", "steering", "screen", "contrast",
    ]  # fmt: skip
    assert len(keys) == 5
    for key in keys:
        assert key.control != "no control was measured"
        assert key.verdict == page.claims[key.claim].verdict


def test_a_key_number_stands_beside_its_hardest_control(page):
    claims = list(page.claims.values())

    def rate(claims):
        (key,) = key_numbers(claims, "annotated-against-", "of features")
        return key

    rivals = [c for c in claims if c.id.startswith("annotated-against-")]
    assert len(rivals) == 3
    hardest = max(rivals, key=lambda c: c.null.value)
    assert (rate(claims).claim, rate(claims).verdict) == (hardest.id, hardest.verdict)
    assert page.sections["features"].keys[0].claim == hardest.id
    easiest = min(rivals, key=lambda c: c.null.value)
    barred = [replace(c, verdict="cannot be told here", why="of another length") if c is hardest else c for c in claims]
    assert rate(barred).claim != hardest.id
    hard = replace(easiest, null=replace(easiest.null, value=0.99), verdict="below chance")
    swapped = [hard if c is easiest else c for c in claims]
    assert rate(swapped).claim == easiest.id


def test_a_run_without_steps_has_no_key_numbers(empty):
    assert [key for section in empty.sections.values() for key in section.keys] == []


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
    assert any("popularity-matched lists (E1), top 20 genes 41\u00a0%" in text for text in found.found)
    assert any("untrained SAE (E4), top 20 genes 61\u00a0%" in text for text in found.failed)


def test_a_run_without_steps_can_show_nothing_yet(empty):
    found = limits(empty)
    assert found.can == ["Nothing yet: no step of this run has results."]
    assert (found.found, found.failed) == ([], [])


def test_a_wide_model_is_not_called_small(run_folder):
    edit_json(run_folder / "model.json", lambda m: m.update(d_model=640))
    assert "is small" not in " ".join(limits(shown(run_folder)).cannot)
