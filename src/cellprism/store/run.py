"""A run is a folder: what was asked (run.toml), what has been done (run.json), and the files of each step.

- A step is identified by a hash of its settings and of the steps it needs. With the same hash and unaltered files it
  is skipped; anything else is made again. Nothing is decided by file dates.
- One process works on a run at a time; a lock of the operating system, freed even when the process is killed.
"""

import fcntl
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellprism.errors import DamagedError, RunError
from cellprism.store.atomic import read_json, sha256, write_json

STATE, SETTINGS, LOCK = "run.json", "run.toml", ".lock"


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class Run:
    """A run folder and the record of its finished steps."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def existing(cls, folder: Path) -> "Run":
        """Open a run; raises ``RunError`` where there is none."""
        if not (folder / STATE).is_file():
            raise RunError(
                f"{folder} is not a run folder (it has no {STATE}); make one with: cellprism train --out {folder}"
            )
        return cls(folder)

    @property
    def state(self) -> dict[str, Any]:
        """Contents of run.json; empty before the first step."""
        path = self.folder / STATE
        return read_json(path) if path.is_file() else {"steps": {}}

    def update(self, **fields: Any) -> None:
        """Set top-level fields of run.json."""
        write_json(self.folder / STATE, {**self.state, **fields})

    def is_done(self, step: str, identity: str) -> bool:
        """Whether ``step`` was finished with this identity and its files are still what it wrote."""
        record = self.state["steps"].get(step)
        return bool(record) and record["identity"] == identity and not self.altered(step)

    def altered(self, step: str) -> list[str]:
        """Files of a finished step that are missing or no longer what it wrote."""
        files = self.state["steps"][step]["files"]
        return [f for f, digest in files.items() if not (p := self.folder / f).is_file() or sha256(p) != digest]

    def require(self, step: str, verb: str) -> None:
        """Raise ``RunError`` if ``step`` is missing, ``DamagedError`` if its files were altered; ``verb`` makes it."""
        if step not in self.state["steps"]:
            raise RunError(
                f"{self.folder} has no finished step {step!r}; make it first with: cellprism {verb} {self.folder}"
            )
        if bad := self.altered(step):
            raise DamagedError(
                f"{self.folder / bad[0]} is missing or altered; make it again with: cellprism {verb} {self.folder}"
            )

    def finish(self, step: str, identity: str, files: Iterable[Path], **facts: Any) -> None:
        """Record a finished step with the hashes of its files (paths inside the run folder).

        Files that the step wrote when it was last done, and now did not, are removed.
        """
        hashes = {str(path.relative_to(self.folder)): sha256(path) for path in sorted(files)}
        record = {"identity": identity, "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **facts, "files": hashes}
        self._remove(set(self.state["steps"].get(step, record)["files"]) - set(hashes))
        self.update(steps={**self.state["steps"], step: record})

    def forget(self, step: str) -> None:
        """Remove a step's record and files: they were made from something that is no longer there."""
        steps = self.state["steps"]
        self._remove(steps.pop(step)["files"])
        self.update(steps=steps)

    def _remove(self, files: Iterable[str]) -> None:
        for path in (self.folder / f for f in files):
            path.unlink(missing_ok=True)
            if path.parent != self.folder and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; a second process is refused with ``RunError``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"another process is working on {self.folder}; wait for it or choose another folder"
                ) from None
            yield
