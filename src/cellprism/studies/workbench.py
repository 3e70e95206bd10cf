"""What a study is given: folder and settings of the run, and model, cells and autoencoder, loaded when first used."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from anndata import AnnData

from cellprism.cells.balanced import balanced
from cellprism.enrich.labels import UNLABELLED
from cellprism.enrich.random_lists import ModulesOnce
from cellprism.errors import ConfigError
from cellprism.features.origin import check_site
from cellprism.features.tokens.cell_tokens import CellTokens, Held
from cellprism.models.passes import free_memory
from cellprism.models.registry import load_model
from cellprism.ontology.collection import Collection
from cellprism.ontology.read import read_collection
from cellprism.parallel.engine import Engine, SerialEngine
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.distributed import processes
from cellprism.sae.files import load_sae
from cellprism.store.h5ad import mapped_h5ad
from cellprism.store.run import Run
from cellprism.studies.common import CommonConfig
from cellprism.studies.study import studies
from cellprism.types import CellModel, FitsToCells, MovesToDevice, PlansPasses, Site

Say = Callable[[str], None]
Opening = Callable[["Workbench", Path], tuple[Callable[..., "Workbench"], tuple[Any, ...]]]
Harvest = Callable[["Workbench", CellTokens], Iterable[Held]]
CELLS_A_PASS = 32  # of models whose memory is not planned
WHOLE_CELLS_A_PASS = 512  # of those among them that read a cell as one token


@runtime_checkable
class Bar(Protocol):
    """Makes a progress bar: (title, total) -> context that yields a function of (done, words)."""

    def __call__(self, title: str, total: int | None) -> AbstractContextManager[Callable[..., None]]:
        """A bar of ``total`` steps."""
        ...


class Workbench:
    """A run in progress.

    Args:
        run: its folder.
        config: its settings.
        bar: makes progress bars.
        say: told what a person should know.
        track: a tracker for the training, or none.
        device: where everything computes: ``cpu``, ``cuda`` or ``cuda:N``; empty: a GPU if there is one.
        offline: take models of the hub from the cache alone.
        engine: maps over shards (``studies.mapping``); in this process where none is given.
        opening: how another process opens this run, given a folder that both see: a function of a module that returns
            a workbench, and its arguments; needed by an engine that works elsewhere.
        harvest: makes all tokens (``studies.harvest``); the model here, without a word, where none is given.
        keeps: keep tokens that were made, in memory or on disk; a worker of many has no room for a copy of its own.

    Raises:
        ConfigError: there is no such device.
    """

    def __init__(
        self,
        run: Run,
        config: CommonConfig,
        bar: Bar,
        say: Say = lambda text: None,
        *,
        track: str = "",
        device: str = "",
        offline: bool = False,
        engine: Engine | None = None,
        opening: Opening | None = None,
        harvest: Harvest | None = None,
        keeps: bool = True,
    ):
        self.run, self.config, self.bar, self.say = run, config, bar, say
        self.engine = engine or SerialEngine()
        self._opening, self._harvest, self._keeps = opening, harvest, keeps
        self.track, self.device, self.offline = track, device_of(device), offline
        self._collections: dict[str, Collection] = {}
        self.further: list[SparseAutoencoder] = []
        """Autoencoders of the seeds that follow the run's, as far as a study had them trained."""
        self.modules = ModulesOnce()
        """Co-expression modules of the run's cells."""

    @cached_property
    def loaded(self) -> CellModel:
        """The cell model before it has seen the run's cells; the run's layer is checked against it."""
        options = self.config.model_options.given()
        with self.bar(f"loading {self.config.model}", None) as advance:

            def fetched(name: str, done: int, size: int) -> None:
                advance(done, f"{name}, {done / 1e6:,.0f} of {size / 1e6:,.0f} MB")

            model = load_model(self.config.model, offline=self.offline, progress=fetched, **options)
        Site(self.config.layer, model.n_layers)
        return model

    @cached_property
    def model(self) -> CellModel:
        """The cell model, on the run's device; one that takes width and genes from cells has those of the run's."""
        loaded = self.loaded
        model = loaded.fitted(self.cells) if isinstance(loaded, FitsToCells) else loaded
        if isinstance(model, MovesToDevice):
            model.to(self.device)
        return model

    @cached_property
    def cells(self) -> AnnData:
        """The run's cells: raw counts aligned to the model's genes."""
        return mapped_h5ad(self.folder / "cells.h5ad")

    @cached_property
    def sae(self) -> SparseAutoencoder:
        """The run's autoencoder, on the run's device.

        Raises:
            ModelError: it was trained on another model, layer or order of genes than the run has.
        """
        sae = load_sae(self.layer_folder("sae"))
        check_site(self.model, sae, self.config.layer)
        return sae.to(self.device)

    @cached_property
    def tokens(self) -> CellTokens:
        """The residuals of all present tokens of the run's cells at its site, made once for all that reads them here.

        They are kept in memory where ``train.memory`` has room for all, else on disk in the run folder while the
        process lives, else made again.
        """
        memory, folder = (self.config.train.memory, self.folder) if self._keeps else (0, None)
        tokens = CellTokens(
            self.model, self.cells, [self.config.layer], memory=memory, batch_size=self.cells_a_pass(), folder=folder,
        )  # fmt: skip
        if self._keeps and not tokens.fits:
            self.say(tokens.plan())
        if self._harvest is not None:
            tokens.made = partial(self._harvest, self)
        return tokens

    def cells_a_pass(self) -> int:
        """Cells that go through the model at once: as planned before for these cells, else for the memory that is free.

        The plan is kept in ``run.json``: a training that goes on later reads its cells in the same passes.
        """
        model = self.model
        if not isinstance(model, PlansPasses):
            return CELLS_A_PASS if model.tokens == "genes" else WHOLE_CELLS_A_PASS
        layer, identity = f"L{self.config.layer}", self.run.state["steps"].get("cells", {}).get("identity", "")
        plans: dict[str, Any] = self.run.state.get("passes", {})
        if plans.get(layer, {}).get("identity") != identity:
            share = processes() if self.device.type == "cpu" else 1  # of one memory for all
            plan = model.plan(self.cells.n_vars, free=free_memory(self.device) // share)
            plans = {**plans, layer: {"identity": identity, "cells": plan.cells, "plan": str(plan)}}
            self.run.update(passes=plans)
            self.say(str(plan))
        return plans[layer]["cells"]

    def opening(self, folder: Path) -> tuple[Callable[..., "Workbench"], tuple[Any, ...]]:
        """How another process opens this run as it is now; what that takes is written into a folder."""
        assert self._opening is not None, "an engine that works elsewhere comes with it"
        return self._opening(self, folder)

    def collection(self, name: str) -> Collection:
        """Gene sets by name or file, spelled as the model spells its genes."""
        if name not in self._collections:
            table = self.model.gene_table
            assert table is not None, "cells were read for this model"
            self._collections[name] = read_collection(name).respelled(self.cells.var_names, table.alias)
        return self._collections[name]

    def settings(self, study: str) -> Any:
        """The settings of a study in this run."""
        return getattr(self.config, study)

    def results(self, study: str) -> Any:
        """What another study, which this one needs, has found."""
        return studies()[study].read(self.folder_of(study))

    def folder_of(self, study: str) -> Path:
        """The folder of a study."""
        return self.folder / study

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder

    def layer_folder(self, kind: str) -> Path:
        """Folder of this run's layer under ``kind``: the autoencoder's is sae/L1."""
        return self.folder / kind / f"L{self.config.layer}"

    def some_cells(self, count: int) -> AnnData:
        """At most ``count`` cells drawn at random, in their order, the same at every call."""
        rng = np.random.default_rng([self.config.seed, 11])
        rows = np.sort(rng.permutation(self.cells.n_obs)[:count])
        return self.cells[rows].copy()

    def balanced_cells(self, count: int) -> AnnData:
        """At most ``count`` cells, as many of each type as there are, the same at every call; those without a type are
        left out, and without any types they are drawn from all."""
        known = self.cells.obs["cell_type"].astype(str).to_numpy() if "cell_type" in self.cells.obs else None
        if known is None or not (known != UNLABELLED).any():
            return self.some_cells(count)
        labelled = np.flatnonzero(known != UNLABELLED)
        rows = balanced(known[labelled].tolist(), count, np.random.default_rng([self.config.seed, 51]))
        return self.cells[labelled[rows]].copy()


def device_of(name: str) -> torch.device:
    """A device by its name; without one, a GPU if there is one.

    Raises:
        ConfigError: there is no such device.
    """
    cuda = torch.cuda.is_available()
    try:
        device = torch.device(name or ("cuda" if cuda else "cpu"))
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"there is no device {name!r}: expected cpu, cuda, or cuda:N for one of several GPUs")
    found = torch.cuda.device_count() if cuda else 0
    if device.type == "cuda" and (device.index or 0) >= found:
        raise ConfigError(f"device {name!r} is not there: torch finds {found} GPUs; leave it out, or use cpu")
    return device
