"""Several processes that train together are one: on the same batches they come to the same weights."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from faults.training import Numbered, jobs, newest
from numpy.testing import assert_allclose

from cellprism.equations.sparse import chosen
from cellprism.sae.checkpoint import Checkpoints
from cellprism.sae.config import SaeConfig
from cellprism.sae.distributed import anywhere, gathered, is_first, largest_of_all, processes, reduced, started, total
from cellprism.sae.fit import fit_saes
from cellprism.sae.initial import start
from cellprism.sae.stream import Vectors
from cellprism.sae.trainer import Trainer
from sae.conftest import planted
from sae.together import together

pytestmark = pytest.mark.slow

D, N, K, TOKENS, STEPS = 13, 41, 5, 101, 23
OTHER_STOPPED = "CellprismError: another of the processes that train together has stopped; what it said tells why"
HALVES, UNEQUAL = (51,), (7,)  # where a batch is cut into shares
CONFIGS = {
    "topk": SaeConfig(k=K, n_features=N),
    "topk with auxiliary loss": SaeConfig(k=K, n_features=N, auxiliary=0.3, dead_after=211),
    "batchtopk": SaeConfig(k=K, n_features=N, architecture="batchtopk"),
    "matryoshka": SaeConfig(k=K, n_features=N, architecture="matryoshka", auxiliary=0.3, dead_after=211),
    "l1": SaeConfig(k=K, n_features=N, architecture="l1"),
    "gated": SaeConfig(k=K, n_features=N, architecture="gated", biases="two"),
    "jumprelu": SaeConfig(k=K, n_features=N, architecture="jumprelu"),
}


def own(x: torch.Tensor, cuts: tuple[int, ...]) -> torch.Tensor:
    """This process' share of something."""
    return x.tensor_split(cuts)[dist.get_rank()] if processes() > 1 else x


# what follows is done by every process of a group


def train_all(cuts: tuple[int, ...]) -> dict[str, tuple[dict[str, np.ndarray], list[dict[str, float]]]]:
    return {name: train_in_double(config, cuts) for name, config in CONFIGS.items()}


def train_in_double(config: SaeConfig, cuts: tuple[int, ...]) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """Steps of the trainer alone, in float64.

    A third of the features start too weak to fire, and the first few tokens hold most of a batch's largest values.
    """
    batches = planted(TOKENS * STEPS, D, 31, 3).x.double().split(TOKENS)
    for x in batches:
        x[:7] *= 9
    weights = start(batches[0], None, replace(config, start="random"), N, seed=0)
    weights["encoder"][::3] *= 1e-3
    trainer = Trainer(weights, config, STEPS, batches[0])
    trainer.weights["b_enc"] += 1e-3  # training starts with thresholds on pre-activations, where rounding decides
    figures = [trainer.step(own(x, cuts)) for x in batches]
    return {name: t.numpy() for name, t in trainer.tensors().items()}, figures


class Shares(Numbered):
    """This process' share of each batch."""

    def __init__(self, cuts: tuple[int, ...]):
        self.cuts = cuts

    def from_step(self, step: int) -> Iterator[Vectors]:
        for batch in super().from_step(step):
            yield Vectors(*(own(t, self.cuts) for t in batch))


