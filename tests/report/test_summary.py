import json
import shutil
from dataclasses import replace

import pytest

from cellprism.report.facts import place_in_words
from cellprism.report.gather.all import gather_claims
from cellprism.report.inputs import read_run
from cellprism.report.limits import limits_of
from cellprism.report.summary import key_numbers, summary_sentences
from cellprism.report.tables import feature_rows


@pytest.fixture(scope="module")
def claims(facts):
    return gather_claims(facts)


def test_the_summary_has_this_runs_numbers_each_with_its_control(facts, claims):
    what, features, steering, contrast, tally = summary_sentences(facts, claims)
    assert "mini (block 1, the 2nd of 3)" in what
    assert "331 cells of 7 types" in what
    assert "59\u00a0% of its features" in features
    assert "against 41\u00a0% of popularity-matched lists and 57\u00a0% of co-expression modules" in features
    assert "no evidence that a feature adds anything" in features
    assert "feature 12 (B cell receptor signalling) shifts its genes by +0.22" in steering
    assert "95 % of matched random features: −0.02 to +0.031" in steering
    assert "1 of 2 steered features" in steering
    assert "(55\u00a0% with shuffled labels: above chance)" in contrast
    assert "CD8A closes 4.0\u00a0% of its gap (random edits −4.0\u00a0% to 6.0\u00a0%)" in contrast
    assert tally.startswith(f"Of {len(claims)} claims")


def test_the_summary_of_a_run_without_steps_claims_nothing(tmp_path):
    facts = read_run(tmp_path)
    assert len(summary_sentences(facts, gather_claims(facts))) == 1


def test_the_summary_praises_features_only_beyond_both_controls(run_folder):
    path = run_folder / "terms" / "L1" / "rates.json"
    rates = json.loads(path.read_text())
    rates["rows"][0].update(rate=0.9, interval=[0.85, 0.94])
    path.write_text(json.dumps(rates))
    facts = read_run(run_folder)
    assert "more than any of these explains" in summary_sentences(facts, gather_claims(facts))[1]


def test_the_summary_names_the_control_that_features_do_not_exceed(run_folder):
    path = run_folder / "terms" / "L1" / "rates.json"
    rates = json.loads(path.read_text())
    rows = {row["name"]: row for row in rates["rows"]}
    rows["features"].update(rate=0.9, interval=[0.85, 0.94])
    rows["gene_use"].update(rate=0.92, interval=[0.88, 0.95])
    path.write_text(json.dumps(rates))
    facts = read_run(run_folder)
    said = summary_sentences(facts, gather_claims(facts))[1]
    assert "and 92\u00a0% of lists reusing genes as often, so matching a program is by itself no evidence" in said


def test_the_summary_says_when_modules_match_more_often(run_folder):
    path = run_folder / "terms" / "L1" / "rates.json"
    rates = json.loads(path.read_text())
    rates["rows"][0].update(rate=0.2, interval=[0.17, 0.23])
    path.write_text(json.dumps(rates))
    facts = read_run(run_folder)
    assert "merely vary together match programs more often" in summary_sentences(facts, gather_claims(facts))[1]


def test_every_key_number_has_a_control_and_a_verdict(claims):
    keys = key_numbers(claims)
    assert len(keys) == 4
    for key in keys:
        assert key.control != "no control was measured"
        assert key.claim in {claim.id for claim in claims}


def test_a_key_number_stands_beside_its_hardest_control(claims):
    rate = key_numbers(claims)[1]
    rivals = [c for c in claims if c.id.startswith("annotated-against-")]
    assert [c.id for c in rivals if "long lists match more easily" in c.why] == ["annotated-against-neurons"]
    rivals = [c for c in rivals if c.id != "annotated-against-neurons"]
    hardest = max(rivals, key=lambda c: c.null.value)
    assert (rate.claim, rate.verdict) == (hardest.id, hardest.verdict)
    easiest = min(rivals, key=lambda c: c.null.value)
    barred = [replace(c, verdict="cannot be told here", why="of another length") if c is hardest else c for c in claims]
    assert key_numbers(barred)[1].claim != hardest.id
    swapped = [replace(c, null=replace(c.null, value=0.99)) if c is easiest else c for c in claims]
    assert key_numbers(swapped)[1].claim == easiest.id


def test_a_run_without_steps_has_no_key_numbers(tmp_path):
    assert key_numbers(gather_claims(read_run(tmp_path))) == []


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


def test_limits_come_from_the_facts(facts, claims):
    limits = limits_of(facts, claims)
    cannot = " ".join(limits.cannot)
    for part in (
        "331 cells",
        "one donor",
        "not cells sorted",
        "211 of its 1,600 genes",
        "mini is small",
        "64 numbers per gene",
        "block 1, the 2nd of 3",
        "with 20 random features none can be below 0.048",
        "one donor's blood and nothing else",
    ):
        assert part in cannot, part
    assert any("popularity-matched lists (E1) 41\u00a0%" in text for text in limits.found)
    assert any("co-expression modules (E3) 57\u00a0%" in text for text in limits.failed)


def test_a_run_without_steps_can_show_nothing_yet(tmp_path):
    facts = read_run(tmp_path)
    limits = limits_of(facts, gather_claims(facts))
    assert limits.can == ["Nothing yet: no step of this run has results."]
    assert (limits.found, limits.failed) == ([], [])


def test_a_wide_model_is_not_called_small(run_folder):
    path = run_folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"d_model": 640}))
    facts = read_run(run_folder)
    assert "is small" not in " ".join(limits_of(facts, []).cannot)


def test_the_table_lists_features_that_fire_the_most_certain_program_first(facts):
    rows = feature_rows(facts)
    assert len(rows) == 124
    assert [row.q_value for row in rows] == sorted(row.q_value for row in rows)
    assert rows[0].program
    assert all(not row.program for row in rows if row.q_value >= 0.05)


def test_the_table_is_empty_without_features(run_folder):
    shutil.rmtree(run_folder / "features")
    assert feature_rows(read_run(run_folder)) == []


def test_without_scored_cells_types_are_unknown(run_folder):
    (run_folder / "features" / "L1" / "cells.h5ad").unlink()
    assert {row.type_share for row in feature_rows(read_run(run_folder))} == {"–"}
