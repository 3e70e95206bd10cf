"""What the steps of a run share: its folder and settings, and model, cells and autoencoder, loaded when first used."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import anndata
import numpy as np
from anndata import AnnData

from cellprism.models.registry import load_model
from cellprism.ontology.collection import Collection
from cellprism.ontology.gmt import read_gmt
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.run import Run
from cellprism.types import CellModel, Site
from cellprism.workflow.config import RunConfig


@runtime_checkable
class Bar(Protocol):
    """Makes a progress bar: (title, total) -> context that yields a function of (done, words)."""

    def __call__(self, title: str, total: int | None) -> AbstractContextManager[Callable[..., None]]:
        """A bar of ``total`` steps."""
        ...


class Workbench:
    """A run in progress."""

    def __init__(self, run: Run, config: RunConfig, bar: Bar, track: str = ""):
        self.run, self.config, self.bar, self.track = run, config, bar, track

    @cached_property
    def model(self) -> CellModel:
        """The cell model; the run's layer is checked against it."""
        model = load_model(self.config.model)
        Site(self.config.layer, model.n_layers)
        return model

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