def fit(
    folder: Path | None, cuts: tuple[int, ...] = HALVES, progress: Callable[[int, Any], None] | None = None
) -> list[dict[str, Any]]:
    """Fit everything, from a start that is made of the first batches only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprism.sae.fit.SAMPLE", 250)
        saes = fit_saes(Shares(cuts), jobs(), STEPS, checkpoints=folder, checkpoint_seconds=0.0, progress=progress)
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold", "centre")
    return [
        {"history": sae.history, **{n: t.numpy() for n in names if (t := getattr(sae, n)) is not None}} for sae in saes
    ]


def fit_with_a_signal(folder: Path, rank: int, number: int) -> str:
    """One process gets a signal in step 7; returns what each ends with, and what is kept at that moment."""

    def progress(step: int, _: object) -> None:
        if step == 7 and dist.get_rank() == rank:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt) as stopped:
        fit(folder, progress=progress)
    return f"{stopped.value}, {newest(folder)} is kept"


def assert_close(found: list[dict[str, Any]], expected: list[dict[str, Any]], tolerance: float) -> None:
    for job, (mine, other) in enumerate(zip(found, expected, strict=True)):
        assert mine.keys() == other.keys()
        for name in mine.keys() - {"history"}:
            assert_allclose(mine[name], other[name], rtol=tolerance, atol=tolerance, err_msg=f"{name} of job {job}")
        pd.testing.assert_frame_equal(mine["history"], other["history"], rtol=tolerance, atol=tolerance)


def assert_equal(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert_close(found, expected, 0)


@pytest.fixture(scope="module")
def in_double() -> dict[Any, Any]:
    """Every architecture by one process and, by rank, by two."""
    return {cuts: together(train_all, cuts) for cuts in (HALVES, UNEQUAL)} | {(): train_all(())}


@pytest.mark.parametrize("cuts", [HALVES, UNEQUAL], ids=["halves", "unequal"])
@pytest.mark.parametrize("name", CONFIGS)
def test_shares_give_the_steps_of_the_whole_batch(in_double, name, cuts):
    """In float64, so that nothing but the equations can differ."""
    expected, figures = in_double[()][name]
    for tensors, found in (result[name] for result in in_double[cuts]):
        assert tensors.keys() == expected.keys()
        for part in expected:
            assert_allclose(tensors[part], expected[part], rtol=1e-9, atol=1e-11, err_msg=part)
        pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(figures), rtol=1e-9)
    assert figures[-1]["dead_share"] > 0.05 or not CONFIGS[name].auxiliary


@pytest.fixture(scope="module")
def whole() -> list[dict[str, Any]]:
    """Fitted by one process."""
    return fit(None, ())


@pytest.fixture(scope="module")
def halves(tmp_path_factory) -> tuple[list[dict[str, Any]], Path]:
    """Fitted by two, and their folder."""
    folder = tmp_path_factory.mktemp("halves")
    first, second = together(fit, folder)
    assert_equal(second, first)
    return first, folder


def assert_the_same_but_for_rounding(fitted: list[dict[str, Any]], whole: list[dict[str, Any]]) -> None:
    """Penalised architectures start with thresholds on pre-activations, so the first rounding may already decide."""
    counted = [n for n, job in enumerate(jobs()) if job.config.architecture in ("topk", "batchtopk", "matryoshka")]
    assert len(counted) == len(jobs()) - 3
    assert_close([fitted[n] for n in counted], [whole[n] for n in counted], 2e-4)


def test_a_fit_by_two_is_a_fit_by_one(whole, halves):
    assert_the_same_but_for_rounding(halves[0], whole)


def test_shares_may_be_unequal_and_of_any_number(whole):
    for cuts in (UNEQUAL, (31, 37)):
        for fitted in together(fit, None, cuts, world=len(cuts) + 1):
            assert_the_same_but_for_rounding(fitted, whole)


def test_only_the_first_process_writes_and_all_know_the_history(halves, tmp_path):
    results, folder = halves
    names = {".lock", "metrics.jsonl", f"step-{STEPS - 1}.safetensors", f"step-{STEPS}.safetensors"}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "metrics.jsonl").read_text().count("\n") == STEPS * len(jobs())
    again = together(fit, folder)
    assert_equal(again[0], results)
    assert_equal(again[1], results)


@pytest.mark.parametrize("rank", [0, 1])
def test_ctrl_c_in_one_process_stops_all_after_the_same_step_and_all_go_on(tmp_path, halves, rank):
    stopped = f"stopped after step 7 of {STEPS}, 7 is kept"
    assert together(fit_with_a_signal, tmp_path, rank, signal.SIGINT) == [stopped, stopped]
    for fitted in together(fit, tmp_path):
        assert_equal(fitted, halves[0])


@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_process_is_killed_the_others_fail_and_all_go_on(tmp_path, halves, rank):
    results = together(fit_with_a_signal, tmp_path, rank, signal.SIGKILL)
    assert results[rank] is None
    assert results[1 - rank] == OTHER_STOPPED, "it must not wait for the dead"
    for fitted in together(fit, tmp_path):
        assert_equal(fitted, halves[0])


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_another_number_of_processes_goes_on_where_others_stopped(tmp_path, whole, before, after):
    """A batch is the same whoever has which share of it: only rounding differs from a training by one."""
    stopped = together(fit_with_a_signal, tmp_path, 0, signal.SIGINT, world=before)
    assert stopped == [f"stopped after step 7 of {STEPS}, 7 is kept"] * before
    for fitted in together(fit, tmp_path, {1: (), 2: HALVES, 3: (31, 37)}[after], world=after):
        assert_the_same_but_for_rounding(fitted, whole)


def test_a_folder_in_use_is_refused_for_all(tmp_path):
    with Checkpoints(tmp_path, {}, 1, 0.0):
        first, second = together(fit, tmp_path)
    assert first.startswith("RunError: another process is training in")
    assert second == OTHER_STOPPED


def parts() -> dict[str, Any]:
    """The exchanges one by one."""
    rank = dist.get_rank()
    x = torch.arange(10.0).view(5, 2)[: 2 + rank]
    gradient, sums, count = reduced({"a": x[:2] * (rank + 1)}, {"b": x[0].double() + rank}, 3 + rank)
    return {
        "gathered": gathered(x).tolist(), "none": gathered(x[: 0 if rank else 1]).tolist(), "first": is_first(),
        "total": total(3 + rank), "nowhere": anywhere(False), "somewhere": anywhere(rank == 1),
        "mean": gradient["a"].tolist(), "sum": sums["b"].tolist(), "count": count,
    }  # fmt: skip


def test_exchanges():
    x = [[0, 1], [2, 3], [4, 5]]
    for rank, found in enumerate(together(parts)):
        assert found == {
            "gathered": [*x[:2], *x], "none": [[0, 1]], "first": rank == 0, "total": 7, "nowhere": False,
            "somewhere": True, "sum": [1, 3], "count": 7,
            "mean": [[0, pytest.approx(11 / 7)], [pytest.approx(22 / 7), pytest.approx(33 / 7)]],
        }  # fmt: skip


def largest(h: np.ndarray, cuts: tuple[int, ...], count: int) -> tuple[list[list[tuple[int, float]]], float]:
    mine = own(torch.from_numpy(h), cuts)
    pairs, least = largest_of_all(chosen(mine, mine > 0), count)
    ends = [*pairs.offsets.tolist()[1:], len(pairs.values)]
    rows = [slice(a, b) for a, b in zip(pairs.offsets.tolist(), ends, strict=True)]
    return [list(zip(pairs.features[r].tolist(), pairs.values[r].tolist(), strict=True)) for r in rows], least


@pytest.mark.parametrize("cuts", [(9,), (1,)])
@pytest.mark.parametrize("count", [29, 10_000])
def test_the_largest_of_all_may_be_in_one_share(cuts, count):
    h = torch.randn(17, N, generator=torch.Generator().manual_seed(0))
    h[-1] += 5
    expected, least = largest(h.numpy(), (), count)
    found = together(largest, h.numpy(), cuts, count)
    assert [row for rows, _ in found for row in rows] == expected
    assert [value for _, value in found] == [least, least]


def test_without_torchrun_nothing_is_started():
    with started() as device:
        assert not dist.is_initialized()
        assert processes() == 1
        assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def started_inside() -> bool:
    with started():
        pass
    return dist.is_initialized()


def test_a_process_group_that_is_there_already_is_left_alone():
    assert together(started_inside) == [True, True]


TORCHRUN = """
import os, signal, sys, time
from pathlib import Path
from cellprism.sae.distributed import is_first, started
from sae.test_distributed import fit

def progress(step, _):
    if sys.argv[2] == "stop" and step >= 7:
        if step == 7 and is_first():
            os.kill(os.getppid(), signal.SIGINT)
        time.sleep(0.3)  # until it has come back to all processes

with started():
    fit(Path(sys.argv[1]), progress=progress)
"""


def test_torchrun_stops_on_ctrl_c_and_goes_on(tmp_path, halves):
    script, folder = tmp_path / "train.py", tmp_path / "kept"
    script.write_text(TORCHRUN)
    paths = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, folder]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    stopped = subprocess.run([*torchrun, "stop"], env=environment, capture_output=True, text=True, check=False)
    assert stopped.returncode != 0
    step = newest(folder)
    assert 7 <= step < STEPS
    assert stopped.stderr.count(f"KeyboardInterrupt: stopped after step {step} of {STEPS}") == 2
    finished = subprocess.run([*torchrun, "finish"], env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert_equal(fit(folder), halves[0])
