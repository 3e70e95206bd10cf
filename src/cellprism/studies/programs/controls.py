"""Gene lists of what stands beside the run's features: an untrained autoencoder, noise cells, and autoencoders of other
seeds, each with an untrained one of its own.

Each needs a table of features by genes of its own, from all tokens of the cells, and only its lists are kept. So each
is a shard, made in this process or by a worker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cellprism.enrich.list_rules import Directions, own_lists
from cellprism.features.baselines import untrained_sae
from cellprism.features.collect import FeatureStatistics, feature_statistics
from cellprism.parallel.shards import Arrays, Shard, as_json, from_json
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.atomic import read_json, write_json
from cellprism.studies.mapping import mapped
from cellprism.studies.programs.gene_lists import Lists
from cellprism.studies.programs.noise import noise_lists
from cellprism.studies.programs.seeds import keep_further, kept_further, listed
from cellprism.studies.shards import shards_of
from cellprism.studies.workbench import Workbench

UNTRAINED, NOISE = "untrained", "noise"
"""Beside the run's own autoencoder; further autoencoders are named by their number."""
FILE = "background.json"
ByRule = dict[str, dict[str, Lists]]
"""Rule -> features or a control -> lists of one length."""


@dataclass(frozen=True, eq=False)
class Controls:
    """What making lists takes."""

    bench: Workbench
    background: tuple[str, ...]
    """Genes that may be in a list."""
    further: Sequence[SparseAutoencoder] | Path
    """Autoencoders of other seeds, or the folder that holds them."""

    def sae(self, number: int) -> SparseAutoencoder:
        """A further autoencoder, by its number from 1 on."""
        if isinstance(self.further, Path):
            return kept_further(self.further, number, self.bench.device)
        return self.further[number - 1]

    def statistics(self, sae: SparseAutoencoder) -> FeatureStatistics:
        """Its tables over all cells of the run."""
        bench = self.bench
        return feature_statistics(bench.model, sae, bench.cells, bench.config.layer, tokens=bench.tokens)


@dataclass(frozen=True)
class Found:
    """Lists of controls."""

    untrained: Lists
    """Of an untrained autoencoder, by the run's rule."""
    beside: ByRule
    """Of the same, of one length."""
    noise: dict[str, Lists]
    """Of the features on noise cells, see ``noise_lists``."""
    further: list[ByRule]
    """Of features and untrained controls of each further autoencoder."""


def control_lists(bench: Workbench, background: tuple[str, ...], further: Sequence[SparseAutoencoder]) -> Found:
    """Lists of all controls of a run."""
    shards = shards_of(bench, "programs", ("cells", "train"), bench.settings("programs"), background=background)
    if bench.engine.elsewhere:
        keep_further(shards.folder, further)
        write_json(shards.folder / FILE, list(background))
    parts = [Shard(UNTRAINED, "an untrained autoencoder", UNTRAINED)]
    parts += [Shard(NOISE, "noise cells", NOISE)] if bench.tokens.are_genes else []
    parts += [Shard(f"seed-{i}", f"the autoencoder of seed {bench.config.seed + i}", i)
              for i in range(1, len(further) + 1)]  # fmt: skip
    prepare = ControlsOnDisk(str(shards.folder.resolve()))
    state = Controls(bench, background, further)
    results = mapped(bench, "lists of controls and of other seeds", parts, shards, state, prepare, lists_of_one)
    found = {part.name: from_json(arrays) for part, arrays in zip(parts, results.gather(), strict=True)}
    shards.clear()
    one = found[UNTRAINED]
    by_seed = [_by_rule(found[f"seed-{i}"]) for i in range(1, len(further) + 1)]
    return Found(_lists(one["own"]), _by_rule(one["fixed"]), {k: _lists(v) for k, v in found.get(NOISE, {}).items()},
                 by_seed)  # fmt: skip


@dataclass(frozen=True)
class ControlsOnDisk:
    """Makes the same on a worker."""

    folder: str
    """Holds the background and the further autoencoders."""

    def __call__(self, bench: Workbench) -> Controls:
        """From the run."""
        folder = Path(self.folder)
        return Controls(bench, tuple(read_json(folder / FILE)), folder)


def lists_of_one(controls: Controls, task: str | int) -> Arrays:
    """The lists of one control, or of one further autoencoder and its control, as JSON."""
    return as_json(_made(controls, task))


def _made(controls: Controls, task: str | int) -> Mapping[str, Any]:
    bench, background = controls.bench, controls.background
    cells, seed = bench.cells, bench.config.seed
    if task == NOISE:
        return noise_lists(bench, background)
    if task == UNTRAINED:
        found = controls.statistics(untrained_sae(bench.sae, seed))
        own = own_lists(Directions(found.genes, found.cells, cells), bench.settings("programs").rule, background)
        return {"own": own, "fixed": listed({UNTRAINED: found}, {}, cells, background)}
    sae = controls.sae(int(task))
    tables = {"features": controls.statistics(sae)}
    rate = torch.from_numpy(np.asarray(tables["features"].genes.obs["firing_rate"], dtype=np.float32))
    tables[UNTRAINED] = controls.statistics(untrained_sae(replace(sae, firing_rate=rate), seed + int(task)))
    return listed(tables, {}, cells, background)


def _by_rule(found: Mapping[str, Any]) -> ByRule:
    return {rule: {name: _lists(some) for name, some in by_name.items()} for rule, by_name in found.items()}


def _lists(found: Mapping[str, Any]) -> Lists:
    return {name: tuple(genes) for name, genes in found.items()}
