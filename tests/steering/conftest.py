"""Models and cells that steering is tried on."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from torch.nn.functional import normalize

from cellprism.models.aido.model import AidoCell
from cellprism.sae.autoencoder import SparseAutoencoder
from steering.planted import PlantedModel, planted_sae

CELLS, GENES = 17, 29


@pytest.fixture(scope="session")
def golden(test_data) -> Path:
    """Folder of the reference implementation's values, beside the test data."""
    folder = test_data.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"no golden values at {folder}; put them beside the test data")
    return folder


@pytest.fixture
def planted() -> tuple[PlantedModel, SparseAutoencoder]:
    """A model whose answers are known."""
    model = PlantedModel()
    return model, planted_sae(model)


@pytest.fixture(scope="session")
def real_model() -> AidoCell:
    """A small transformer with random weights."""
    return AidoCell.random([f"G{i}" for i in range(31)], hidden=16, layers=3, heads=2, intermediate=37, seed=1)


@pytest.fixture(scope="session")
def real_sae(real_model) -> SparseAutoencoder:
    """41 random features of its residual stream, 5 at a token."""
    rng = torch.Generator().manual_seed(0)
    W_dec = normalize(torch.randn(41, real_model.d_model, generator=rng), dim=1)
    return SparseAutoencoder(W_dec.T.contiguous(), torch.zeros(41), W_dec, torch.zeros(real_model.d_model), k=5)


@pytest.fixture(scope="session")
def cells() -> AnnData:
    """17 cells of two types, counts of 29 of the model's 31 genes."""
    rng = np.random.default_rng(0)
    adata = AnnData(sp.csr_matrix(rng.poisson(2.0, (CELLS, GENES)).astype(np.float32)))
    adata.var_names = [f"G{i}" for i in range(1, GENES + 1)]
    adata.obs_names = [f"cell{i}" for i in range(CELLS)]
    adata.obs["cell_type"] = ["helper"] * 7 + ["killer"] * 10
    adata.obs["total_counts"] = np.asarray(adata.X.sum(axis=1)).ravel() + 3.0
    return adata
