"""Killed at any moment, a training goes on as if nothing had happened."""

import json
import os
import random
import signal
import time

import pytest

from cellprism.errors import RunError
from faults.training import Child, assert_same, newest, train

pytestmark = pytest.mark.slow


def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path, unbroken):
    moments, kills, ended = random.Random(0), 0, ""
    while not ended:
        with Child(tmp_path) as child:
            for _ in range(moments.randint(1, 3)):
                step, ended = child.hear()
            if step != -1:
                time.sleep(moments.uniform(0, 0.05))  # a step, with its checkpoint, takes about as long
                child.process.kill()
                ended = child.last_words()
                kills += not ended
    assert kills >= 2
    assert_same(tmp_path, unbroken)


def test_killed_at_every_change_of_a_file_it_ends_with_the_same_bits(tmp_path, unbroken):
    """The first life ends at its first file, the second at its second, and so on until one is long enough."""
    number, ended = 0, ""
    while not ended:
        number += 1
        with Child(tmp_path, die_at=number) as child:
            ended = child.last_words()
    assert number > 20, "a checkpoint alone has seven such moments"
    assert_same(tmp_path, unbroken)


def test_killed_between_checkpoints_it_does_the_lost_steps_again(tmp_path, unbroken):
    for seconds, until in [(0, 5), (1e9, 13)]:
        with Child(tmp_path, seconds=seconds) as child:
            while child.hear()[0] < until:
                pass
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-2])["step"] >= 12
    assert newest(tmp_path) < 13
    train(tmp_path)
    assert_same(tmp_path, unbroken)


def test_a_second_training_in_one_folder_is_refused_as_long_as_the_first_lives(tmp_path, unbroken):
    with Child(tmp_path) as child:
        child.hear()
        os.kill(child.process.pid, signal.SIGSTOP)  # it lives, and changes nothing
        before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        with pytest.raises(RunError, match=f"another process is training in {tmp_path}; wait for it or choose another"):
            train(tmp_path)
        assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    train(tmp_path)
    assert_same(tmp_path, unbroken)
