"""A finished run as one object: tables, cells, autoencoder and model, each loaded when it is first asked for.

Notable choices

- Nothing is computed: everything is what the run's steps wrote. Only ``sae`` and ``model`` import torch.
- A folder that is no run, or of which a file is missing or unreadable, is one error when it is opened or when that file
  is first needed; the message names the file and what to do.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from cellprism.display import Shown, command
from cellprism.errors import RunError
from cellprism.notebook.claim_table import claim_table
from cellprism.notebook.feature_table import feature_table
from cellprism.notebook.run_tables import RunTables
from cellprism.report.card import FeatureCard
from cellprism.report.claims import Claim, read_claims
from cellprism.report.context import Context, read_context
from cellprism.store.place import folder_of
from cellprism.store.run import STATE, Run
from cellprism.studies.files import read_h5ad, there
from cellprism.studies.study import studies
from cellprism.workflow.feature_card import FeatureCards
from cellprism.workflow.publish import CLAIMS, PAGE

if TYPE_CHECKING:
    from cellprism.sae.autoencoder import SparseAutoencoder
    from cellprism.studies.workbench import Workbench
    from cellprism.types import CellModel

PROGRAMS = "programs"


class OpenRun(Shown):
    """A run folder, open for reading; see ``open_run``."""

    def __init__(self, folder: Path):
        if not (folder / STATE).is_file():
            raise RunError(
                f"{folder} is no run folder: there is no {STATE} in it; give the folder that `cellprism run`, `demo` "
                "or `train` was told to write (--out)"
            )
        self.folder = Run.existing(folder).folder
        self.context: Context = read_context(self.folder)
        """What the run says of itself: cells, model, site, record."""
        self._whole: set[str] = set()

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.context.name

    @property
    def layer(self) -> int:
        """Block whose output was read, from 0.

        Raises:
            RunError: no autoencoder was trained yet.
        """
        if self.context.layer is None:
            raise RunError(f"{self.folder} has no autoencoder yet; `cellprism train` makes one")
        return self.context.layer

    @cached_property
    def tables(self) -> RunTables:
        """Every table of the folder by its name: ``run.tables["programs/features"]``, ``run.tables.steer``."""
        return RunTables(self.folder)

    @cached_property
    def features(self) -> pd.DataFrame:
        """One row a feature: what ``programs`` says of it, and the columns that other studies have of every feature."""
        self.require(PROGRAMS)
        return feature_table(self.tables)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """One row a claim: statement, value, interval, null, verdict, q, and the file and field that hold it."""
        return claim_table(self.claim_list)

    @cached_property
    def claim_list(self) -> list[Claim]:
        """The claims as objects, in the order of the page.

        Raises:
            RunError: the run's claims were not written yet.
        """
        if not (self.folder / CLAIMS).is_file():
            raise RunError(f"{self.folder} has no {CLAIMS} yet; `{command('report', self.folder)}` writes it")
        return read_claims(self.folder / CLAIMS)

    @cached_property
    def cells(self) -> AnnData:
        """The run's cells: raw counts aligned to the model's genes, with their labels."""
        return read_h5ad(self.folder / "cells.h5ad")

    @cached_property
    def cell_features(self) -> AnnData:
        """Cells x features: mean activation of every feature in every cell; scanpy's tools work on it as it is."""
        self.require(PROGRAMS)
        return read_h5ad(self.folder / PROGRAMS / "cells.h5ad")

    @cached_property
    def feature_genes(self) -> AnnData:
        """Features x genes: mean activation of every feature at every gene; layers ``max`` and ``frac``."""
        self.require(PROGRAMS)
        return read_h5ad(self.folder / PROGRAMS / "genes.h5ad")

    @cached_property
    def sae(self) -> "SparseAutoencoder":
        """The run's autoencoder."""
        from cellprism.sae.files import load_sae

        return load_sae(self.folder / "sae" / f"L{self.layer}")

    @property
    def model(self) -> "CellModel":
        """The model that was looked into, loaded from where the run had it."""
        return self._bench.model

    def card(self, feature: int) -> FeatureCard:
        """Everything that the run says of one feature; a table in a notebook."""
        return self._cards.card(feature)

    @property
    def page(self) -> Path:
        """The page, ``report.html``."""
        there(self.folder / PAGE)
        return self.folder / PAGE

    @property
    def studies(self) -> list[str]:
        """Steps and studies that were done, in order."""
        return list(self.context.record["steps"])

    def shown(self) -> Mapping[str, Any]:
        """Facts in words, by name."""
        model, cells = self.context.model, self.context.cells
        return {
            "folder": str(self.folder),
            **({"model": model.name} if model else {}),
            **({"site": self.context.place} if self.context.place else {}),
            **({"cells": f"{cells.n_cells:,}", "genes": f"{cells.n_genes:,}"} if cells else {}),
            "done": ", ".join(self.studies) or "nothing",
        }

    @cached_property
    def _cards(self) -> FeatureCards:
        return FeatureCards(self.folder)

    @cached_property
    def _bench(self) -> "Workbench":
        from cellprism.studies.workbench import Workbench
        from cellprism.workflow.config import config_of

        run = Run(self.folder)
        return Workbench(run, config_of(run), _no_bar)

    def require(self, study: str) -> None:
        """Raise ``RunError`` where a study was not done, ``DamagedError`` where its files are not what it wrote."""
        if study not in self.context.record["steps"]:
            raise RunError(f"{self.folder} has no {study} yet; `{command('do', study, self.folder)}` makes them")
        if study not in self._whole:
            studies()[study].read(self.folder / study)
            self._whole.add(study)


@contextmanager
def _no_bar(title: str, total: int | None):
    yield lambda done, words="": None


def open_run(folder: str | Path) -> OpenRun:
    """Open a run folder for reading.

    Args:
        folder: a folder that ``cellprism run``, ``demo`` or ``train`` has written.

    Returns:
        The run: ``features``, ``claims``, ``cells``, ``cell_features``, ``feature_genes``, ``sae``, ``model``,
        ``card(12)``, and every table by name in ``tables``.

    Raises:
        RunError: it is no folder's name, there is no run in it, or another version of cellprism wrote it.
        DamagedError: its record is damaged.

    >>> import cellprism as cp
    >>> run = cp.open_run("demo")
    >>> {"best_term", "top_cell_type", "grade"} <= set(run.features)
    True
    >>> run.card(12).feature
    12
    """
    return OpenRun(folder_of(folder, "a run", RunError))


def as_run(run: OpenRun | str | Path) -> OpenRun:
    """A run, opened where only its folder is given."""
    return run if isinstance(run, OpenRun) else open_run(run)
