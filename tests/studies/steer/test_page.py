"""Steered features on the page: titles in the verdict of their claims, bands where control features lie."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellprism.equations.effects import permutation_p
from cellprism.report.claims import Null
from cellprism.report.effect import in_percent
from cellprism.report.words import words_for
from cellprism.steering.settings import CONTROL
from cellprism.studies.steer.claims import claims as claims_of
from cellprism.studies.steer.feature_tables import steering_table, term_table, type_table
from cellprism.studies.steer.figures import dose_figure, dose_title, overview_figure
from cellprism.studies.steer.page import section
from cellprism.studies.steer.tables import Steering
from cellprism.studies.steer.view import features_of, unjudged_of
from studies.made_up import edit_json, shown


@pytest.fixture
def features(page):
    (experiment,) = page.found["steer"].experiments
    return [steered for _, steered in features_of(experiment)]


def changed(run_folder, change, **values) -> str:
    """The title of feature 40's doses after its entry, and its draws, were changed."""
    edit_json(run_folder / "steer/programs/summary.json", lambda s: s["features"][1].update(values))
    path = run_folder / "steer/programs/nulls.parquet"
    nulls = pd.read_parquet(path)
    change(nulls, (nulls["feature"] == 40) & (nulls["kind"] == CONTROL))
    nulls.to_parquet(path)
    return shown(run_folder).figures["dose-40"].title


def test_the_title_of_a_dose_says_what_its_claim_says(page):
    assert "beyond features that nobody trained (p = 0.05)" in page.figures["dose-12"].title
    assert "no more than features that nobody trained do (p = 0.65)" in page.figures["dose-40"].title


@pytest.mark.parametrize(
    ("scale", "value", "words"),
    [
        (20, 0.016, "too few control features"),
        (1, -0.3, "against its strength"),
        (1, 0.3, "with its strength, beyond features that nobody trained (p = 0.05)"),
    ],
)
def test_the_title_follows_the_numbers(run_folder, scale, value, words):
    def change(nulls, own):
        nulls.loc[own, "response"] *= scale

    assert words in changed(run_folder, change, response={"value": value, "difference_of_means": None})


@pytest.mark.parametrize(("value", "verdict"), [(0.3, "above chance"), (0.006, "at chance")])
def test_what_is_propagated_is_judged_against_what_controls_propagate(run_folder, value, verdict):
    def change(nulls, own):
        nulls.loc[own, "propagated"] = nulls.loc[own, "response"] / 2

    changed(run_folder, change, propagated={"value": value})
    found = shown(run_folder).claims
    claim = found["steer-programs-40-propagated"]
    assert claim.verdict == verdict
    assert claim.statement.endswith("through other tokens alone")
    assert "steer-programs-12-propagated" not in found
    rings = shown(run_folder).figures["steering-overview"].plot.data[1]
    assert (list(rings.x), list(rings.text)) == ([pytest.approx(np.expm1(value))], [in_percent(value)])


def test_few_control_features_tell_nothing(run_folder):
    def change(nulls, own):
        nulls.drop(nulls.index[own][:3], inplace=True)

    assert "too few control features" in changed(run_folder, change, response={"value": 9.0})
    claim = shown(run_folder).claims["steer-programs-40-genes"]
    assert "chance was drawn 36 times" in claim.why


def test_a_feature_that_moves_nothing_says_so_in_its_title_and_claims(run_folder):
    why = "no effect possible: it moves no gene by 0.001, the most by 0.0004"
    title = changed(run_folder, lambda nulls, own: None, no_effect=why)
    assert title == f"Feature 40 (Cytotoxic granules): {why}"
    found = shown(run_folder)
    for kind in ("genes", "lists", "held-out", "mirror"):
        claim = found.claims[f"steer-programs-40-{kind}"]
        assert (claim.verdict, claim.why) == ("cannot be told here", why)
    assert "and for 1 no effect is possible." in found.sections["steering"].said


def test_where_nothing_moves_the_summary_says_that_no_effect_is_possible(run_folder):
    def still(summary):
        for row in summary["features"][:2]:
            row["no_effect"] = "no effect possible: it moves no gene by 0.001, the most by 0.0004"

    edit_json(run_folder / "steer/programs/summary.json", still)
    pd.DataFrame().to_parquet(run_folder / "steer/programs/nulls.parquet")
    said = shown(run_folder).sections["steering"].said
    assert "feature 12 (B cell receptor signalling) moves no gene by as much as counts: no effect possible" in said
    assert said.endswith("None of them moves any gene by as much as counts.")


def test_a_feature_that_could_not_be_judged_has_a_claim_with_the_reason(page):
    claim = page.claims["steer-programs-71-genes"]
    assert (claim.value, claim.verdict, claim.why) == (None, "cannot be told here", "no effect possible")


def test_the_title_takes_the_verdict_from_the_claim(page, features):
    claim = page.claims["steer-programs-12-genes"]
    assert "no more than" in dose_title(features[0], replace(claim, verdict="at chance"))


def test_the_null_band_and_p_are_drawn_from_the_draws_on_disk(page, features, whole_run):
    nulls = pd.read_parquet(whole_run / "steer/programs/nulls.parquet")
    for steered in features:
        own = nulls[(nulls["feature"] == steered.feature) & (nulls["kind"] == CONTROL)]["response"].to_numpy()
        band = page.figures[f"dose-{steered.feature}"].plot.data[0]
        low, high = steered.response.controls.interval
        assert (low, high) == pytest.approx(tuple(np.quantile(own, [0.025, 0.975])))
        assert steered.response.controls.p == permutation_p(steered.response.value, own)
        off = steered.doses.set_index("alpha")["off_target"]
        np.testing.assert_allclose(band.x, [-3.0, 1.0, 5.0, 5.0, 1.0, -3.0])
        edges = [off[-3.0] - low, 0.0, off[5.0] + high, off[5.0] + low, 0.0, off[-3.0] - high]
        np.testing.assert_allclose(band.y, np.expm1(edges))


