"""On a full disk a training stops with a clear message and loses nothing that it had kept."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faults.training import STEPS, Child, assert_same, train

pytestmark = pytest.mark.slow

ALONE = ("unshare", "--map-root-user", "--mount")


@pytest.fixture
def disk(tmp_path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        tried = subprocess.run([*ALONE, "mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here to make a small disk with")
    if tried.returncode:
        pytest.skip(f"this user may not make a small disk here: {tried.stderr.decode().strip()}")
    return folder


@pytest.mark.parametrize("room_for", [0, 2])
def test_a_full_disk_stops_it_and_with_room_it_goes_on(tmp_path, disk, unbroken, room_for):
    size = int((unbroken / f"step-{STEPS}.safetensors").stat().st_size * (room_for + 0.5))
    command = [*ALONE, sys.executable, "-m", "faults.full_disk", disk, str(size), tmp_path]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1], env=os.environ | {"OMP_NUM_THREADS": "1"})
    kept = f"the checkpoint of step {room_for} is still there" if room_for else "nothing was kept yet"
    assert re.fullmatch(
        rf"step {room_for + 1} could not be kept in {disk}/training \(.*No space left on device.*\); {kept}: make room "
        "and run the same command again",
        (tmp_path / "said").read_text(),
    )
    there = {path.name for path in (tmp_path / "full").iterdir()}
    assert there == {".lock", "metrics.jsonl", *(f"step-{n}.safetensors" for n in range(1, room_for + 1))}
    assert_same(tmp_path / "finished", unbroken)


@pytest.mark.parametrize(("seconds", "limit"), [(1e9, 9_000), (0, 40_000)])
def test_a_file_that_may_not_grow_stops_it_too(tmp_path, unbroken, seconds, limit):
    """With a long time between checkpoints it is the metrics that do not fit."""
    with Child(tmp_path, seconds=seconds, largest_file=limit) as child:
        said = child.last_words()
    assert re.fullmatch(
        rf"CellprismError: step \d+ could not be kept in {tmp_path} \(.*File too large.*\); nothing was kept yet: make "
        "room and run the same command again",
        said,
    )
    assert not list(tmp_path.glob("*step*"))
    train(tmp_path)
    assert_same(tmp_path, unbroken)
