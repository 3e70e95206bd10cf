"""Cells that annbatch draws from disk, as vectors to learn from; annbatch needs Python 3.12."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import cellprism as cp
from cellprism.cells.datasets import BUNDLED

annbatch = pytest.importorskip("annbatch", reason="annbatch is not installed: it needs Python 3.12")


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    """The bundled cells as two zarr folders, mixed by annbatch."""
    whole = anndata.read_h5ad(next(BUNDLED.glob("*.h5ad")))
    whole.X = sp.csr_matrix(whole.X, dtype=np.float32)
    plain = anndata.AnnData(whole.X, obs=pd.DataFrame({"row": np.arange(whole.n_obs)}, whole.obs_names), var=whole.var)
    folder = tmp_path_factory.mktemp("annbatch")
    parts = []
    for number, rows in enumerate(np.array_split(np.arange(plain.n_obs), 2)):
        parts.append(folder / f"lane{number}.zarr")
        plain[rows].write_zarr(parts[-1])
    collection = annbatch.DatasetCollection(str(folder / "mixed")).add_adatas([str(part) for part in parts])
    return (
        plain,
        annbatch.Loader(
            batch_size=64, chunk_size=16, preload_nchunks=8, shuffle=True, rng=np.random.default_rng(0)
        ).use_collection(collection),
    )


def vectors(loader, model):
    """Residuals and genes, a batch of cells at a time."""
    for some in loader:
        drawn = anndata.AnnData(some["X"], obs=some["obs"].reset_index(drop=True), var=loader.var)
        cells = cp.read_cells(drawn, model)
        for x, gene, _ in cp.residual_tokens(model, cells, layer=1, batch_size=16):
            yield x, gene


def test_every_cell_comes_once_with_its_own_counts(loader):
    plain, batches = loader
    seen = []
    for some in batches:
        rows = some["obs"]["row"].to_numpy()
        assert (abs(plain.X[rows] - some["X"])).nnz == 0
        seen += rows.tolist()
    assert sorted(seen) == list(range(plain.n_obs))
    assert seen != sorted(seen)


def test_an_autoencoder_learns_from_them(loader):
    model = cp.load_model("pbmc2")
    config = cp.SaeConfig(k=4, n_features=64, centring="global")
    sae = cp.fit_sae(vectors(loader[1], model), config, steps=20)
    explained = sae.history["explained_variance"]
    assert len(explained) == 20
    assert explained.iloc[-1] > explained.iloc[0]
