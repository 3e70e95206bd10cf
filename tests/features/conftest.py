"""A small transformer with random weights, cells for it, and an autoencoder of its residual stream."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from torch.nn.functional import normalize

from cellprism.models.aido.model import AidoCell
from cellprism.sae.autoencoder import SparseAutoencoder

CELLS, GENES, MODEL_GENES, D_MODEL, FEATURES, K, LAYER = 17, 29, 37, 22, 41, 5, 1


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Networks this small only lose time to threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_cells(n_cells: int = CELLS, seed: int = 0) -> AnnData:
    """Counts of 29 of the model's 37 genes."""
    rng = np.random.default_rng(seed)
    adata = AnnData(sp.csr_matrix(rng.poisson(2.0, (n_cells, GENES)).astype(np.float32)))
    adata.var_names = [f"G{i}" for i in range(3, 3 + GENES)]
    adata.obs_names = [f"cell{i}" for i in range(n_cells)]
    adata.obs["cell_type"] = [("helper", "killer")[i % 2] for i in range(n_cells)]
    adata.obs["total_counts"] = np.asarray(adata.X.sum(axis=1)).ravel() + 3.0
    adata.uns["cellprism"] = {"source": "made up", "sha256": "abc"}
    return adata


def make_model(gene_subset: bool) -> AidoCell:
    """Reads the genes given (``gene_subset``) or all 37, those without data as zeros that are not present."""
    return AidoCell.random(
        [f"G{i}" for i in range(MODEL_GENES)],
        hidden=D_MODEL, layers=3, heads=2, intermediate=31, seed=1, gene_subset=gene_subset,
    )  # fmt: skip


@pytest.fixture(scope="session")
def cells() -> AnnData:
    return make_cells()


@pytest.fixture(scope="session", params=[True, False], ids=["given genes only", "absent genes as zeros"])
def model(request) -> AidoCell:
    return make_model(request.param)


@pytest.fixture(scope="session")
def sae() -> SparseAutoencoder:
    """41 random features, 5 at a token; a bias keeps some silent so that zeros occur."""
    generator = torch.Generator().manual_seed(0)
    W_dec = normalize(torch.randn(FEATURES, D_MODEL, generator=generator), dim=1)
    b_enc = torch.randn(FEATURES, generator=generator) - 0.5
    return SparseAutoencoder(W_dec.T.contiguous(), b_enc, W_dec, torch.zeros(D_MODEL), k=K)


def dense_residuals(model: AidoCell, adata: AnnData) -> torch.Tensor:
    """Residuals of the data's genes in their order [cell gene d_model], one cell at a time."""
    rows = []
    for batch in model.batches(adata, 1):
        x = model.residual(batch, LAYER)[0]
        names = [model.genes[g] if g >= 0 else "" for g in batch.gene.tolist()]
        rows.append(torch.stack([x[names.index(name)] for name in adata.var_names]))
    return torch.stack(rows)


def dense_codes(sae: SparseAutoencoder, x: torch.Tensor) -> np.ndarray:
    """Every activation [cell gene feature], zeros included."""
    flat = sae.encode(x.flatten(0, 1))
    z = torch.zeros(len(flat.values), sae.n_features).scatter(1, flat.features, flat.values)
    return z.view(*x.shape[:2], -1).numpy()
