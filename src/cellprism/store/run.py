"""A run is a folder: what was asked (run.toml), what has been done (run.json), and the files of each step.

- A step is identified by a hash of its settings and of the steps it needs. With the same hash and unaltered files it
  is skipped; anything else is made again. Nothing is decided by file dates.
- One process works on a run at a time; a lock of the operating system, freed even when the process is killed.
- A folder may come from anywhere: it is looked through before it is used (``store.inside``), and what its record says
  is believed only in the form in which it is written here.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellprism.display import command
from cellprism.errors import DamagedError, RunError
from cellprism.store.atomic import clear_scratch, read_json, sha256, write_json
from cellprism.store.disk import writing
from cellprism.store.inside import check_plain, is_inside, is_plain, open_plain, remove

STATE, SETTINGS, LOCK = "run.json", "run.toml", ".lock"
OUTPUTS = ("cells.h5ad", "cells.json", "model.json", "claims.json", "report.html")
FORMAT = 2  # of run folders; 0.1 wrote none
LARGEST = 1 << 24  # bytes of run.json; a run writes some 10 kB
REMEDY = "restore it from a copy, or remove the folder and run again"


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class Run:
    """A run folder and the record of its finished steps."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def existing(cls, folder: Path) -> "Run":
        """Open a run; raises ``RunError`` where there is none, or where it holds things that are no files."""
        check_plain(folder)
        if not (folder / STATE).is_file():
            train = command("train", "CELLS", "--out", folder)
            raise RunError(f"{folder} is not a run folder (it has no {STATE}); make one with: {train}")
        return cls(folder)

    @property
    def state(self) -> dict[str, Any]:
        """Contents of run.json; empty before the first step.

        Raises:
            DamagedError: it is not the record of a run, or names files outside the folder.
            RunError: another version of cellprism wrote it.
        """
        path = self.folder / STATE
        if not path.is_file():
            return {"steps": {}}
        if path.stat().st_size > LARGEST:
            raise DamagedError(
                f"{path} has {path.stat().st_size / 1e6:,.0f} MB, which no record of a run has; {REMEDY}"
            )
        state = read_json(path)
        if problem := _problem(state):
            raise DamagedError(f"{path} is not the record of a run: {problem}; {REMEDY}")
        if state.get("steps") and state.get("format") != FORMAT:
            raise RunError(
                f"{self.folder} was written by another version of cellprism, which kept its results elsewhere; make "
                "the run again in another folder: cellprism run CONFIG.toml --out RUN"
            )
        return {"steps": {}, **state}

    def update(self, **fields: Any) -> None:
        """Set top-level fields of run.json."""
        write_json(self.folder / STATE, {"format": FORMAT, **self.state, **fields})

    def is_done(self, step: str, identity: str) -> bool:
        """Whether ``step`` was finished with this identity and its files are still what it wrote."""
        record = self.state["steps"].get(step)
        return bool(record) and record["identity"] == identity and not self.altered(step)

    def altered(self, step: str) -> list[str]:
        """Files of a finished step that are missing or no longer what it wrote."""
        files = self.state["steps"][step]["files"]
        return [
            f for f, digest in files.items() if not is_plain(self.folder, p := self.folder / f) or sha256(p) != digest
        ]

    def require(self, step: str, *verb: object) -> None:
        """Raise ``RunError`` if ``step`` is missing, ``DamagedError`` if its files were altered.

        Args:
            step: its name.
            verb: parts of the command that makes it, without the run folder, which comes last.
        """
        made = command(*verb, self.folder)
        if step not in self.state["steps"]:
            raise RunError(f"{self.folder} has no finished step {step!r}; make it first with: {made}")
        if bad := self.altered(step):
            raise DamagedError(f"{self.folder / bad[0]} is missing or altered; make it again with: {made}")

    def finish(self, step: str, identity: str, files: Iterable[Path], **facts: Any) -> None:
        """Record a finished step with the hashes of its files (paths inside the run folder).

        Files that the step wrote when it was last done, and now did not, are removed.
        """
        hashes = {str(path.relative_to(self.folder)): sha256(path) for path in sorted(files)}
        record = {"identity": identity, "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **facts, "files": hashes}
        remove(self.folder, set(self.state["steps"].get(step, record)["files"]) - set(hashes))
        self.update(steps={**self.state["steps"], step: record})

    def forget(self, step: str) -> None:
        """Remove a step's record and files: they were made from something that is no longer there."""
        steps = self.state["steps"]
        remove(self.folder, steps.pop(step)["files"])
        self.update(steps=steps)

    def _kept(self) -> str:
        """What an interruption leaves, in words; empty where no step is finished."""
        done = ", ".join(self.state["steps"])
        return f"kept in {self.folder}: {done}" if done else ""

    def _refuse_others_files(self) -> None:
        """A folder without a run, in which none was ever begun, may hold anything but what a run would write over."""
        if (self.folder / STATE).exists() or (self.folder / LOCK).exists():
            return
        if found := [name for name in OUTPUTS if (self.folder / name).exists()]:
            raise RunError(
                f"{self.folder} holds {' and '.join(found)}, but no run; a run would write over "
                f"{'it' if len(found) == 1 else 'them'}: choose another folder, or move {found[0]} away"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; a second process is refused with ``RunError``.

        So is a folder without a run that holds what a run would write over, one that holds links or other things that
        are no files, and a record that is none with ``DamagedError``; nothing is written then.
        """
        check_plain(self.folder)
        self._refuse_others_files()
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = open_plain(self.folder / LOCK, os.O_RDWR)
        with os.fdopen(lock, "r+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"another process is working on {self.folder}{holder(lock)}; wait for it or choose another folder"
                ) from None
            try:
                _ = self.state  # a record that is none is refused before anything else is done
                clear_scratch(self.folder)
                yield
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt("; ".join(filter(None, (str(stop), self._kept())))) from stop


def holder(opened: int) -> str:
    """Which process holds the lock of an open file, in words; empty where the system, unlike Linux, does not say."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    inode = str(os.fstat(opened).st_ino)  # 1: FLOCK  ADVISORY  WRITE 4711 08:01:42 0 EOF
    found = [words[4] for words in map(str.split, lines) if words[1] == "FLOCK" and words[5].endswith(f":{inode}")]
    return f" (number {found[0]} on this machine)" if found and int(found[0]) > 0 else ""


def _problem(state: Any) -> str:
    """What in run.json is not as it is written here; empty where all is."""
    if not isinstance(state, dict):
        return f"it is {_called(state)}, expected an object with steps"
    passes = state.get("passes", {})
    if not isinstance(passes, dict) or not all(isinstance(plan, dict) for plan in passes.values()):
        return f"passes is {_called(passes)}, expected an object of plans"
    steps = state.get("steps", {})
    if not isinstance(steps, dict):
        return f"steps is {_called(steps)}, expected an object"
    for step, record in steps.items():
        if not isinstance(record, dict) or not isinstance(record.get("identity"), str):
            return f"step {step[:40]!r} is {_called(record)}, expected an object with identity and files"
        files = record.get("files")
        if not isinstance(files, dict):
            return f"the files of step {step[:40]!r} are {_called(files)}, expected an object of names and hashes"
        for name, hashed in files.items():
            if not isinstance(hashed, str):
                return f"the hash of {name[:80]!r} is {_called(hashed)}, expected text"
            if not is_inside(name):
                return f"step {step[:40]!r} lists {name[:80]!r}, which is no file of the run folder"
    return ""


def _called(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), "a number")
