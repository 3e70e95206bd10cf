"""Ctrl-C at a verb at work: what is kept, and the command that goes on."""

import fcntl
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cellprism.cli.app import call
from cellprism.store.atomic import read_json
from cellprism.workflow.pipeline import steps

# Ctrl-C may fall between the opening of a folder's listing and the block that closes it
pytestmark = pytest.mark.filterwarnings("ignore:.*ScandirIterator:pytest.PytestUnraisableExceptionWarning")


def interrupted(words: list[str], when: Callable[[], bool]) -> int:
    """Run a command and send this process Ctrl-C as soon as ``when`` holds."""
    ended = threading.Event()

    def press() -> None:
        while not when():
            if ended.is_set():
                return
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    watcher = threading.Thread(target=press)
    watcher.start()
    try:
        return call(words)
    finally:
        ended.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)


def is_held(run: Path) -> bool:
    """Whether a verb works on the run."""
    if not (run / ".lock").exists():
        return False
    with (run / ".lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def words(run, tmp_path) -> list[str]:
    """A training of the tiny run's cells that nobody waits for."""
    (tmp_path / "asked.toml").write_text((run / "run.toml").read_text())
    words = ["run", str(tmp_path / "asked.toml"), "--out", str(tmp_path / "new run"), "--set", "train.epochs=100000"]
    return words


@pytest.mark.slow
def test_in_the_training_the_step_and_the_finished_steps_are_kept(words, tmp_path, capfd):
    new = tmp_path / "new run"
    metrics = new / "sae" / "L0" / "checkpoint" / "metrics.jsonl"
    assert interrupted(words, lambda: metrics.is_file() and metrics.stat().st_size > 2_000) == 130
    said = capfd.readouterr()
    last = said.err.splitlines()[-1]
    assert last.startswith("interrupted: stopped after step ")
    assert f"; kept in {new}: cells; go on with: cellprism run " in last
    assert shlex.split(last.partition("go on with: ")[2]) == ["cellprism", *words]
    assert "Traceback" not in said.err
    assert said.out == ""
    assert list(read_json(new / "run.json")["steps"]) == ["cells"]
    assert list((new / "sae" / "L0" / "checkpoint").glob("step-*.safetensors"))


def test_in_another_step_the_finished_steps_are_kept(run, capfd):
    words = ["do", "programs", str(run), "--set", "programs.replicates=1000000"]
    before = read_json(run / "run.json")
    assert interrupted(words, lambda: is_held(run)) == 130
    last = capfd.readouterr().err.splitlines()[-1]
    kept = ", ".join(steps())
    assert last == f"interrupted: kept in {run}: {kept}; go on with: {shlex.join(['cellprism', *words])}"
    assert read_json(run / "run.json") == before
    assert call(["report", str(run)]) == 0
