"""What is kept of a training, and what it refuses to go on from; killed processes are in tests/faults."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from cellprism.errors import DamagedError, RunError
from cellprism.sae.checkpoint import fingerprint
from cellprism.sae.config import SaeConfig
from cellprism.sae.fit import fit_sae, fit_saes
from cellprism.sae.job import Job
from cellprism.sae.stream import Vectors
from sae.conftest import planted

D, N, STEPS = 13, 41, 17
CONFIG = SaeConfig(k=5, n_features=N, learning_rate=3e-3)


class Stopped(Exception):
    pass


class Stream:
    def __init__(self, identity: str = "planted"):
        self.identity = identity

    def from_step(self, step):
        for number in range(step, 99):
            yield planted(101, D, 31, 3, seed=number).x


def fit(folder, data=None, config=CONFIG, steps=STEPS, seed=0, until=None, seconds=0.0):
    def progress(step, _):
        if step == until:
            raise Stopped

    job = Job(config, D, seed)
    data = Stream() if data is None else data
    return fit_saes(data, [job], steps, checkpoints=folder, checkpoint_seconds=seconds, progress=progress)[0]


def begun(folder: Path, data=None) -> Path:
    """A folder with checkpoints of steps 9 and 10, and metrics of 11."""
    with pytest.raises(Stopped):
        fit(folder, data, until=11)
    assert steps_in(folder) == [9, 10]
    return folder


def steps_in(folder: Path) -> list[int]:
    return sorted(int(path.stem[5:]) for path in folder.glob("step-*.safetensors"))


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_same(sae, other):
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert torch.equal(getattr(sae, name), getattr(other, name)), name
    pd.testing.assert_frame_equal(sae.history, other.history, check_exact=True)


@pytest.fixture(scope="module")
def unbroken():
    return fit(None)


def test_the_newest_two_are_kept_and_nothing_else_is_left(tmp_path, unbroken):
    begun(tmp_path)
    assert sorted(bytes_in(tmp_path)) == [".lock", "metrics.jsonl", "step-10.safetensors", "step-9.safetensors"]
    assert_same(fit(tmp_path), unbroken)
    assert sorted(bytes_in(tmp_path)) == [".lock", "metrics.jsonl", "step-16.safetensors", "step-17.safetensors"]


def test_what_a_killed_process_left_half_written_is_removed_and_the_users_files_are_not(tmp_path):
    begun(tmp_path)
    for name in (".step-11.safetensors.x1y2abcd.part", ".metrics.jsonl.x1y2abcd.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".tmpAbC").write_text("half, in a file that a library made")
    for name in ("step-one.safetensors", "notes"):
        (tmp_path / name).write_text("the user's")
    fit(tmp_path)
    left = {"notes", "step-one.safetensors", "step-16.safetensors", "step-17.safetensors", "metrics.jsonl", ".lock"}
    assert set(bytes_in(tmp_path)) == left


def test_between_checkpoints_time_passes(tmp_path):
    fit(tmp_path, seconds=1e9)
    assert steps_in(tmp_path) == [17]


def test_a_finished_training_is_not_read_for_again(tmp_path, unbroken):
    class Unreadable(Stream):
        def from_step(self, step):
            raise AssertionError

    fit(tmp_path)
    assert_same(fit(tmp_path, Unreadable()), unbroken)


def test_everything_is_on_the_disk_before_anything_goes(tmp_path, monkeypatch):
    begun(tmp_path)
    happened = []

    def noting(name, of):
        original = getattr(os, name)

        def noted(*arguments, **keywords):
            happened.append((name, of(*arguments)))
            return original(*arguments, **keywords)

        monkeypatch.setattr(os, name, noted)

    noting("fsync", lambda handle: os.fstat(handle).st_ino)
    noting("replace", lambda scratch, path: path)
    noting("unlink", lambda path: path)
    with pytest.raises(Stopped):
        fit(tmp_path, until=12)
    metrics, checkpoint = tmp_path / "metrics.jsonl", tmp_path / "step-11.safetensors"
    last = happened[happened.index(("replace", checkpoint)) - 2 :]
    assert [event for event in last if ".step" not in str(event) and event[1] != ".rights"] == [
        ("fsync", metrics.stat().st_ino),
        ("fsync", checkpoint.stat().st_ino),
        ("replace", checkpoint),
        ("fsync", tmp_path.stat().st_ino),
        ("unlink", tmp_path / "step-9.safetensors"),
    ]


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9999])
def test_a_truncated_checkpoint_is_named_and_without_it_the_one_before_serves(tmp_path, unbroken, share):
    newest = begun(tmp_path) / "step-10.safetensors"
    whole = newest.read_bytes()
    newest.write_bytes(whole[: int(share * len(whole))])
    before = bytes_in(tmp_path)
    with pytest.raises(DamagedError, match=r"step-10.safetensors cannot be read .*; remove it to go on from step 9$"):
        fit(tmp_path)
    assert bytes_in(tmp_path) == before
    newest.unlink()
    assert_same(fit(tmp_path), unbroken)


def test_a_flipped_bit_anywhere_is_seen(tmp_path):
    newest = begun(tmp_path) / "step-10.safetensors"
    whole = newest.read_bytes()
    for place in [*range(8), *range(8, len(whole), 401), len(whole) - 1]:
        newest.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match=r"step-10.safetensors .*; remove it to go on from step 9"):
            fit(tmp_path)


def test_a_checkpoint_under_another_name_is_seen(tmp_path):
    (begun(tmp_path) / "step-10.safetensors").rename(tmp_path / "step-12.safetensors")
    with pytest.raises(DamagedError, match=r"step-12.safetensors was altered \(SHA-256 differs\); remove it to go on"):
        fit(tmp_path)


def test_when_all_are_damaged_it_starts_again(tmp_path, unbroken):
    begun(tmp_path)
    for step, remedy in [(10, "remove it to go on from step 9"), (9, "remove it to start again")]:
        (tmp_path / f"step-{step}.safetensors").write_bytes(b"")
        with pytest.raises(DamagedError, match=f"step-{step}.safetensors cannot be read .*; {remedy}"):
            fit(tmp_path)
        (tmp_path / f"step-{step}.safetensors").unlink()
    assert_same(fit(tmp_path), unbroken)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"config": replace(CONFIG, k=6)}, "jobs.0.config.k was 5 and is now 6"),
        ({"config": replace(CONFIG, architecture="l1")}, "config.architecture was 'topk' and is now 'l1'"),
        ({"config": replace(CONFIG, prefixes=(0.5, 1.0))}, "there were 5 jobs.0.config.prefixes and are now 2"),
        ({"seed": 1}, "jobs.0.seed was 0 and is now 1"),
        ({"steps": 18}, "steps was 17 and is now 18"),
        ({"data": Stream("other")}, "data was 'planted' and is now 'other'"),
        ({"data": [torch.ones(101, D)]}, "data was 'planted' and is now None"),
    ],
)
def test_what_was_asked_must_be_the_same(tmp_path, changed, said):
    before = bytes_in(begun(tmp_path))
    with pytest.raises(RunError) as refused:
        fit(tmp_path, **changed)
    assert str(refused.value).startswith(f"{tmp_path} holds the checkpoints of another training: ")
    assert str(refused.value).endswith(
        f"{said}; ask for the same, choose another folder, or remove this one to start again"
    )
    assert bytes_in(tmp_path) == before


def test_jobs_and_their_centres_must_be_the_same(tmp_path):
    centred = replace(CONFIG, centring="group")
    data = [Vectors(planted(101, D, 31, 3).x, torch.arange(101) % 7, torch.ones(101, 11))]
    first = Job(centred, D, centre=torch.zeros(7, D))
    fit_saes(data, [first], 3, checkpoints=tmp_path)
    for jobs, said in [
        ([first, first], "there were 1 jobs and are now 2"),
        ([replace(first, centre=torch.ones(7, D))], "jobs.0.centre was '.*' and is now '.*'"),
        ([replace(first, d_target=11)], "jobs.0.d_target was None and is now 11"),
    ]:
        with pytest.raises(RunError, match=said):
            fit_saes(data, jobs, 3, checkpoints=tmp_path)


class Nameless:
    """A stream that does not say what its batches are."""

    def __init__(self, first: int = 0):
        self.first = first

    def from_step(self, step):
        for number in range(step, 99):
            yield planted(101, D, 31, 3, seed=self.first + number).x


def batches():
    return [planted(101, D, 31, 3, seed=number).x for number in range(STEPS)]


@pytest.mark.parametrize("data", [batches, lambda: iter(batches()), lambda: tuple(batches()), Nameless])
def test_data_without_an_identity_are_gone_through_again(tmp_path, unbroken, data):
    begun(tmp_path, data())
    assert_same(fit(tmp_path, data()), unbroken)


@pytest.mark.parametrize(
    "other",
    [
        lambda: batches()[::-1],
        lambda: iter(batches()[1:]),
        lambda: [x + 1e-6 for x in batches()],
        lambda: Nameless(1),
        lambda: iter(batches()[:5]),
        lambda: (torch.randn(101, D) for _ in range(STEPS)),
    ],
)
def test_other_data_without_an_identity_are_refused(tmp_path, other):
    before = bytes_in(begun(tmp_path, batches()))
    with pytest.raises(RunError, match="batch 9 is not the one that step 10 learned from; give the same batches"):
        fit(tmp_path, other())
    assert {name: before[name] for name in before if "step" in name}.items() <= bytes_in(tmp_path).items()


def test_a_fingerprint_tells_names_types_shapes_and_values():
    x = torch.arange(6.0)
    others = [{"b": x}, {"a": x.double()}, {"a": x.view(2, 3)}, {"a": -x}, {"a": x, "b": x[:0]}, {"a": x[:5]}, {}]
    assert len({fingerprint(tensors) for tensors in [{"a": x}, *others]}) == 8
    assert fingerprint({"a": x, "b": -x}) == fingerprint({"b": -x, "a": x.clone()})


def test_two_trainings_in_one_folder_are_refused_and_one_after_the_other_is_fine(tmp_path, unbroken):
    def start_another(step, _):
        if step == 3:
            with pytest.raises(RunError, match=f"another process is training in {tmp_path}; wait for it or choose"):
                fit(tmp_path)

    sae = fit_sae(Stream(), CONFIG, D, STEPS, checkpoints=tmp_path, progress=start_another)
    assert_same(sae, unbroken)
    assert_same(fit(tmp_path), unbroken)


def test_several_jobs_may_share_a_centre_and_read_several_sites(tmp_path):
    centre = torch.ones(1, D)
    centred = replace(CONFIG, centring="global")
    jobs = [Job(centred, D, 0, 4, centre=centre), Job(centred, D, 1, 2, centre=centre), Job(CONFIG, D, 2, 2)]
    data = [{2: Vectors(x), 4: Vectors(x + 3)} for x in batches()]

    def run(folder, until=None):
        def stop(step, _):
            if step == until:
                raise Stopped

        return fit_saes(data, jobs, STEPS, checkpoints=folder, checkpoint_seconds=0.0, progress=stop)

    with pytest.raises(Stopped):
        run(tmp_path, until=11)
    for sae, whole in zip(run(tmp_path), run(None), strict=True):
        assert_same(sae, whole)
    with pytest.raises(RunError, match="batch 16 is not the one"):
        fit_saes([{2: Vectors(x + 1), 4: Vectors(x + 3)} for x in batches()], jobs, STEPS, checkpoints=tmp_path)


def test_a_line_of_metrics_that_was_cut_short_is_written_again(tmp_path, unbroken):
    metrics = begun(tmp_path) / "metrics.jsonl"
    whole = metrics.read_bytes()
    for end in (len(whole) - 1, len(whole) - 40, whole.rindex(b"\n", 0, -1) + 1):
        metrics.write_bytes(whole[:end])
        with pytest.raises(Stopped):
            fit(tmp_path, until=11)
    with metrics.open("ab") as stream:
        stream.write(b'{"step": 12, "job": 0, "tok')
    assert_same(fit(tmp_path), unbroken)
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:3], *lines[2:]],
        lambda lines: [*lines[:3], lines[3][:-9], *lines[4:]],
        lambda lines: [*lines[:3], b"\xff\xfe", *lines[4:]],
        lambda lines: [*lines[:3], b"12", *lines[4:]],
        lambda lines: lines[:8],
    ],
)
def test_metrics_with_a_gap_or_a_repeat_are_damaged(tmp_path, damage):
    metrics = begun(tmp_path) / "metrics.jsonl"
    metrics.write_bytes(b"\n".join(damage(metrics.read_bytes().splitlines())))
    said = "metrics.jsonl does not hold every step up to 10, where the checkpoint is; restore it, or remove it to go on"
    with pytest.raises(DamagedError, match=said):
        fit(tmp_path)


def test_without_its_metrics_a_training_goes_on(tmp_path, unbroken, caplog):
    (begun(tmp_path) / "metrics.jsonl").unlink()
    with pytest.raises(Stopped):
        fit(tmp_path, until=11)
    assert "metrics.jsonl is gone, and with it the figures of all steps up to 10" in caplog.text
    sae = fit(tmp_path)
    assert sae.history["step"].tolist() == list(range(11, STEPS + 1))
    assert_same(sae, replace(unbroken, history=unbroken.history.iloc[10:].reset_index(drop=True)))


def test_numbers_that_are_not_finite_are_null_on_disk_and_nan_in_the_history(tmp_path):
    constant = [torch.ones(101, D)]
    for folder in (tmp_path, tmp_path, None):
        values = fit(folder, constant).history["explained_variance"]
        assert values.isna().all()
        assert values.dtype == float
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert row["explained_variance"] is None
        assert math.isfinite(row["mse"])
