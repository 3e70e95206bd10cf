"""A feature's card, from the made-up run and from the tiny one."""

import json
import subprocess
import sys

import numpy as np
import pytest
from studies.conftest import hostile_run, whole_run

import cellprism as cp
from cellprism.errors import ConfigError, RunError
from cellprism.store.run import Run
from cellprism.workflow.feature_card import FeatureCards

__all__ = ["hostile_run", "whole_run"]
STEERED, DEAD = 12, 5


def test_a_card_has_what_every_study_says_of_a_feature(whole_run):
    card = cp.feature_card(whole_run, STEERED)
    assert list(card.facts) == ["programs", "naming", "state", "map", "stability", "steer", "screen", "contrast"]
    assert not card.absent
    assert card.fact("map", "module").value == STEERED % 5
    assert card.fact("steer", card.facts["steer"][0].name).note.startswith("above chance")
    assert card.fact("state", "depth, rank correlation within cell types").note.endswith("unit: cells")
    for study, facts in card.facts.items():
        for fact in facts:
            assert (whole_run / fact.file).is_file(), (study, fact.name)
    with pytest.raises(KeyError, match="feature 12 has no 'weight' of 'map' on its card"):
        card.fact("map", "weight")


def test_its_json_is_the_card_and_a_dead_feature_has_no_numbers_that_json_lacks(whole_run):
    cards = FeatureCards(whole_run)
    assert len(cards) == 127
    for feature in (0, STEERED, DEAD, 126):
        read = json.loads(cards.card(feature).to_json())
        assert read["feature"] == feature
        assert read["facts"]["state"][0]["file"] == "state/features.parquet"
    assert cards.card(DEAD).fact("map", "dead").value is True


def test_its_html_escapes_what_comes_from_the_data(hostile_run):
    shown = cp.feature_card(hostile_run, STEERED)._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown


def test_studies_that_were_not_done_are_said(whole_run, tmp_path):
    import shutil

    copy = shutil.copytree(whole_run, tmp_path / "few")
    for name in ("map", "steer"):
        Run(copy).forget(name)
    card = cp.feature_card(copy, STEERED)
    assert card.absent == {"map": "`cellprism do map few` does it", "steer": "`cellprism do steer few` does it"}
    assert "map" not in card.facts
    assert "Not measured" in card._repr_html_()


def test_a_real_run_has_a_card_for_every_feature(finished):
    cards = FeatureCards(finished)
    read = [json.loads(cards.card(feature).to_json()) for feature in range(len(cards))]
    shares = [[fact["value"] for fact in card["facts"]["state"][:3]] for card in read]
    split = np.array([row for row in shares if None not in row], dtype=float)
    assert len(split)
    assert np.allclose(split.sum(axis=1), 1)


def test_what_is_no_feature_or_no_run_is_refused(whole_run, tmp_path):
    with pytest.raises(ConfigError, match="feature 127 does not exist: features are whole numbers from 0 to 126"):
        cp.feature_card(whole_run, 127)
    with pytest.raises(RunError):
        cp.feature_card(tmp_path, 0)


def test_a_card_is_made_without_torch(whole_run):
    code = (
        f"import sys, cellprism as cp; cp.feature_card({str(whole_run)!r}, 12)._repr_html_()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
