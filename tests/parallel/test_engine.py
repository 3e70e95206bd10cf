"""Shards mapped in one process: a file each, gone on with, and a failure that says what it failed on."""

import numpy as np
import pytest

from cellprism.errors import CellprismError, CellsError, ConfigError, DamagedError, InputError
from cellprism.parallel.cluster import engine_of
from cellprism.parallel.engine import SerialEngine
from cellprism.parallel.pace import Pace
from cellprism.parallel.shards import Shard, ShardFolder
from parallel.tasks import squares


def shards(stops=(3, 7, 10)):
    starts = (0, *stops[:-1])
    return [Shard(f"n-{a}", f"numbers {a} to {b - 1}", (a, b), b - a) for a, b in zip(starts, stops, strict=True)]


@pytest.fixture
def folder(tmp_path):
    return ShardFolder(tmp_path / "shards", "a" * 64)


def test_a_map_is_gathered_in_order_and_reduced_in_order(folder):
    found = SerialEngine().map(squares, shards(), folder)
    assert np.concatenate([one["squares"] for one in found.gather()]).tolist() == [n**2 for n in range(10)]
    sums = found.reduce(lambda total, one: [*total, int(one["squares"].sum())], [])
    assert sums == [5, 9 + 16 + 25 + 36, 49 + 64 + 81]


def test_what_is_there_is_not_made_again_and_counts_as_done(folder):
    SerialEngine().map(squares, shards()[:2], folder)
    made, done = [], []
    pace = Pace("numbers", lambda so_far, words: done.append(so_far))
    SerialEngine().map(lambda task: made.append(task) or squares(task), shards(), folder, pace)
    assert made == [(7, 10)]
    assert done == [3]


def test_a_poisoned_shard_is_named_and_loses_no_other(folder):
    poisoned = [*shards(), Shard("n-10", "numbers 10 to 19", (10, 20)), Shard("n-20", "numbers 20 to 21", (20, 22))]
    with pytest.raises(CellprismError, match=r"numbers 10 to 19 failed: ValueError: thirteen\n.*run the same command"):
        SerialEngine().map(squares, poisoned, folder)
    assert [folder.done(shard.name) for shard in poisoned] == [True, True, True, False, True]


def test_a_users_mistake_stays_one_and_many_failures_stop_the_rest(folder):
    def refuses(task):
        raise InputError("counts are no counts")

    with pytest.raises(InputError, match=r"2 more failed: numbers 3 to 6; numbers 7 to 9.*no counts"):
        SerialEngine().map(refuses, [*shards(), Shard("never", "never", (0, 1))], folder)


def test_another_identity_begins_anew_and_a_damaged_file_is_made_again(folder, tmp_path):
    SerialEngine().map(squares, shards(), folder)
    folder.path("n-3").write_bytes(folder.path("n-3").read_bytes()[:-1])
    found = SerialEngine().map(squares, shards(), folder)
    assert len(list(found.gather())) == 3
    folder.path("n-3").write_bytes(b"no tensors")
    with pytest.raises(DamagedError, match="run the same command again"):
        list(found.gather())
    assert folder.kept("n-3", lambda: squares((3, 7)))["squares"].tolist() == [9, 16, 25, 36]
    other = ShardFolder(tmp_path / "shards", "b" * 64)
    assert not other.done("n-0")
    assert not folder.done("n-0")


def test_the_pace_is_in_words():
    now, said = [0.0], []
    pace = Pace("cells", lambda made, words: said.append(words), clock=lambda: now[0])
    pace.step(0)
    now[0] = 10.0
    pace.step(100)
    assert said == ["", "10 cells/s"]


@pytest.mark.parametrize("cluster", ["local", "local:0", "locl:2", "tcp://nowhere", "slurm:"])
def test_a_cluster_that_is_none_is_refused_with_what_was_expected(cluster):
    with pytest.raises(ConfigError, match="expected local:N"), engine_of(cluster):
        pass


def test_an_error_of_many_problems_comes_whole_from_another_process():
    import pickle

    error = pickle.loads(pickle.dumps(CellsError("a.h5ad", ["one", "two"])))
    assert error.problems == ["one", "two"]
    assert "a.h5ad" in str(error)
