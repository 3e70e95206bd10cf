"""A run folder: what is done is not done again, what was altered is noticed, and two processes never share it."""

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprism.errors import DamagedError, RunError
from cellprism.store.run import Run, digest

HOLDER = """
import sys, time
from pathlib import Path
from cellprism.store.run import Run

with Run(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""
RIVAL = """
import sys
from pathlib import Path
from cellprism.errors import RunError
from cellprism.store.run import Run

try:
    with Run(Path(sys.argv[1])).locked():
        print("entered")
except RunError as error:
    print(error)
"""
SETTINGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)


@pytest.fixture
def run(tmp_path) -> Run:
    """A run with one finished step of two files."""
    made = Run(tmp_path / "run")
    folder = made.folder / "sae" / "L1"
    folder.mkdir(parents=True)
    (folder / "cfg.json").write_text("{}")
    (folder / "sae_weights.safetensors").write_bytes(b"\x00" * 97)
    made.finish("train", digest({"k": 12}), folder.iterdir(), seconds=3)
    return made


def reversed_keys(value):
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(v) for v in value] if isinstance(value, list) else value


@settings(max_examples=40)
@given(SETTINGS)
def test_a_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest(value) == digest(reversed_keys(value))


@pytest.mark.parametrize("other", [{"a": 1, "b": [2, 1]}, {"a": 1}, {"a": "1", "b": [1, 2]}, {"a": 1.5, "b": [1, 2]}])
def test_another_setting_is_another_digest(other):
    assert digest({"a": 1, "b": [1, 2]}) != digest(other)


def test_a_digest_takes_paths(tmp_path):
    assert digest({"out": tmp_path}) == digest({"out": str(tmp_path)})


def test_a_finished_step_is_done_for_its_identity_alone(run):
    assert run.is_done("train", digest({"k": 12}))
    assert not run.is_done("train", digest({"k": 13}))
    assert not run.is_done("interpret", digest({"k": 12}))


def test_run_json_says_what_was_done_with_which_files(run):
    record = json.loads((run.folder / "run.json").read_text())["steps"]["train"]
    assert list(record["files"]) == ["sae/L1/cfg.json", "sae/L1/sae_weights.safetensors"]
    assert record["seconds"] == 3
    assert record["finished"][:2] == "20"


@pytest.mark.parametrize("how", ["altered", "removed"])
def test_a_file_that_is_no_longer_what_was_written_is_noticed(run, how):
    path = run.folder / "sae" / "L1" / "sae_weights.safetensors"
    if how == "altered":
        content = bytearray(path.read_bytes())
        content[50] ^= 1
        path.write_bytes(bytes(content))
    else:
        path.unlink()
    assert run.altered("train") == ["sae/L1/sae_weights.safetensors"]
    assert not run.is_done("train", digest({"k": 12}))
    with pytest.raises(DamagedError, match=r"sae_weights.safetensors is missing or altered; .*cellprism train"):
        run.require("train", "train")


def test_file_dates_decide_nothing(run):
    os.utime(run.folder / "sae" / "L1" / "cfg.json", (0, 0))
    assert run.is_done("train", digest({"k": 12}))


def test_a_missing_step_names_the_verb_that_makes_it(run):
    run.require("train", "train")
    with pytest.raises(RunError, match=r"no finished step 'features'; make it first with: cellprism do programs"):
        run.require("features", "do", "programs")


def test_steps_and_fields_are_added_to_what_is_there(run):
    run.update(seed=7)
    run.finish("features", "id", [], n=41)
    assert run.state["seed"] == 7
    assert list(run.state["steps"]) == ["train", "features"]
    run.finish("train", "again", [])
    assert run.is_done("train", "again")
    assert not run.is_done("train", digest({"k": 12}))


def test_a_folder_that_is_no_run_says_how_to_make_one(tmp_path, run):
    assert Run.existing(run.folder).is_done("train", digest({"k": 12}))
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match=r"is not a run folder \(it has no run.json\); make one with: cellprism"):
            Run.existing(folder)


def test_a_new_run_has_no_steps(tmp_path):
    assert Run(tmp_path).state == {"steps": {}}
    assert not Run(tmp_path).is_done("train", "x")


def test_a_truncated_run_json_is_damaged(run):
    path = run.folder / "run.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(DamagedError, match="run.json is not readable JSON"):
        _ = run.state


def rival(run: Run) -> str:
    command = [sys.executable, "-c", RIVAL, str(run.folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_second_process_is_refused_until_the_first_is_gone_even_killed(run):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(run.folder)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            refused = rival(run)
            assert refused.startswith("another process is working on")
            if sys.platform == "linux":
                assert f"(number {holder.pid} on this machine)" in refused
            assert str(run.folder) in refused
            with pytest.raises(RunError, match="wait for it or choose another folder"), run.locked():
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
    assert rival(run) == "entered", "the lock went with the killed process"


def test_the_lock_makes_the_folder_and_is_given_back_after_an_error(tmp_path):
    run = Run(tmp_path / "new")

    def fail():
        with run.locked():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with run.locked():
        assert run.folder.is_dir()


@pytest.mark.parametrize("name", ["cells.h5ad", "cells.json", "model.json", "claims.json", "report.html"])
def test_a_folder_without_a_run_keeps_what_a_run_would_write_over(tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    said = f"holds {name}, but no run; a run would write over it: choose another folder"
    with pytest.raises(RunError, match=said), Run(tmp_path).locked():
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "notes.txt"])
    assert (tmp_path / name).read_text() == "mine"


def test_a_run_that_was_killed_before_its_first_step_is_taken_up_again(tmp_path):
    with Run(tmp_path).locked():
        (tmp_path / "cells.h5ad").write_text("half")
    with Run(tmp_path).locked():
        assert (tmp_path / "cells.h5ad").exists()


def test_a_path_that_is_none_is_a_message(tmp_path):
    with pytest.raises(RunError, match="is no path"), Run(tmp_path / "a\0b").locked():
        pass
