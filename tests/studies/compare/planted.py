"""Cells of several donors with planted programs, and what a feature for each program reads from them."""

from functools import cache

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.simulate.answers import answers_of
from cellprism.simulate.cell_settings import PlantedSettings
from cellprism.simulate.cells import planted_cells
from cellprism.studies.compare.donors import donors_of
from cellprism.studies.compare.settings import CompareSettings
from cellprism.studies.compare.tables import Compare
from cellprism.studies.compare.work import compared

DONORS, PROGRAMS, RAISED = 10, 13, 3
SETTINGS = CompareSettings(condition="condition", case="case", permutations=199)


@cache
def cells(effect: float, seed: int = 0) -> AnnData:
    """Cells of ten donors, five of which have the condition, and with it more of the first programs."""
    settings = PlantedSettings(
        cells=601, genes=151, programs=PROGRAMS, program_genes=11, types=3, donors=DONORS, batches=2, regulators=0,
        case_programs=RAISED, case_effect=effect, active_share=0.6, depth=2500, donor_spread=0.25,
    )  # fmt: skip
    return planted_cells(settings, seed)


def activation(adata: AnnData) -> sp.csc_matrix:
    """A feature for each program: how much its genes lie above their mean in a cell, where they do."""
    counts = adata.X.toarray()
    level = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    weights = answers_of(adata).weights.to_numpy()
    score = (level - level.mean(axis=0)) @ weights
    return sp.csc_matrix(score.clip(0))


def features(n: int = PROGRAMS) -> pd.DataFrame:
    return pd.DataFrame({"feature": np.arange(n), "best_term": [f"program {i}" for i in range(n)], "sign": "high",
                         "top_genes": "A, B"})  # fmt: skip


def result(adata: AnnData, settings: CompareSettings = SETTINGS, seed: int = 0) -> Compare:
    """The study on these cells."""
    obs: pd.DataFrame = adata.obs
    return compared(donors_of(obs, activation(adata), settings), settings, features(), seed)
