"""Steered features on the page: titles in the verdict of their claims, bands where random features lie."""

from dataclasses import replace

import numpy as np
import pytest

from cellprism.studies.steer.claims import claims as claims_of
from cellprism.studies.steer.figures import dose_figure, dose_title, steering_table, term_table
from cellprism.studies.steer.page import section
from cellprism.studies.steer.tables import Steering
from cellprism.studies.steer.view import features_of, silent_of
from studies.made_up import edit_json, shown


@pytest.fixture
def features(page):
    (experiment,) = page.found["steer"].experiments
    return [steered for _, steered in features_of(experiment)]


def titled(run_folder, **changed) -> str:
    """The title of feature 40's doses after its response was changed."""
    path = run_folder / "steer/programs/summary.json"
    null = {k: v for k, v in changed.items() if k != "value"}

    def change(summary):
        response = summary["features"][1]["response"]
        response.update({k: v for k, v in changed.items() if k == "value"})
        response["random_feature"].update(null)

    edit_json(path, change)
    return shown(run_folder).figures["dose-40"].title


def test_the_title_of_a_dose_says_what_its_claim_says(page):
    assert "beyond matched random features (p = 0.048)" in page.figures["dose-12"].title
    assert "no more than matched random features do (p = 0.38)" in page.figures["dose-40"].title


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"low": -0.4, "high": 0.4}, "too few random features"),
        ({"value": -0.3, "p": 0.04}, "against its strength"),
        ({"value": 0.3, "p": 0.09}, "too few random features"),
        ({"value": 0.3, "p": None}, "beyond matched random features (p unknown)"),
    ],
)
def test_the_title_follows_the_numbers(run_folder, changed, words):
    assert words in titled(run_folder, **changed)


def test_the_title_takes_the_verdict_from_the_claim(page, features):
    claim = page.claims["steer-programs-12-genes"]
    assert "no more than" in dose_title(features[0], replace(claim, verdict="at chance"))


def test_the_null_band_is_drawn_from_the_interval_on_disk(page, features):
    for steered in features:
        band = page.figures[f"dose-{steered.feature}"].plot.data[0]
        low, high = steered.response.random_feature.interval
        assert (low, high) == (-0.02, 0.031)
        off = steered.doses.set_index("alpha")["off_target"]
        np.testing.assert_allclose(band.x, [-3.0, 1.0, 5.0, 5.0, 1.0, -3.0])
        edges = [off[-3.0] + 0.02, 0.0, off[5.0] + 0.031, off[5.0] - 0.02, 0.0, off[-3.0] - 0.031]
        np.testing.assert_allclose(band.y, edges)


def test_without_random_features_there_is_no_band(page, features):
    strong = features[0]
    null = replace(strong.response.random_feature, interval=None)
    bare = replace(strong, response=replace(strong.response, random_feature=null))
    claim = page.claims["steer-programs-12-genes"]
    assert len(dose_figure(bare, claim, 97, page.context.words, ()).plot.data) == 2
    assert steering_table([bare]).rows[0][3] == "not measured"


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


def test_a_sweep_of_nothing_has_no_tables_to_read(run_folder):
    import pandas as pd

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
    assert len(silent_of(experiment)) == 3
    assert not [id for id in found.claims if id.startswith("steer-")]
    assert found.sections["steering"].summary == ""


def test_a_feature_without_genes_to_compare_is_not_judged(run_folder):
    path = run_folder / "steer" / "programs" / "summary.json"
    edit_json(path, lambda m: m["features"][0]["response"].update(value=None))
    found = shown(run_folder)
    (experiment,) = found.found["steer"].experiments
    assert [steered.feature for _, steered in features_of(experiment)] == [40]
    assert "B cell receptor signalling: no genes to compare" in silent_of(experiment)
    assert found.claims["steer-programs-40-genes"].source.field == "features.1.response.value"


def test_a_step_that_does_not_apply_gives_its_reason_in_place_of_a_verb(page):
    found = Steering(absent="there is no decoder; give it one")
    drawn = section(found, claims_of(found, page.context), page.context)
    assert (drawn.rows, drawn.absent) == ([], "Programs: there is no decoder; give it one.")


def test_direct_effects_stand_apart_and_the_page_says_where_genes_are_read(run_folder, page, features):
    header, first = steering_table(features).header, steering_table(features).rows[0]
    assert first[header.index("the same, where seen (direct)")] == "−0.22"
    section = page.sections["steering"]
    assert "each cell passes 4 times" in section.lead
    assert "the edit never acts on them" in section.tables[0].caption
    edit_json(run_folder / "steer/programs/summary.json", lambda summary: summary.update(read="visible", passes=1))
    seen = shown(run_folder).sections["steering"]
    assert "passes" not in seen.lead
    assert "partly built in" in seen.tables[0].caption
