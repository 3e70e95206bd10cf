"""A killed run goes on as if nothing had happened, and never goes on with what is not its own."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cellprism.errors import DamagedError, RunError
from cellprism.models.aido.pretrain import pretrain
from cellprism.models.aido.pretrain_state import CHECKPOINT, METRICS, history, record
from models.conftest import same_weights
from models.planted import SETTINGS, TABLE, TWENTY_THREE, planted_cells

KILLED = """
import os, signal, sys
from pathlib import Path
from models.planted import SETTINGS, TABLE, planted_cells
from cellprism.models.aido.pretrain import pretrain

def kill(step, figures):
    if step == 17:
        os.kill(os.getpid(), signal.SIGKILL)

pretrain(planted_cells(), TABLE, SETTINGS[sys.argv[2]], Path(sys.argv[1]), kill)
"""


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def cells():
    return planted_cells()


@pytest.fixture(scope="module")
def uninterrupted(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return pretrain(cells, TABLE, TWENTY_THREE, folder), folder


def stop_at(last: int):
    def progress(step, figures):
        if step == last:
            raise Stopped

    return progress


def assert_same_run(model, folder: Path, uninterrupted) -> None:
    whole, whole_folder = uninterrupted
    assert same_weights(model, whole)
    assert (folder / METRICS).read_text() == (whole_folder / METRICS).read_text()
    one, other = load_file(folder / CHECKPOINT), load_file(whole_folder / CHECKPOINT)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stops", [(17,), (7,), (3,), (9, 16, 22)])
def test_a_stopped_run_goes_on_bit_for_bit(cells, tmp_path, uninterrupted, stops):
    for last in stops:
        with pytest.raises(Stopped):
            pretrain(cells, TABLE, TWENTY_THREE, tmp_path, stop_at(last))
    seen = []
    model = pretrain(cells, TABLE, TWENTY_THREE, tmp_path, lambda step, _: seen.append(step))
    assert seen[0] == stops[-1] // 7 * 7 + 1, "it starts after the last checkpoint"
    assert_same_run(model, tmp_path, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("objective", SETTINGS)
def test_a_killed_process_goes_on_bit_for_bit(cells, tmp_path, objective):
    tests, whole, killed = Path(__file__).parents[2], tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(killed), objective],
        cwd=tests, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert [line["step"] for line in history(killed)] == [7, 14]
    uninterrupted = pretrain(cells, TABLE, SETTINGS[objective], whole), whole
    assert_same_run(pretrain(cells, TABLE, SETTINGS[objective], killed), killed, uninterrupted)


def test_the_average_follows_the_weights_by_its_decay_and_faster_at_first(cells, tmp_path):
    settings = replace(TWENTY_THREE, report_every=1, average=0.8)
    seen = []

    def keep(step, figures):
        seen.append(load_file(tmp_path / CHECKPOINT))

    pretrain(cells, TABLE, settings, tmp_path, keep)
    name = "blocks.0.query.weight"
    for step, (before, after) in enumerate(pairwise(seen), start=1):
        decay = min(0.8, (step + 1) / (step + 10))
        expected = decay * before[f"average.{name}"] + (1 - decay) * after[f"model.{name}"]
        torch.testing.assert_close(after[f"average.{name}"], expected, rtol=1e-5, atol=1e-7)
    assert decay == pytest.approx(min(0.8, 23 / 32))


def test_lines_written_after_the_last_checkpoint_are_written_again(cells, tmp_path, uninterrupted):
    with pytest.raises(Stopped):
        pretrain(cells, TABLE, TWENTY_THREE, tmp_path, stop_at(10))
    record(tmp_path, {"step": 14, "loss": 99.0})
    with (tmp_path / METRICS).open("a") as stream:
        stream.write('{"step": 21, "lo')  # killed in the middle of a line
    assert_same_run(pretrain(cells, TABLE, TWENTY_THREE, tmp_path), tmp_path, uninterrupted)


def test_a_finished_run_is_not_trained_again(cells, tmp_path, uninterrupted):
    for _ in range(2):
        seen = []
        model = pretrain(cells, TABLE, TWENTY_THREE, tmp_path, lambda step, _, seen=seen: seen.append(step))
    assert seen == []
    assert_same_run(model, tmp_path, uninterrupted)


def test_a_curve_without_a_checkpoint_is_begun_again(cells, tmp_path, uninterrupted):
    record(tmp_path, {"step": 7, "loss": 99.0})
    assert_same_run(pretrain(cells, TABLE, TWENTY_THREE, tmp_path), tmp_path, uninterrupted)


@pytest.fixture
def begun(cells, tmp_path) -> Path:
    """A folder with a checkpoint at step 7."""
    with pytest.raises(Stopped):
        pretrain(cells, TABLE, TWENTY_THREE, tmp_path, stop_at(8))
    return tmp_path


@pytest.mark.parametrize("changed", [{"seed": 9}, {"learning_rate": 1e-4}, {"steps": 24}, {"hidden": 32}])
def test_other_settings_are_refused_and_the_checkpoint_is_kept(cells, begun, changed):
    before = (begun / CHECKPOINT).read_bytes()
    with pytest.raises(RunError, match=r"checkpoint.safetensors was made with other settings or other cells"):
        pretrain(cells, TABLE, replace(TWENTY_THREE, **changed), begun)
    assert (begun / CHECKPOINT).read_bytes() == before


def test_other_cells_are_refused(begun, cells):
    for other in (planted_cells(seed=1), cells[:-1].copy()):
        with pytest.raises(RunError, match="other settings or other cells; choose another --out, or remove it"):
            pretrain(other, TABLE, TWENTY_THREE, begun)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.7])
def test_a_truncated_checkpoint_is_damaged(cells, begun, share):
    whole = (begun / CHECKPOINT).read_bytes()
    (begun / CHECKPOINT).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedError, match=r"checkpoint.safetensors is damaged .*remove it to start again"):
        pretrain(cells, TABLE, TWENTY_THREE, begun)


def test_a_checkpoint_that_belongs_to_nothing_is_damaged(cells, begun):
    save_file(load_file(begun / CHECKPOINT), begun / CHECKPOINT)
    with pytest.raises(DamagedError, match="does not say which run it belongs to"):
        pretrain(cells, TABLE, TWENTY_THREE, begun)


def test_a_curve_that_is_no_json_is_damaged(cells, begun):
    (begun / METRICS).write_text("step 7: fine\n")
    with pytest.raises(DamagedError, match=r"metrics.jsonl is damaged"):
        pretrain(cells, TABLE, TWENTY_THREE, begun)


def test_no_scratch_file_is_left_beside_the_checkpoint(uninterrupted):
    assert sorted(p.name for p in uninterrupted[1].iterdir()) == [CHECKPOINT, METRICS]
