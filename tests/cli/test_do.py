"""``cellprism do``: a study's settings are its flags, and what is given reaches the study as it was given."""

from dataclasses import fields, is_dataclass

import pytest

from cellprism.cli.app import call
from cellprism.cli.do import do
from cellprism.store.atomic import read_json
from cellprism.studies.help import field_help
from cellprism.studies.study import studies
from cellprism.workflow.config import read_config

NASTY = r"""a\n "b" 'c' = [1] # \"""" + "\nsecond line"


@pytest.fixture
def given(monkeypatch):
    """Runs a verb and returns the changes that it asked for, without doing the study."""
    asked = {}

    def keep(folder, changes):
        asked["changes"] = [change for change in changes if isinstance(change, tuple)]
        asked["typed"] = [change for change in changes if isinstance(change, str)]

    monkeypatch.setattr("cellprism.workflow.config.changed", keep)
    monkeypatch.setattr("cellprism.workflow.pipeline.continue_run", lambda *words, **options: None)

    def run(*words: str) -> list:
        assert call(["do", words[0], "some-run", *words[1:]]) == 0
        return asked["changes"]

    return run


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["programs"], []),
        (["programs", "--collection", NASTY], [("programs.collection", NASTY)]),
        (["programs", "--alpha", "0.1", "--replicates=7"], [("programs.alpha", 0.1), ("programs.replicates", 7)]),
        (["programs", "--collection", "true"], [("programs.collection", "true")]),
        (["programs", "--collection", "3"], [("programs.collection", "3")]),
        (["programs", "--collection", ""], [("programs.collection", "")]),
        (["fit", "--other", r"C:\new\table"], [("fit.other", r"C:\new\table")]),
        (["steer", "--programs", NASTY, "--programs", "[x"], [("steer.programs", [NASTY, "[x"])]),
        (["steer", "--doses.strengths=-3", "--doses.strengths=1"], [("steer.doses.strengths", [-3.0, 1.0])]),
        (["contrast", "--source", "CD4+ 'T'", "--target", '"B"'],
         [("contrast.source", "CD4+ 'T'"), ("contrast.target", '"B"')]),
        (["contrast", "--search.penalties", "3"], [("contrast.search.penalties", 3)]),
        (["contrast", "--named", "CD8A", "--named", "HLA-A"], [("contrast.named", ["CD8A", "HLA-A"])]),
    ],
)  # fmt: skip
def test_only_what_is_given_changes_the_run_and_as_it_was_given(given, words, changes):
    assert given(*words) == changes


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["do", "programs", "some-run", "--seeds", "2.4"], "--seeds"),
        (["do", "steer", "some-run", "--doses.controls=38.6"], "--doses.controls"),
        (["pretrain", "cells.h5ad", "--out", "out", "--steps", "1.5"], "--steps"),
        (["pretrain", "cells.h5ad", "--out", "out", "--family=scvi", "--scvi.epochs=2.7"], "--scvi.epochs"),
    ],
)
def test_no_whole_number_is_made_by_rounding(capsys, words, named):
    assert call(words) == 2
    assert f"Invalid value for {named}" in capsys.readouterr().err


def test_a_flag_goes_before_a_typed_change(given, capsys):
    assert given("programs", "--set", "programs.alpha=0.2", "--alpha", "0.1") == [("programs.alpha", 0.1)]
    assert "next: cellprism report some-run" in capsys.readouterr().err


def keys_of(settings: type, prefix: str = "") -> list[str]:
    found = []
    for item in fields(settings):
        found += keys_of(item.type, f"{prefix}{item.name}.") if is_dataclass(item.type) else [f"{prefix}{item.name}"]
    return found


@pytest.mark.parametrize("name", list(studies()))
def test_every_setting_is_a_flag_with_its_help(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    assert call(["do", name, "--help"]) == 0
    out = capsys.readouterr().out
    settings = studies()[name].Settings
    assert [k for k in keys_of(settings) if f"--{k.replace('_', '-')} " not in out] == []
    words = " ".join(out.replace("│", " ").split())
    for item, text in field_help(settings).items():
        if f"{item}." not in "".join(keys_of(settings)):
            assert " ".join(text.replace("`", "").split()[:4]) in words.replace("`", ""), item


def test_every_study_is_a_verb():
    assert [name for name in studies() if name not in list(do)] == []


def test_a_wrong_flag_or_value_is_exit_code_2_and_leaves_the_run_as_it_was(run, capsys):
    before = {path: path.read_bytes() for path in (run / "run.toml", run / "run.json")}
    assert call(["do", "programs", str(run), "--alfa", "0.1"]) == 2
    assert call(["do", "programs", str(run), "--alpha", "low"]) == 2
    assert call(["do", "programs", str(run), "--alpha", "5"]) == 2
    assert "alpha is 5.0: expected a number between 0 and 1" in capsys.readouterr().err
    assert call(["do", "nothing", str(run)]) == 2
    assert {path: path.read_bytes() for path in before} == before


def test_a_study_is_done_with_its_flags_and_the_rest_stays(run, capsys):
    before = read_config(run / "run.toml")
    assert call(["do", "steer", str(run), "--cells", "5", "--doses.strengths=-1", "--doses.strengths=1",
                 "--doses.strengths=3"]) == 0  # fmt: skip
    assert f"results in {run / 'steer'}; next: cellprism report {run}" in capsys.readouterr().err
    assert read_json(run / "steer/programs/summary.json")["n_cells"] == 5
    after = read_config(run / "run.toml")
    assert after.steer.cells == 5
    assert after.steer.doses == before.steer.doses
    assert after.steer.programs == before.steer.programs
    assert (after.programs, after.contrast, after.train) == (before.programs, before.contrast, before.train)
