"""What the steps of a run share: its folder and settings, and model, cells and autoencoder, loaded when first used."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import anndata
import numpy as np
import torch
from anndata import AnnData

from cellprism.errors import ConfigError
from cellprism.models.registry import load_model
from cellprism.ontology.collection import Collection
from cellprism.ontology.gmt import read_gmt
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.run import Run
from cellprism.types import CellModel, FitsToCells, Site
from cellprism.workflow.config import RunConfig

Say = Callable[[str], None]


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
        device: where the training computes: ``cpu``, ``cuda`` or ``cuda:N``; empty: a GPU if there is one.
        offline: take models of the hub from the cache alone.

    Raises:
        ConfigError: there is no such device.
    """

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        bar: Bar,
        say: Say = lambda text: None,
        *,
        track: str = "",
        device: str = "",
        offline: bool = False,
    ):
        self.run, self.config, self.bar, self.say = run, config, bar, say
        self.track, self.device, self.offline = track, device_of(device), offline

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
        """The cell model; one that takes width and genes from cells has those of the run's."""
        loaded = self.loaded
        return loaded.fitted(self.cells) if isinstance(loaded, FitsToCells) else loaded

    @cached_property
    def cells(self) -> AnnData:
        """The run's cells: raw counts aligned to the model's genes."""
        return anndata.read_h5ad(self.folder / "cells.h5ad")

    @cached_property
    def sae(self) -> SparseAutoencoder:
        """The run's autoencoder."""
        return SparseAutoencoder.load(self.layer_folder("sae"))

    @cached_property
    def collection(self) -> Collection:
        """Gene sets, spelled as the model spells its genes."""
        table = self.model.gene_table
        assert table is not None, "cells were read for this model"
        return read_gmt(self.config.interpret.collection).respelled(self.cells.var_names, table.alias)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder

    def layer_folder(self, kind: str) -> Path:
        """Folder of this run's layer under ``kind``, such as sae/L1."""
        return self.folder / kind / f"L{self.config.layer}"

    def some_cells(self, count: int) -> AnnData:
        """At most ``count`` cells drawn at random, in their order, the same at every call."""
        rng = np.random.default_rng([self.config.seed, 11])
        rows = np.sort(rng.permutation(self.cells.n_obs)[:count])
        return self.cells[rows].copy()


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
