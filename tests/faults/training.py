"""A small training of everything at once, to be killed in a process of its own."""

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import pandas as pd
import torch
from sae.conftest import planted
from safetensors import safe_open

from cellprism.errors import CellprismError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.fit import fit_saes
from cellprism.sae.job import Job
from cellprism.sae.stream import Vectors
from faults.forks import forked

D, N, K, TOKENS, STEPS = 13, 41, 5, 101, 17
FINISHED = -1, "finished"


class Numbered:
    """Batches that are the same however often and from wherever they are read."""

    identity = "planted"

    def from_step(self, step: int) -> Iterator[Vectors]:
        mixing = torch.randn(D, 11, generator=torch.Generator().manual_seed(7))
        for number in count(step):
            x = planted(TOKENS, D, 31, 3, seed=number).x
            yield Vectors(x, torch.arange(TOKENS) % 7, x @ mixing)


def jobs() -> list[Job]:
    """Every architecture, and everything else that has a state."""
    centre = torch.randn(7, D, generator=torch.Generator().manual_seed(3))
    plain = {"k": K, "n_features": N, "learning_rate": 3e-3}
    every = ("topk", "batchtopk", "matryoshka", "l1", "gated", "jumprelu")
    one_each = [Job(SaeConfig(architecture=name, **plain), D, seed) for seed, name in enumerate(every)]
    return [
        *one_each,
        Job(SaeConfig(auxiliary=1 / 32, dead_after=300, biases="two", **plain), D),
        Job(SaeConfig(centring="global", **plain), D),
        Job(SaeConfig(centring="group", **plain), D, centre=centre),
        Job(SaeConfig(**plain), D, d_target=11),
        Job(SaeConfig(centring="global", **plain), D, d_target=11, centre=centre[:1], target_centre=centre[1:2, :11]),
    ]


def train(
    folder: Path | None,
    seconds: float = 0.0,
    progress: Callable[[int, object], None] | None = None,
    only: str = "",
) -> list[SparseAutoencoder]:
    """Fit everything, or only one architecture; by default there is a checkpoint after every step."""
    torch.set_num_threads(1)
    some = [job for job in jobs() if only in ("", job.config.architecture)][: 1 if only else None]
    return fit_saes(Numbered(), some, STEPS, checkpoints=folder, checkpoint_seconds=seconds, progress=progress)


def newest(folder: Path) -> int:
    """The step of the newest checkpoint."""
    return max(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.safetensors"))


def contents(folder: Path) -> tuple[str, dict[str, torch.Tensor]]:
    """The metrics, and the newest checkpoint's tensors."""
    with safe_open(folder / f"step-{newest(folder)}.safetensors", "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    return (folder / "metrics.jsonl").read_text(), tensors


def assert_same(folder: Path, unbroken: Path, only: str = "") -> None:
    """Metrics, every tensor of the last checkpoint, and the autoencoders made of it are the same, bit for bit."""
    (text, tensors), (expected_text, expected) = contents(folder), contents(unbroken)
    assert text == expected_text
    assert tensors.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(tensors[name], expected[name])] == []
    for sae, other in zip(train(folder, only=only), train(unbroken, only=only), strict=True):
        for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold", "slope", "shift", "centre", "target_centre"):
            mine, others = getattr(sae, name), getattr(other, name)
            assert (mine is None) == (others is None), name
            assert mine is None or torch.equal(mine, others), name
        pd.testing.assert_frame_equal(sae.history, other.history, check_exact=True)
    names, expected_names = ({path.name for path in f.iterdir()} for f in (folder, unbroken))
    assert names == expected_names, sorted(names ^ expected_names)


def in_own_process(
    to_parent: Connection, folder: Path, seconds: float, die_at: int | None, largest_file: int | None
) -> None:
    """What a child does: train, and tell the parent the number of each step done.

    Args:
        to_parent: what it tells.
        folder: of the training.
        seconds: between checkpoints.
        die_at: kill itself at that many openings, renamings and removals of files in the folder.
        largest_file: bytes to which a file may grow.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been started with Ctrl-C ignored
    if die_at is not None:
        sys.addaudithook(_dying(str(folder), die_at))
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    try:
        train(folder, seconds, lambda step, _: to_parent.send((step, "")))
        to_parent.send(FINISHED)
    except (CellprismError, KeyboardInterrupt) as error:
        to_parent.send((-1, f"{type(error).__name__}: {error}"))


def _dying(folder: str, after: int) -> Callable[[str, tuple], None]:
    numbers = count(1)

    def hook(event: str, arguments: tuple) -> None:
        here = event in ("open", "os.rename", "os.remove", "os.chmod") and str(arguments[0]).startswith(folder)
        if here and next(numbers) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


class Child:
    """A training in a process of its own."""

    def __init__(
        self, folder: Path, *, seconds: float = 0.0, die_at: int | None = None, largest_file: int | None = None
    ):
        self.process, self.messages = forked(in_own_process, folder, seconds, die_at, largest_file)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()
        self.messages.close()

    def hear(self) -> tuple[int, str]:
        """The next step done, or -1 and the last words; -1 and nothing where it died."""
        try:
            return self.messages.recv()
        except EOFError:
            return -1, ""

    def last_words(self) -> str:
        """What it ended with; empty where it died."""
        while (heard := self.hear())[0] >= 0:
            pass
        self.process.join()
        return heard[1]
