"""Work of a study over shards: in this process, or on workers that open the run themselves.

Formulas and models stay where they are: a study hands over a function of a module that makes what its work reads from a
workbench, and one that does a shard of it. In one process both are called as they are; a worker calls the first once.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from cellprism.parallel.pace import Pace
from cellprism.parallel.shards import Arrays, Results, Shard, ShardFolder
from cellprism.studies.workbench import Workbench

State = TypeVar("State")
KEPT = 2
"""States that a worker keeps: a study's own, and that of the tokens which it may read in between."""


def mapped(
    bench: Workbench,
    title: str,
    shards: Sequence[Shard],
    folder: ShardFolder,
    state: State,
    prepare: Callable[[Workbench], State],
    work: Callable[[State, Any], Arrays],
    unit: str = "shards",
) -> Results:
    """Have every shard's arrays in a folder; those that are there are not made again.

    Args:
        bench: the run.
        title: what is done, for people.
        shards: all of them.
        folder: where their files go, in the run folder.
        state: what the work reads, as this process has it.
        prepare: makes the same from a workbench; a function of a module.
        work: from the state and a shard's task to arrays; a function of a module.
        unit: what the shards' sizes count.

    Raises:
        CellprismError: some shards failed; the first is named.
    """
    do = partial(work, state)
    if bench.engine.elsewhere:
        bench.cells_a_pass()  # planned once for all, and kept in the run
        do = partial(_there, bench.opening(folder.folder), prepare, work)
    left = sum(shard.size for shard in folder.missing(shards))
    if left < (total := sum(shard.size for shard in shards)):
        bench.say(f"{title}: {total - left:,} of {total:,} {unit} are done already")
    with bench.bar(title, left) as advance:
        return bench.engine.map(do, shards, folder, Pace(unit, advance))


def _there(
    opening: tuple[Callable[..., Workbench], tuple[Any, ...]],
    prepare: Callable[[Workbench], Any],
    work: Callable[[Any, Any], Arrays],
    task: Any,
) -> Arrays:
    """A shard on a worker."""
    return work(_prepared(opening, prepare), task)


@lru_cache(maxsize=KEPT)
def _prepared(opening: tuple[Callable[..., Workbench], tuple[Any, ...]], prepare: Callable[[Workbench], Any]) -> Any:
    return prepare(_bench(opening))


@lru_cache(maxsize=KEPT)
def _bench(opening: tuple[Callable[..., Workbench], tuple[Any, ...]]) -> Workbench:
    """The run as this worker has it; opened once."""
    function, words = opening
    return function(*words)