def test_the_overview_has_every_steered_feature_in_percent_beside_its_controls(page, features):
    figure = page.figures["steering-overview"]
    assert page.sections["steering"].rows[0][0] is figure
    bars, ours = figure.plot.data
    assert list(ours.x) == pytest.approx([np.expm1(steered.response.value) for steered in features])
    assert list(bars.base) == pytest.approx([np.expm1(s.response.controls.interval[0]) for s in features])
    assert next(iter(ours.text)) == "+25\u00a0%"
    assert figure.title == "1 of 2 steered features move their own genes beyond features that nobody trained"
    still = [replace(steered, no_effect="no effect possible") for steered in features]
    assert overview_figure(still, ["", ""], page.context.words, ()) is None


def test_logits_stay_what_they_are(page, features):
    logits = words_for("genes", "token_logit")
    assert steering_table(features, logits).rows[0][1] == "+0.22"
    figure = overview_figure(features, ["at chance", "at chance"], logits, ())
    assert list(figure.plot.data[1].x) == pytest.approx([steered.response.value for steered in features])
    assert "logit" in figure.plot.layout.xaxis.title.text


def test_without_control_features_there_is_no_band(page, features):
    strong = features[0]
    bare = replace(strong, response=replace(strong.response, controls=Null("none", None, None)))
    claim = page.claims["steer-programs-12-genes"]
    assert len(dose_figure(bare, claim, 97, page.context.words, ()).plot.data) == 2
    assert steering_table([bare], page.context.words).rows[0][3] == "not measured"


def test_programs_of_the_moved_genes_are_listed_by_feature_and_direction(features):
    rows = term_table(features, 0.05).rows
    assert rows[0] == (
        "12 (B cell receptor signalling)",
        "5",
        "rise",
        "20",
        "B cell receptor signalling",
        "2e−6",
    )
    assert len(rows) == 4
    assert {row[4] for row in term_table(features, 1e-9).rows} == {"none"}


def test_each_list_names_its_best_programs_and_each_type_its_own_change(page, features):
    more = features[0].terms.assign(term="one more", padj=1e-3)
    both = replace(features[0], terms=pd.concat([features[0].terms, more]))
    named = [row[4] for row in term_table([both], 0.05).rows if row[2] == "rise"]
    assert named == ["B cell receptor signalling", "one more"]
    rows = type_table(features, page.context.words).rows
    assert [row[1:3] for row in rows[:2]] == [("B cells", "41"), ("NK cells", "56")]
    alone = replace(features[0], types=features[0].types.assign(cell_type=""))
    assert type_table([alone], page.context.words).rows == []


def test_what_is_said_of_genes_stands_beside_their_counts(page):
    figure = page.figures["steering-expression"]
    assert "1.00 at hidden genes, 0\u00a0% of which lie below zero; −1.00 at visible genes" in figure.title
    assert [len(trace.x) for trace in figure.plot.data] == [len(page.found["steer"].experiments[0].genes)] * 2


def test_a_sweep_of_nothing_has_no_tables_to_read(run_folder):
    def silence(summary):
        for row in summary["features"]:
            row["status"] = "no effect possible"
        summary["together"] = None

    edit_json(run_folder / "steer" / "programs" / "summary.json", silence)
    for path in (run_folder / "steer" / "programs").glob("*.parquet"):
        pd.DataFrame().to_parquet(path)
    found = shown(run_folder)
    (experiment,) = found.found["steer"].experiments
    assert features_of(experiment) == []
    assert len(unjudged_of(experiment)) == 3
    said = [claim for id, claim in found.claims.items() if id.startswith("steer-")]
    assert [claim.why for claim in said] == 3 * ["no effect possible"]
    assert found.sections["steering"].said == ""


def test_a_feature_without_genes_to_compare_is_not_judged(run_folder):
    path = run_folder / "steer" / "programs" / "summary.json"
    edit_json(path, lambda m: m["features"][0]["response"].update(value=None))
    found = shown(run_folder)
    (experiment,) = found.found["steer"].experiments
    assert [steered.feature for _, steered in features_of(experiment)] == [40]
    assert (12, "B cell receptor signalling", "no genes to compare") in unjudged_of(experiment)
    assert found.claims["steer-programs-40-genes"].source.field == "features.1.response.value"


def test_a_step_that_does_not_apply_gives_its_reason_in_place_of_a_verb(page):
    found = Steering(absent="there is no decoder; give it one")
    drawn = section(found, claims_of(found, page.context), page.context)
    assert (drawn.rows, drawn.absent) == ([], "Programs: there is no decoder; give it one.")


def test_direct_effects_stand_apart_and_the_page_says_where_genes_are_read(run_folder, page, features):
    table = steering_table(features, page.context.words)
    assert table.rows[0][table.header.index("the same, where seen (direct)")] == "−20\u00a0%"
    section = page.sections["steering"]
    assert "each cell passes 4 times" in section.method
    assert "the edit never acts on them" in section.tables[0].caption
    edit_json(run_folder / "steer/programs/summary.json", lambda summary: summary.update(read="visible", passes=1))
    seen = shown(run_folder).sections["steering"]
    assert "passes" not in seen.method
    assert "partly built in" in seen.tables[0].caption
