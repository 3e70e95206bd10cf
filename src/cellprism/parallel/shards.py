"""Results of shards: arrays, a file each, in a folder whose name stands for everything that decides them.

A file is whole or not there, so work that was stopped, anywhere and by anything, goes on with the shards that lack one.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from cellprism.errors import DamagedError
from cellprism.store.atomic import discard, replacing

Arrays = dict[str, np.ndarray]
Sum = TypeVar("Sum")


@dataclass(frozen=True)
class Shard:
    """A part of some work."""

    name: str
    """Its file, without the ending."""
    said: str
    """What it holds, for people, such as ``cells 513 to 1,024``."""
    task: Any
    """What the work is given: small, and plain enough to be sent to another machine."""
    size: int = 1
    """How much of the whole it is, such as its number of cells."""


class ShardFolder:
    """Where results of shards lie until the work is done.

    Args:
        home: a folder of its own; results of other work that were left in it are removed.
        identity: hash of everything that decides the results.
    """

    def __init__(self, home: Path, identity: str):
        self.home, self.folder = home, home / identity[:16]
        if home.is_dir():
            for other in home.iterdir():
                if other.is_dir() and other.name != self.folder.name:
                    shutil.rmtree(other)

    def path(self, name: str) -> Path:
        """The file of a shard."""
        return self.folder / f"{name}.safetensors"

    def done(self, name: str) -> bool:
        """Whether its file is there and whole; one that was cut short is removed."""
        path = self.path(name)
        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="np"):
                return True
        except SafetensorError:
            path.unlink()
            return False

    def missing(self, shards: Sequence[Shard]) -> list[Shard]:
        """Those whose files are not there."""
        return [shard for shard in shards if not self.done(shard.name)]

    def kept(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """What was found under a name, or is now, where only this process needs it."""
        if not self.done(name):
            keep(self.path(name), make())
        return self.read(name)

    def read(self, name: str) -> Arrays:
        """What was found for a shard.

        Raises:
            DamagedError: the file was altered; it is removed, so that the same command makes it again.
        """
        try:
            return load_file(self.path(name))
        except SafetensorError as error:
            self.path(name).unlink()
            raise DamagedError(
                f"{self.path(name)} is damaged ({error}); it was removed: run the same command again"
            ) from error

    def clear(self) -> None:
        """Remove everything: the work is done."""
        if self.home.is_dir():
            discard(self.home)


def as_json(value: Any) -> Arrays:
    """Plain values as the arrays of a shard."""
    return {"json": np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)}


def from_json(found: Arrays) -> Any:
    """The plain values that ``as_json`` was given."""
    return json.loads(found["json"].tobytes())


def keep(path: Path, found: Arrays) -> None:
    """Write the arrays of a shard, whole or not at all."""
    with replacing(path) as scratch:
        save_file({name: np.ascontiguousarray(values) for name, values in found.items()}, scratch)


@dataclass(frozen=True)
class Results:
    """What a map has found, on disk; in the order of the shards, whoever made them and when."""

    folder: ShardFolder
    shards: Sequence[Shard]

    def gather(self) -> Iterator[Arrays]:
        """The arrays of each shard, one in memory at a time."""
        for shard in self.shards:
            yield self.folder.read(shard.name)

    def reduce(self, add: Callable[[Sum, Arrays], Sum], start: Sum) -> Sum:
        """All shards added up, one after the other: sums have the same bits however many processes mapped."""
        for found in self.gather():
            start = add(start, found)
        return start
