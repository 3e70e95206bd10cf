"""What a killed training needs to go on where it was, and nothing of it half-written.

A folder with

- ``step-<n>.safetensors``: all tensors after step n. Its header says what the training was asked and holds a SHA-256 of
  all of it. The newest two are kept.
- ``metrics.jsonl``: a line for every step and job; null stands for a number that is not finite. Lines behind the
  checkpoint are cut off when training goes on from it, so there is neither a gap nor a repeat.

Notable choices

- A checkpoint is one file, moved into its place once it is on the disk. Whenever a process is killed, the newest one is
  whole, and no other file has to agree with it.
- The sampler needs no state: a stream gives its batches by number (``sae.stream``), and a step uses no random numbers.
- Of several processes that train together the first one writes; all read, so they must see the same folder.
"""

import fcntl
import hashlib
import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cellprism.errors import CellprismError, DamagedError, DiskError, RunError
from cellprism.sae.distributed import is_first
from cellprism.store.atomic import clear_scratch, replacing
from cellprism.store.disk import writing
from cellprism.store.inside import appending, check_plain, open_plain

METRICS, LOCK = "metrics.jsonl", ".lock"
KEPT = 2  # checkpoints
log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one training; a context that holds the folder for this process.

    Without a folder nothing is kept, and metrics stay in memory. ``seen`` is what was said of the batches at the
    checkpoint that was restored.

    Raises:
        RunError: another process holds the folder.
    """

    def __init__(self, folder: str | Path | None, identity: Mapping[str, Any], jobs: int, seconds: float):
        self.folder = None if folder is None else Path(folder)
        self.asked = json.loads(json.dumps(identity, default=str))
        self.jobs, self.seconds, self.last = jobs, seconds, time.monotonic()
        self.seen = ""
        self._rows: list[dict[str, Any]] = []
        self._kept: list[int] = []
        self._lock: TextIO | None = None
        self._metrics: TextIO | None = None

    def __enter__(self) -> "Checkpoints":
        if self.folder is not None and is_first():
            check_plain(self.folder)
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = open_plain(self.folder / LOCK, os.O_RDWR)
            self._lock = os.fdopen(lock, "r+", encoding="utf-8")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise RunError(
                    f"another process is training in {self.folder}; wait for it or choose another folder"
                ) from None
            clear_scratch(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        if self._metrics is not None:
            with suppress(OSError):  # every line was flushed; what a full disk left over is not wanted
                self._metrics.close()
        if self._lock is not None:
            self._lock.close()

    def restored(self) -> tuple[int, dict[str, Tensor] | None]:
        """Steps done, and the tensors after them; 0 and None where nothing was kept.

        Raises:
            RunError: the checkpoint is of a training with other settings or data.
            DamagedError: it, or the metrics up to it, were truncated or altered.
        """
        if self.folder is None:
            return 0, None
        numbers = (path.stem.removeprefix("step-") for path in self.folder.glob("step-*.safetensors"))
        self._kept = sorted((int(number) for number in numbers if number.isdigit()), reverse=True)
        step, tensors = (self._kept[0], self._newest()) if self._kept else (0, None)
        self._rows = self._metrics_until(step)
        if is_first():
            self._keep(KEPT)
            with self._writing(step), replacing(self.folder / METRICS) as scratch:
                scratch.write_text("".join(map(_line, self._rows)), encoding="utf-8")
            self._metrics = appending(self.folder / METRICS)
        return step, tensors

    def record(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note the figures of a step, a row per job.

        Raises:
            CellprismError: they cannot be written; the last checkpoint is still there.
        """
        noted = [{"step": step, "job": job, **row} for job, row in enumerate(rows)]
        self._rows += noted
        if self._metrics is not None:
            with self._writing(step):
                self._metrics.writelines(map(_line, noted))
                self._metrics.flush()

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.folder is not None and is_first() and time.monotonic() - self.last >= self.seconds

    def save(self, step: int, tensors: Mapping[str, Tensor], seen: str = "") -> None:
        """Keep everything after a step, with a word on the batches; what was kept before stays until this is on disk.

        Raises:
            CellprismError: it cannot be written; the last checkpoint is still there.
        """
        if self.folder is None or not is_first():
            return
        about = {"step": str(step), "asked": json.dumps(self.asked), "seen": seen}
        tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        with self._writing(step):
            if self._metrics is not None:
                os.fsync(self._metrics.fileno())
            with replacing(self._path(step)) as scratch:
                save_file(tensors, scratch, metadata={**about, "sha256": _sha256(about, tensors)})
            _sync(self.folder)
        self._keep(KEPT - 1)
        self._kept.insert(0, step)
        self.last = time.monotonic()

    def history(self) -> list[pd.DataFrame]:
        """The figures of all steps, a table per job."""
        of_job = [[row for row in self._rows if row["job"] == job] for job in range(self.jobs)]
        tables = [pd.DataFrame(rows).drop(columns="job", errors="ignore") for rows in of_job]
        return [table.replace([math.inf, -math.inf], math.nan) for table in tables]

    def _keep(self, number: int) -> None:
        """Only the newest checkpoints."""
        for stale in self._kept[number:]:
            self._path(stale).unlink(missing_ok=True)
        del self._kept[number:]

    def _path(self, step: int) -> Path:
        assert self.folder is not None, "only with a folder"
        return self.folder / f"step-{step}.safetensors"

    def _newest(self) -> dict[str, Tensor]:
        """The tensors of the newest checkpoint, checked.

        They are copied: a mapped file would hold its place on the disk, and products may round otherwise on memory that
        begins elsewhere than torch's own.
        """
        path, earlier = self._path(self._kept[0]), self._kept[1:]
        remedy = f"remove it to go on from step {earlier[0]}" if earlier else "remove it to start again"
        try:
            with safe_open(path, framework="pt") as opened:
                about = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
        except SafetensorError as error:
            raise DamagedError(f"{path} cannot be read ({error}); {remedy}") from error
        if about.pop("sha256", "") != _sha256(about, tensors) or about["step"] != str(self._kept[0]):
            raise DamagedError(f"{path} was altered (SHA-256 differs); {remedy}")
        difference = _difference(json.loads(about["asked"]), self.asked)
        if difference:
            raise RunError(
                f"{self.folder} holds the checkpoints of another training: {difference}; ask for the same, choose "
                "another folder, or remove this one to start again"
            )
        self.seen = about["seen"]
        return tensors

    def _metrics_until(self, step: int) -> list[dict[str, Any]]:
        """The rows up to a step; where the file was removed, those of later steps are all there will be."""
        assert self.folder is not None, "only with a folder"
        path = self.folder / METRICS
        lines = path.read_bytes().splitlines() if path.is_file() else []
        found = takewhile(lambda row: row is not None and row["step"] <= step, map(_row, lines))  # a kill cuts lines
        rows = [row for row in found if row is not None]
        if not rows:
            if step:
                log.warning("%s is gone, and with it the figures of all steps up to %d", path, step)
            return []
        expected = [(s, job) for s in range(rows[0]["step"], step + 1) for job in range(self.jobs)]
        if [(row["step"], row["job"]) for row in rows] != expected:
            raise DamagedError(
                f"{path} does not hold every step up to {step}, where the checkpoint is; restore it, or remove it to "
                "go on without the figures of those steps"
            )
        return rows

    @contextmanager
    def _writing(self, step: int) -> Iterator[None]:
        try:
            yield
        except (OSError, SafetensorError, DiskError) as error:
            why = error.__cause__ if isinstance(error, DiskError) else error
            last = f"the checkpoint of step {self._kept[0]} is still there" if self._kept else "nothing was kept yet"
            raise CellprismError(
                f"step {step} could not be kept in {self.folder} ({why}); {last}: make room and run the same command "
                "again"
            ) from error


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of some tensors: names, types, shapes and bytes."""
    return _sha256({}, tensors)


def _sha256(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    """Put a folder's list of files on the disk, so that a new file is there before an old one goes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps({name: v if math.isfinite(v) else None for name, v in row.items()}) + "\n"


def _row(line: bytes) -> dict[str, Any] | None:
    """A line of metrics; None for what is none."""
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(row, dict) or not {"step", "job"} <= set(row):
        return None
    return {name: math.nan if v is None else v for name, v in row.items()}


def _difference(before: Any, now: Any, path: str = "") -> str:
    """The first place at which two nested JSON values differ, in words; empty where they do not."""
    if before == now:
        return ""
    if isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            return f"there were {len(before)} {path} and are now {len(now)}"
        before, now = ({str(i): v for i, v in enumerate(values)} for values in (before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        nothing = "not there"
        return next(
            difference
            for key in [*now, *before]
            if (difference := _difference(before.get(key, nothing), now.get(key, nothing), f"{path}.{key}".strip(".")))
        )
    return f"{path} was {before!r} and is now {now!r}"


class Interruption:
    """While it lasts, Ctrl-C or a request to terminate sets ``asked`` instead; a second Ctrl-C stops at once.

    Only in the main thread; elsewhere signals cannot be caught and nothing changes. Signals that are ignored stay so.
    """

    def __init__(self):
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not Python's to give back
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.asked and error is None:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.asked:
            log.warning("stopping after this step; press Ctrl-C again to stop at once")
        self.asked = True
