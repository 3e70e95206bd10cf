"""Which of the run's cells are judged, and which the simpler methods are fitted on."""

from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from jaxtyping import Int

from cellprism.cells.labels import CELL_TYPE
from cellprism.cells.split import split_cells
from cellprism.studies.assess.settings import AssessSettings

Rows = Int[np.ndarray, " _"]
FEWEST = 10
"""Cells on either side below which nothing is said."""


@dataclass(frozen=True)
class Split:
    """Some of the run's cells, in two parts."""

    cells: AnnData
    fit: Rows
    """Rows of ``cells`` that simpler methods are fitted on."""
    asked: Rows
    """Some of these: there the model is asked as well, for its own mean of each gene."""
    test: Rows
    """Rows that are judged."""
    labels: np.ndarray | None
    """Cell types; None where the cells have none, or those of ``fit`` all the same."""

    @property
    def enough(self) -> bool:
        """Whether both parts have cells enough to say anything."""
        return min(len(self.fit), len(self.test)) >= FEWEST


def split_of(adata: AnnData, settings: AssessSettings, seed: int) -> Split:
    """Cells of each type in both parts, at most as many as the settings say."""
    by = CELL_TYPE if CELL_TYPE in adata.obs else None
    parts = split_cells(adata, (1 - settings.test, settings.test), by, seed)
    rng = np.random.default_rng([seed, 31])
    fit = np.sort(rng.permutation(parts["train"])[: settings.fit_cells])
    test = np.sort(rng.permutation(parts["test"])[: settings.cells])
    cells = adata[np.concatenate([fit, test])].copy()
    labels = None if by is None else np.asarray(cells.obs[by], dtype=str)
    if labels is not None and len(np.unique(labels[: len(fit)])) < 2:
        labels = None
    asked = np.sort(rng.permutation(len(fit))[: settings.cells])
    return Split(cells, np.arange(len(fit)), asked, np.arange(len(fit), len(fit) + len(test)), labels)
