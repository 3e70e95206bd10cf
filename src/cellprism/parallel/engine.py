"""Three verbs: ``map`` work over shards, ``reduce`` or ``gather`` what it found.

- ``Engine.map`` makes the files that are not there; how, its kinds decide: one after the other in this process, or on a
  Dask cluster (``parallel.cluster``). Nothing else knows of the difference.
- A shard that fails does not stop the others; when they are done, or ``MOST_FAILED`` have failed, the first failure is
  raised with the name of what the shard holds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cellprism.errors import CellprismError, DiskError, InputError
from cellprism.parallel.pace import Pace
from cellprism.parallel.shards import Arrays, Results, Shard, ShardFolder, keep

MOST_FAILED = 3
"""Failed shards after which the rest is not begun."""
Work = Callable[[Any], Arrays]


class Engine(ABC):
    """Maps work over shards."""

    workers: int = 1
    """Processes that work at the same time."""
    elsewhere: bool = False
    """Whether other processes work: what they do must be a function of a module, what they are given is sent."""

    def map(self, work: Work, shards: Sequence[Shard], folder: ShardFolder, pace: Pace | None = None) -> Results:
        """Have every shard's file in the folder; those that are there are not made again.

        Args:
            work: from a shard's task to arrays; a function that another process can import.
            shards: all of them, in order.
            folder: where their files go; a folder that all workers see.
            pace: told of every shard that is made.

        Raises:
            CellprismError: some shards failed; the first is named, the others are kept. An ``InputError`` stays one.
        """
        pace = pace or Pace("shards")
        failed: list[tuple[Shard, BaseException]] = []
        for shard, error in self._computed(work, folder.missing(shards), folder):
            if error is None and not folder.done(shard.name):
                error = InputError(
                    f"its worker wrote {folder.path(shard.name)}, but it is not there: the folder must be on a disk "
                    "that this process and all workers see"
                )
            if error is None:
                pace.step(shard.size)
                continue
            failed.append((shard, error))
            if len(failed) == MOST_FAILED or isinstance(error, DiskError):
                break
        if failed:
            raise _failure(failed, folder) from failed[0][1]
        return Results(folder, shards)

    @abstractmethod
    def _computed(
        self, work: Work, shards: Sequence[Shard], folder: ShardFolder
    ) -> Iterator[tuple[Shard, BaseException | None]]:
        """Each shard once its file is written, or with what went wrong, in any order."""


class SerialEngine(Engine):
    """One shard after the other, in this process."""

    def _computed(
        self, work: Work, shards: Sequence[Shard], folder: ShardFolder
    ) -> Iterator[tuple[Shard, BaseException | None]]:
        for shard in shards:
            try:
                compute(work, shard.task, folder.path(shard.name))
            except Exception as error:  # whatever it is: the engine says which shard it was
                yield shard, error
            else:
                yield shard, None


def compute(work: Work, task: Any, path: Path) -> None:
    """Do the work of one shard and keep what it finds; this is what runs on a worker."""
    keep(path, work(task))


def _failure(failed: list[tuple[Shard, BaseException]], folder: ShardFolder) -> CellprismError:
    """One message for shards that failed: what they hold, and what is kept."""
    shard, error = failed[0]
    reason = str(error) if isinstance(error, CellprismError) else f"{type(error).__name__}: {error}"
    more = f" ({len(failed) - 1} more failed: {'; '.join(other.said for other, _ in failed[1:])})" if failed[1:] else ""
    kind = InputError if isinstance(error, InputError) else CellprismError
    return kind(
        f"{shard.said} failed{more}: {reason}\nWhat is done is kept in {folder.folder}: put right what is wrong and "
        "run the same command again"
    )
