"""What an atlas is made from: the tables of a run folder, read once, and the matrices where they are there."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.display import command
from cellprism.errors import RunError
from cellprism.report.context import Context
from cellprism.studies.files import read_h5ad
from cellprism.studies.programs import tables as programs
from cellprism.studies.screen import tables as screen
from cellprism.workflow.feature_card import FeatureCards


@dataclass(frozen=True)
class RunTables:
    """A run, as an atlas sees it.

    Raises:
        RunError: its features were not turned into programs.
    """

    folder: Path
    cards: FeatureCards

    def __post_init__(self):
        if self.cards.found.get("programs") is None:
            raise RunError(
                f"{self.folder} has features but no programs, so there is nothing to browse; make them first with: "
                f"{command('do', 'programs', self.folder)}"
            )

    @property
    def context(self) -> Context:
        """What the run says of itself."""
        return self.cards.context

    @property
    def n_features(self) -> int:
        """Features of the run's autoencoder."""
        return len(self.cards)

    def found(self, study: str) -> Any:
        """What a study found; None where it was not run."""
        return self.cards.found.get(study)

    @property
    def programs(self) -> programs.Programs:
        """What the study ``programs`` found."""
        return self.cards.found["programs"]

    @cached_property
    def genes(self) -> AnnData | None:
        """Features x genes: mean activation, layers ``frac`` and ``max``; None where the run has none."""
        return self._matrix("programs", programs.GENES)

    @cached_property
    def cells(self) -> AnnData | None:
        """Cells x features: mean activation over present tokens; None where the run has none."""
        return self._matrix("programs", programs.CELLS)

    @cached_property
    def activation(self) -> sp.csc_matrix:
        """The same, a column a feature; empty where there are no cells."""
        matrix: Any = self.cells.X if self.cells is not None else np.zeros((0, self.n_features), dtype=np.float32)
        return sp.csc_matrix(matrix, dtype=np.float32)

    @cached_property
    def logs(self) -> sp.csc_matrix | None:
        """Log1p CP10k [cell gene] of the run's cells in the order of ``cells`` and ``gene_names``; None where the run
        came without its counts."""
        path = self.folder / "cells.h5ad"
        if self.cells is None or self.genes is None or not path.is_file():
            return None
        held = read_h5ad(path)
        row, column = held.obs_names.get_indexer(self.cells.obs_names), held.var_names.get_indexer(self.gene_names)
        if (row < 0).any() or (column < 0).any():
            return None
        return sp.csc_matrix(log1p_cp10k(held)[row][:, column])

    @cached_property
    def moved(self) -> AnnData | None:
        """Features x genes: change per unit of strength, from the study ``screen``; None where it was not run."""
        found = self.found("screen")
        return self._matrix("screen", screen.MATRIX) if found is not None and found.summary is not None else None

    @cached_property
    def decoder(self) -> np.ndarray | None:
        """Decoder rows [feature d_model]; None where the run came without its weights."""
        path = self.folder / "sae" / f"L{self.context.layer}" / "sae_weights.safetensors"
        if not path.is_file():
            return None
        from safetensors.numpy import load_file

        return np.asarray(load_file(path)["W_dec"], dtype=np.float32)

    @cached_property
    def types(self) -> pd.Series | None:
        """Each cell's type; None without labels or cells."""
        if self.cells is None or "cell_type" not in self.cells.obs:
            return None
        return pd.Series(np.asarray(self.cells.obs["cell_type"].astype(str)), index=self.cells.obs_names)

    @cached_property
    def gene_names(self) -> list[str]:
        """Genes that features were read at, in the order of their matrix, or of the lists where there is none."""
        if self.genes is not None:
            return [str(name) for name in self.genes.var_names]
        return sorted({str(gene) for gene in self.programs.lists["gene"]})

    @property
    def source(self) -> str:
        """The file or data set that the cells were read from, as it was asked for."""
        return str(self.context.record["steps"].get("cells", {}).get("cells", ""))

    @cached_property
    def term_names(self) -> list[str]:
        """Terms that some list shares a gene with, in alphabetical order."""
        return sorted({str(term) for term in self.programs.enrichment["term"]})

    def _matrix(self, study: str, name: str) -> AnnData | None:
        path = self.folder / study / name
        return read_h5ad(path) if path.is_file() else None
