"""Small models and cells, and where the reference implementation's values lie."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from threadpoolctl import threadpool_limits

from cellprism.models.aido.model import AidoCell

CELLS, MODEL_GENES, DATA_GENES = 17, 29, 23
REDUCED = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Networks this small only lose time to threads, on a busy machine a hundredfold."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden(test_data) -> Path:
    """Folder of all the reference implementation's values, beside the test data."""
    folder = test_data.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"no golden values at {folder}; the reduced ones in tests/golden are checked all the same")
    return folder


def random_model(**changed) -> AidoCell:
    """A model of 29 genes, width 14, three blocks, two heads; embeddings small enough that blocks matter."""
    shape = {"hidden": 14, "layers": 3, "heads": 2, "intermediate": 19, "seed": 1} | changed
    return AidoCell.random([f"G{i}" for i in range(MODEL_GENES)], **shape)


@pytest.fixture(scope="module")
def subset_model() -> AidoCell:
    """Leaves absent genes out and takes a cell's declared total."""
    return random_model(gene_subset=True)


@pytest.fixture(scope="module")
def full_model() -> AidoCell:
    """Reads absent genes as zeros and takes the total over its own genes, like the published models."""
    return random_model(gene_subset=False)


@pytest.fixture
def cells() -> AnnData:
    """17 cells with counts of 23 of the model's 29 genes, in an order of their own."""
    rng = np.random.default_rng(5)
    adata = AnnData(sp.csr_matrix(rng.poisson(1.5, (CELLS, DATA_GENES)).astype(np.float32)))
    adata.var_names = [f"G{i}" for i in rng.permutation(MODEL_GENES)[:DATA_GENES]]
    adata.obs_names = [f"cell{i}" for i in range(CELLS)]
    adata.obs["total_counts"] = np.asarray(adata.X.sum(axis=1)).ravel() + np.arange(CELLS)
    adata.obs["cell_type"] = ["left"] * 7 + ["right"] * 10
    return adata


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two networks have the same weights, bit for bit."""
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
