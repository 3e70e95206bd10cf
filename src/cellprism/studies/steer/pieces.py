"""The pieces of a sweep as shards: made in this process, or by workers that read the same cells of the run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cellprism.features.dictionaries import PursuitAutoencoder, arrays_of, dictionary_from
from cellprism.parallel.shards import Arrays, Shard, ShardFolder
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import Types, read_dose_cells
from cellprism.steering.dose_nulls import Matched
from cellprism.steering.dose_work import Piece, Sweeping, Turn
from cellprism.studies.mapping import mapped
from cellprism.studies.shards import Shards
from cellprism.studies.workbench import Workbench


@dataclass(frozen=True)
class Pieces:
    """Makes the pieces of a sweep; those that are there are not made again."""

    bench: Workbench
    shards: Shards

    def __call__(self, sweeping: Sweeping, piece: Piece, tasks: Sequence[Any]) -> Iterable[Arrays]:
        """What was found for each task, in order; see ``steering.dose_work.Each``."""
        beside = {task.control.dictionary for task in tasks if isinstance(task, Matched)}
        if self.bench.engine.elsewhere:
            for number in beside:
                dictionary = sweeping.dictionary(number)
                assert isinstance(dictionary, PursuitAutoencoder), "all that nobody trained are"
                self.shards.kept(_name(number), partial(arrays_of, dictionary))
        prepare, title = SweepingOnDisk(str(self.shards.home.resolve()), self.shards.folder.name), "steering features"
        parts = [Shard(*_named(task), task) for task in tasks]
        return mapped(
            self.bench, "steering controls" if beside else title, parts, self.shards, sweeping, prepare, piece, "edits"
        ).gather()


@dataclass(frozen=True)
class SweepingOnDisk:
    """Makes on a worker what the pieces read."""

    home: str
    identity: str
    """Of the folder of shards, which holds the dictionaries that nobody trained."""

    def __call__(self, bench: Workbench) -> Sweeping:
        """From the run."""
        settings = bench.settings("steer")
        cells, doses = bench.balanced_cells(settings.cells), settings.doses
        read = read_dose_cells(
            bench.model, bench.sae, cells, bench.config.layer, doses.batch_size, [], read=doses.read
        )  # fmt: skip
        return Sweeping(read, Types.among(cells), doses, partial(self._dictionary, bench))

    def _dictionary(self, bench: Workbench, number: int) -> SparseAutoencoder:
        found = ShardFolder(Path(self.home), self.identity).read(_name(number))
        return dictionary_from(found).to(bench.device)


def _name(dictionary: int) -> str:
    return f"dictionary-{dictionary}"


def _named(task: Turn | Matched) -> tuple[str, str]:
    """File of a piece, and what it holds."""
    if isinstance(task, Turn):
        return f"feature-{task.feature}-{task.strength}", f"feature {task.feature} at {task.strength:g}"
    said = f"feature {task.control.feature} of dictionary {task.control.dictionary}, beside feature {task.feature}"
    return f"control-{task.feature}-{task.replicate}", said
