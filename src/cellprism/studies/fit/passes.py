"""The forward passes behind the loss recovered, a shard each: made in this process, or by workers that open the run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cellprism.features.baselines import untrained_sae
from cellprism.features.dictionaries import PursuitAutoencoder, arrays_of, dictionary_from
from cellprism.features.splice import Splicing, masked_errors
from cellprism.parallel.shards import Arrays, Shard, ShardFolder
from cellprism.studies.mapping import mapped
from cellprism.studies.shards import Shards
from cellprism.studies.workbench import Workbench

TRAINED, UNTRAINED, FAIR = "trained", "untrained", "fair"
"""What is spliced in, by name; the last only where there are fair dictionaries."""
MEANS = "means"


@dataclass(frozen=True)
class Passes:
    """Makes passes; those that are there are not made again."""

    bench: Workbench
    shards: Shards

    def __call__(self, splicing: Splicing, passes: Sequence[int]) -> Iterable[Arrays]:
        """Errors of each, in order; see ``features.splice.Each``."""
        fair = splicing.saes.get(FAIR)
        if self.bench.engine.elsewhere:
            self.shards.kept(MEANS, lambda: {MEANS: splicing.means.cpu().numpy()})
            if isinstance(fair, PursuitAutoencoder):
                self.shards.kept(FAIR, lambda: arrays_of(fair))
        names, parts = splicing.adata.obs_names, []
        for number in passes:
            first, last = splicing.cells(number)
            said = f"drawn cells {first + 1:,} to {last:,} ({names[first]} to {names[last - 1]})"
            parts.append(Shard(f"pass-{number}", said, number, last - first))
        prepare = SplicingOnDisk(str(self.shards.home.resolve()), self.shards.folder.name, splicing.batch_size)
        title = "splicing into the model"
        return mapped(self.bench, title, parts, self.shards, splicing, prepare, masked_errors, "cells").gather()


@dataclass(frozen=True)
class SplicingOnDisk:
    """Makes on a worker what the passes read."""

    home: str
    identity: str
    """Of the folder of shards, which holds the means, and the fair dictionary where there is one."""
    batch_size: int

    def __call__(self, bench: Workbench) -> Splicing:
        """From the run."""
        settings, folder, seed = bench.settings("fit"), ShardFolder(Path(self.home), self.identity), bench.config.seed
        saes = {TRAINED: bench.sae, UNTRAINED: untrained_sae(bench.sae, seed)}
        if folder.done(FAIR):
            saes[FAIR] = dictionary_from(folder.read(FAIR)).to(bench.device)
        return Splicing(
            bench.model, bench.some_cells(settings.cells), bench.config.layer, saes,
            torch.from_numpy(folder.read(MEANS)[MEANS]).to(bench.sae.W_dec.device), settings.hidden, seed,
            self.batch_size,
        )  # fmt: skip
