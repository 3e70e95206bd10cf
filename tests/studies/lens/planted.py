"""Cells of a linear model in which programs of their own genes are active, and rare cells among cells of two types."""

from functools import cache

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.features.collect import feature_statistics
from cellprism.features.dictionaries import TokenSample, control_dictionary
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.simulate.linear_model import LAYER, LEVEL, LinearCell, as_counts, linear_sae
from cellprism.studies.lens.genes import Read, read_features
from cellprism.studies.lens.high_cells import high_cells
from cellprism.studies.lens.settings import LensSettings

GENES, PROGRAMS, SIZE, CELLS, DICTIONARIES = 91, 11, 5, 151, 6
NAMES = [f"G{i}" for i in range(GENES)]
COLLECTION = {f"program {p}": tuple(NAMES[p * SIZE : (p + 1) * SIZE]) for p in range(PROGRAMS)}
SETTINGS = LensSettings(high=0.9, draws=99, components=5, neighbours=7, controls=39)


@cache
def world() -> tuple[LinearCell, AnnData, list[SparseAutoencoder], list[Read]]:
    """The model, its cells, the planted autoencoder with random dictionaries, and all of them read."""
    rng = np.random.default_rng(3)
    model = LinearCell(GENES, GENES + 6)
    programs = np.zeros((PROGRAMS, GENES))
    for p in range(PROGRAMS):
        programs[p, p * SIZE : (p + 1) * SIZE] = rng.uniform(0.7, 1.3, SIZE)
    activity = rng.gamma(2, 1, (CELLS, PROGRAMS)) * (rng.random((CELLS, PROGRAMS)) < 0.3)
    adata = AnnData(as_counts(LEVEL + activity @ programs + 0.3 * rng.standard_normal((CELLS, GENES))))
    adata.var_names, adata.obs_names = NAMES, [f"cell{i}" for i in range(CELLS)]
    sae = linear_sae(model, programs)
    (batch,) = model.batches(adata, CELLS)
    sample = TokenSample(model.residual(batch, LAYER)[:, 0], torch.full((CELLS,), -1), batch.cell)
    wide = torch.zeros(41, model.d_model)
    shape = SparseAutoencoder(wide.T, torch.zeros(41), wide, sae.b_dec, k=4)
    drawn = [sae, *(control_dictionary("covariance", sample, shape, 100 + i) for i in range(DICTIONARIES))]
    return model, adata, drawn, [read(model, adata, one) for one in drawn]


def read(model: LinearCell, adata: AnnData, dictionary: SparseAutoencoder) -> Read:
    """A dictionary's features by the cells in which they are high."""
    z = feature_statistics(model, dictionary, adata, LAYER).cells.X
    return read_features(log1p_cp10k(adata), NAMES, high_cells(z, SETTINGS), COLLECTION, SETTINGS)


def rare_cells(seed: int = 0) -> tuple[AnnData, np.ndarray]:
    """Cells of two types whose counts follow a state of four dimensions; and that state."""
    rng = np.random.default_rng([seed, 2])
    kinds = rng.integers(2, size=CELLS)
    state = rng.standard_normal((CELLS, 4)) + 2 * kinds[:, None]
    rate = np.exp(0.4 * state @ rng.standard_normal((4, GENES)))
    adata = AnnData(as_counts(rng.poisson(3 * rate) / (1 << 14)))
    adata.var_names = NAMES
    adata.obs = pd.DataFrame({"cell_type": np.where(kinds, "b", "a")}, index=[f"cell{i}" for i in range(CELLS)])
    return adata, state
