"""What is written is what anndata writes; a full disk is in ``test_disk``."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.store.h5ad import write_h5ad


def test_it_comes_back_as_from_anndata_itself(tmp_path):
    rng = np.random.default_rng(0)
    data = AnnData(sp.random(31, 17, 0.3, format="csr", dtype=np.float32, random_state=0))
    data.obs["cell_type"] = ["a", "b", ""] * 10 + ["a"]
    data.uns["cellprism"] = {"source": "x", "n": 3, "share": 0.25}
    data.obsm["X_pca"], data.layers["dense"] = rng.random((31, 5)), rng.random((31, 17))
    write_h5ad(tmp_path / "ours.h5ad", data)
    data.write_h5ad(tmp_path / "theirs.h5ad", compression="gzip")
    ours = anndata.read_h5ad(tmp_path / "ours.h5ad")
    theirs = anndata.read_h5ad(tmp_path / "theirs.h5ad")
    pd.testing.assert_frame_equal(ours.obs, theirs.obs)
    pd.testing.assert_frame_equal(ours.var, theirs.var)
    assert ours.uns["cellprism"] == theirs.uns["cellprism"]
    assert (ours.X != theirs.X).nnz == 0
    assert ours.X.nnz == data.X.nnz > 0
    assert np.array_equal(ours.obsm["X_pca"], theirs.obsm["X_pca"])
    assert np.array_equal(ours.layers["dense"], theirs.layers["dense"])
    assert ours.obs["cell_type"].dtype == "category"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ours.h5ad", "theirs.h5ad"]
