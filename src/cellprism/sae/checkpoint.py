"""What a killed training needs to go on where it was, and nothing of it half-written.

A folder with

- ``step-<n>.safetensors``: all tensors after step n; the newest two are there.
- ``checkpoint.json``: which these are, newest first, their SHA-256, and what the training was asked.
- ``metrics.jsonl``: a line for every step and job. Lines behind the checkpoint are cut off when training goes on from
  it, so there is neither a gap nor a repeat.

The sampler needs no state: a stream gives its batches by number (``sae.stream``), and a step uses no random numbers.
"""

import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cellprism.errors import CellprismError, DamagedError, RunError
from cellprism.sae.distributed import is_first
from cellprism.store.atomic import read_json, replacing, sha256, write_json

STATE, METRICS, LOCK = "checkpoint.json", "metrics.jsonl", ".lock"


class Checkpoints:
    """The checkpoints of one training; a context that holds the folder for this process.

    Without a folder nothing is kept, and metrics stay in memory. Of several processes that train together only the
    first writes; all read.

    Raises:
        RunError: another process holds the folder, or it belongs to a training with other settings or data.
    """

    def __init__(self, folder: str | Path | None, identity: Mapping[str, Any], seconds: float):
        self.folder = None if folder is None else Path(folder)
        self.identity = json.loads(json.dumps(identity, default=str))
        self.seconds, self.last = seconds, time.monotonic()
        self.rows: list[dict[str, Any]] = []
        self._kept: list[dict[str, Any]] = []
        self._lock: TextIO | None = None
        self._metrics: TextIO | None = None

    def __enter__(self) -> "Checkpoints":
        if self.folder is not None and is_first():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / LOCK).open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise RunError(
                    f"another process is training in {self.folder}; wait for it or choose another folder"
                ) from None
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._metrics, self._lock):
            if stream is not None:
                stream.close()

    def restored(self) -> tuple[int, dict[str, Tensor] | None]:
        """Steps done, and the tensors after them; 0 and None where nothing was kept.

        Raises:
            RunError: the checkpoint is of a training with other settings or data.
            DamagedError: its file is missing, truncated or altered.
        """
        if self.folder is None or not (self.folder / STATE).is_file():
            self._cut_metrics(0)
            return 0, None
        state = read_json(self.folder / STATE)
        self._compare(state["asked"])
        there = [kept for kept in state["kept"] if (self.folder / kept["file"]).is_file()]
        if not there:
            raise DamagedError(f"{self.folder} has lost its checkpoints; remove it to start again")
        path, step = self.folder / there[0]["file"], there[0]["step"]
        remedy = (
            f"remove it to go on from step {there[1]['step']}" if there[1:] else f"remove {self.folder} to start again"
        )
        if sha256(path) != there[0]["sha256"]:
            raise DamagedError(f"{path} was truncated or altered (SHA-256 differs); {remedy}")
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise DamagedError(f"{path} cannot be read ({error}); {remedy}") from error
        self._kept = there
        self._cut_metrics(step)
        return step, tensors

    def _compare(self, asked: Mapping[str, Any]) -> None:
        changed = [key for key in self.identity if asked.get(key) != self.identity[key]]
        if changed:
            raise RunError(
                f"{self.folder} holds the checkpoints of another training: "
                f"{_difference(asked[changed[0]], self.identity[changed[0]], changed[0])}; ask for the same, or remove "
                "the folder to start again"
            )

    def record(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note the figures of a step, a row per job."""
        noted = [{"step": step, "job": job, **row} for job, row in enumerate(rows)]
        self.rows += noted
        if self._metrics is not None:
            self._metrics.writelines(json.dumps(row) + "\n" for row in noted)
            self._metrics.flush()

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.folder is not None and time.monotonic() - self.last >= self.seconds

    def save(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Keep everything after a step; what was kept before stays until this is on the disk.

        Raises:
            CellprismError: it cannot be written; the last checkpoint is still there.
        """
        if self.folder is None or not is_first():
            return
        path = self.folder / f"step-{step}.safetensors"
        try:
            if self._metrics is not None:
                os.fsync(self._metrics.fileno())
            with replacing(path) as scratch:
                save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, scratch)
            newest = {"step": step, "file": path.name, "sha256": sha256(path)}
            self._kept = [newest, *(k for k in self._kept if k["file"] != path.name)][:2]
            write_json(self.folder / STATE, {"kept": self._kept, "asked": self.identity})
        except (OSError, SafetensorError) as error:
            raise CellprismError(
                f"step {step} could not be kept in {self.folder} ({error}); the last checkpoint is still there: make "
                "room and run the same command again"
            ) from error
        for stale in {p.name for p in self.folder.glob("step-*.safetensors")} - {k["file"] for k in self._kept}:
            (self.folder / stale).unlink(missing_ok=True)
        self.last = time.monotonic()

    def history(self, jobs: int) -> list[pd.DataFrame]:
        """The figures of all steps, a table per job."""
        of_job = [[row for row in self.rows if row["job"] == job] for job in range(jobs)]
        return [pd.DataFrame(rows).drop(columns="job") for rows in of_job]

    def _cut_metrics(self, step: int) -> None:
        """Keep the metrics up to a step and go on writing behind them."""
        if self.folder is None or not is_first():
            return
        path = self.folder / METRICS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self.rows = [row for row in map(_row, lines) if row is not None and row["step"] <= step]
        with replacing(path) as scratch:
            scratch.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        self._metrics = path.open("a", encoding="utf-8")


def _row(line: str) -> dict[str, Any] | None:
    """A line of metrics; None for one that a kill cut short."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _difference(before: Any, now: Any, path: str) -> str:
    """The first place at which two nested JSON values differ, in words."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = ({str(i): v for i, v in enumerate(values)} for values in (before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        key = next(k for k in [*now, *before] if before.get(k) != now.get(k))
        return _difference(before.get(key), now.get(key), f"{path}.{key}")
    return f"{path} was {before!r} and is now {now!r}"


class Interruption:
    """While it lasts, Ctrl-C and a request to terminate set ``asked`` instead of stopping; a second one stops at once.

    Only in the main thread; elsewhere signals cannot be caught and nothing changes.
    """

    def __init__(self):
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
