"""Cells of three planted types, and one small model of each kind with random weights."""

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.models.latent.dgd import DgdModel, DgdSizes
from cellprism.models.latent.embedding import EmbeddingModel
from cellprism.models.latent.scvi import ScviModel, ScviSizes

CELLS, GENES, WIDTH = 211, 29, 13
TYPES = ("left", "middle", "right")
KEY = "X_mine"


def planted_cells(n_cells: int = CELLS, seed: int = 0) -> AnnData:
    """Counts of 29 genes: each type has its own nine or ten genes, ten times as high; depths differ tenfold."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(len(TYPES), size=n_cells)
    level = np.where(np.arange(GENES) % len(TYPES) == kind[:, None], 10.0, 1.0)
    depth = 30 * 10 ** rng.random((n_cells, 1))
    counts = rng.poisson(depth * level / level.sum(axis=1, keepdims=True)).astype(np.float32)
    counts[:, 0] += 1  # no empty cell
    adata = AnnData(sp.csr_matrix(counts))
    adata.var_names = [f"G{i}" for i in range(GENES)]
    adata.obs_names = [f"cell{i}" for i in range(n_cells)]
    adata.obs["cell_type"] = [TYPES[k] for k in kind]
    adata.obsm[KEY] = rng.normal(size=(n_cells, WIDTH)) * np.geomspace(0.01, 100, WIDTH) + 3
    return adata


@pytest.fixture(scope="package")
def planted() -> AnnData:
    return planted_cells()


@pytest.fixture(scope="package")
def table() -> GeneTable:
    return GeneTable.of([f"G{i}" for i in range(GENES)], [f"ENSG{i:011d}" for i in range(GENES)])


@pytest.fixture(scope="package")
def dgd(table) -> DgdModel:
    return DgdModel.random(DgdSizes(GENES, WIDTH, components=5, hidden=19, search_steps=43), table, 3, name="a DGD")


@pytest.fixture(scope="package")
def scvi_like(table) -> ScviModel:
    return ScviModel.random(ScviSizes(GENES, WIDTH, hidden=19, layers=2), table, 3, name="an scVI")


@pytest.fixture(scope="package")
def ridge(planted) -> EmbeddingModel:
    return EmbeddingModel(KEY, "ridge").fitted(planted)


@pytest.fixture(params=["dgd", "scvi_like"])
def counts_model(request):
    """Each model that reads counts."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["dgd", "scvi_like", "ridge"])
def model(request):
    """Each model that predicts expression."""
    return request.getfixturevalue(request.param)
