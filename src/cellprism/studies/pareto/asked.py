"""For which autoencoders and donors a front is made, and the paths of each, in this process or by workers that open the
run: a path of one weight is one shard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from jaxtyping import Int

from cellprism.display import command
from cellprism.errors import ConfigError
from cellprism.parallel.shards import Arrays, Shard
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.mapping import mapped
from cellprism.studies.pareto.settings import ANNOTATED, GIVEN, RANDOM, ParetoSettings
from cellprism.studies.pareto.unit import Front, Unit, front_of, path_arrays, read_unit
from cellprism.studies.programs.seeds import further_autoencoders, keep_further, kept_further
from cellprism.studies.shards import Shards
from cellprism.studies.workbench import Workbench

PROGRAMS = "programs"
LEAST = 20  # cells of either type that a donor must have: a fifth of them judge


@dataclass(frozen=True, eq=False)
class Asked:
    """An autoencoder and some cells."""

    sae: SparseAutoencoder
    number: int
    donor: str
    cells: AnnData


@dataclass(eq=False)
class Trading:
    """What following a path takes."""

    bench: Workbench
    settings: ParetoSettings
    asked: Sequence[Asked]
    units: dict[int, Unit] = field(default_factory=dict)
    """Those that were read, by their place among what is asked."""

    def unit(self, place: int) -> Unit:
        """An autoencoder and some cells, read once."""
        if place not in self.units:
            one = self.asked[place]
            learnable = learnable_features(self.bench, self.settings) if one.number == 0 else None
            types = types_of(self.bench, self.settings)
            self.units[place] = read_unit(
                self.bench, self.settings, one.cells, one.sae, one.number, one.donor, *types, learnable
            )
        return self.units[place]

    def weights(self) -> np.ndarray:
        """Of expression, one a path."""
        return np.linspace(0, 1, self.settings.weights)


@dataclass(frozen=True)
class TradingOnDisk:
    """Makes the same on a worker."""

    folder: str
    """Holds the further autoencoders."""

    def __call__(self, bench: Workbench) -> Trading:
        """From the run."""
        settings: ParetoSettings = bench.settings("pareto")
        further = [kept_further(Path(self.folder), i, bench.device) for i in range(1, settings.seeds)]
        return Trading(bench, settings, list(all_asked(bench, settings, [bench.sae, *further])))


def followed(trading: Trading, shards: Shards, title: str) -> list[Front]:
    """The front of each autoencoder and donor."""
    bench, weights = trading.bench, trading.weights()
    if bench.engine.elsewhere:
        saes = {one.number: one.sae for one in trading.asked if one.number}
        keep_further(shards.folder, [saes[number] for number in sorted(saes)])
    parts = [
        Shard(f"path-{one.number}-{one.donor or 'all'}-{number}", f"{_said(one)}, weight {weight:.2f}", [place, number])
        for place, one in enumerate(trading.asked) for number, weight in enumerate(weights)
    ]  # fmt: skip
    prepare = TradingOnDisk(str(shards.folder.resolve()))
    results = mapped(bench, title, parts, shards, trading, prepare, path_of, "paths")
    found, each = list(results.gather()), len(weights)
    return [
        front_of(
            trading.unit(place), trading.settings, weights, found[each * place : each * (place + 1)], bench.config.seed
        )
        for place in range(len(trading.asked))
    ]


def path_of(trading: Trading, task: Any) -> Arrays:
    """The path of one weight."""
    place, number = task
    return path_arrays(trading.unit(place), trading.settings, float(trading.weights()[number]))


def _said(one: Asked) -> str:
    return " ".join([f"autoencoder {one.number}", *([one.donor] if one.donor else [])])


def types_of(bench: Workbench, settings: ParetoSettings) -> tuple[str, str]:
    """Source and target: the study's own, or those of the contrast."""
    if settings.source:
        return settings.source, settings.target
    contrast = bench.settings("contrast")
    return contrast.source, contrast.target


def learnable_features(bench: Workbench, settings: ParetoSettings) -> Int[np.ndarray, " some"] | None:
    """The features of the run's autoencoder that a recipe may turn; None: all."""
    n = bench.sae.n_features
    if settings.learnable == GIVEN:
        outside = [f for f in settings.features if not 0 <= f < n]
        if outside:
            raise ConfigError(f"pareto.features has {outside}; this autoencoder has features 0 to {n - 1}")
        return np.array(sorted(set(settings.features)), dtype=np.int64)
    if settings.learnable not in (ANNOTATED, RANDOM):
        return None
    if PROGRAMS not in bench.run.state["steps"]:
        raise ConfigError(
            f"pareto.learnable is {settings.learnable!r}, and this run's features have no programs yet; make them with "
            f"{command('do', 'programs', bench.folder)}"
        )
    features = bench.results(PROGRAMS).features
    annotated = features.loc[features["best_padj"] < bench.settings(PROGRAMS).alpha, "feature"].to_numpy(dtype=int)
    if settings.learnable == ANNOTATED:
        return np.sort(annotated)
    return np.sort(np.random.default_rng([bench.config.seed, 67]).permutation(n)[: len(annotated)])


def all_asked(bench: Workbench, settings: ParetoSettings, saes: Sequence[SparseAutoencoder] = ()) -> Iterator[Asked]:
    """The run's autoencoder with each donor, then the further ones, which are trained where none are given.

    Raises:
        ConfigError: there is no such column of donors, or none has enough cells.
    """
    saes = saes or [bench.sae, *further_autoencoders(bench, settings.seeds - 1)]
    cells, types = bench.cells, types_of(bench, settings)
    donors = {"": np.arange(cells.n_obs)}
    if settings.donor:
        if settings.donor not in cells.obs:
            known = ", ".join(map(str, cells.obs.columns))
            raise ConfigError(f"pareto.donor is {settings.donor!r}: the cells have no such column; they have {known}")
        column, kinds = cells.obs[settings.donor].astype(str), cells.obs["cell_type"].astype(str)
        counts = {
            donor: min(int(((column == donor) & (kinds == kind)).sum()) for kind in types)
            for donor in sorted(column.unique())
        }
        donors = {d: np.flatnonzero(column == d) for d, n in counts.items() if n >= LEAST}
        if not donors:
            raise ConfigError(f"no donor of {settings.donor!r} has {LEAST} cells of either type; found {counts}")
    for number, sae in enumerate(saes):
        for donor, rows in donors.items():
            yield Asked(sae, number, donor, cells[rows].copy())
