from dataclasses import replace

import anndata
import numpy as np
import pytest
import torch

from cellprism.equations.footprint import participation_ratio
from cellprism.errors import InputError, ModelError
from cellprism.features.collect import cell_features, feature_genes, feature_statistics
from features.conftest import CELLS, FEATURES, GENES, LAYER, dense_codes, dense_residuals, make_model

SIGNED = pytest.mark.parametrize("relu", [True, False], ids=["with relu", "without relu"])


@SIGNED
def test_features_by_genes_equal_the_dense_table(model, cells, sae, relu):
    # A low bias makes kept values negative; where a feature fires in every cell, its largest is too.
    sae = replace(sae, relu=relu, b_enc=sae.b_enc if relu else sae.b_enc - 2)
    z = dense_codes(sae, dense_residuals(model, cells))
    found = feature_genes(model, sae, cells, LAYER, batch_size=5)
    assert found.shape == (FEATURES, GENES)
    np.testing.assert_allclose(found.X, z.mean(0).T, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.layers["max"], z.max(0).T, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.layers["frac"], (z != 0).mean(0).T, rtol=1e-6)
    np.testing.assert_allclose(found.obs["firing_rate"], (z != 0).mean((0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(found.obs["n_genes"], (z != 0).any(0).sum(0))
    ratio = participation_ratio(z.mean(0).T.astype(float))
    np.testing.assert_allclose(found.obs["participation_ratio"], ratio, rtol=1e-3)
    assert (z.max(0) < 0).any() != relu
    assert (z == 0).any()


@SIGNED
def test_cells_by_features_equal_the_dense_table(model, cells, sae, relu):
    sae = replace(sae, relu=relu)
    z = dense_codes(sae, dense_residuals(model, cells))
    found = cell_features(model, sae, cells, LAYER, batch_size=5)
    np.testing.assert_allclose(found.X.toarray(), z.mean(1), rtol=1e-3, atol=1e-6)
    assert found.obs_names.tolist() == cells.obs_names.tolist()
    assert found.obs["cell_type"].tolist() == cells.obs["cell_type"].tolist()
    assert found.var_names.tolist() == [str(f) for f in range(FEATURES)]


def test_shares_equal_the_variances_of_the_dense_table(model, cells, sae):
    z = dense_codes(sae, dense_residuals(model, cells)).astype(float)
    obs = feature_genes(model, sae, cells, LAYER).obs
    whole = z.var((0, 1))
    fires = whole > 0
    gene, cell = z.mean(0).var(0)[fires] / whole[fires], z.mean(1).var(0)[fires] / whole[fires]
    np.testing.assert_allclose(obs["gene_share"][fires], gene, rtol=1e-3)
    np.testing.assert_allclose(obs["cell_share"][fires], cell, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(obs["state_share"], 1 - obs["gene_share"])
    assert obs["gene_share"][~fires].isna().all()


def test_the_centre_per_gene_is_taken_off(cells, sae):
    model = make_model(True)
    generator = torch.Generator().manual_seed(3)
    centre = torch.randn(len(model.genes), model.d_model, generator=generator)
    columns = [model.genes.index(g) for g in cells.var_names]
    x = dense_residuals(model, cells) - centre[columns]
    found = feature_genes(model, replace(sae, centre=centre), cells, LAYER)
    np.testing.assert_allclose(found.X, dense_codes(sae, x).mean(0).T, rtol=1e-3, atol=1e-6)
    assert found.uns["cellprism"]["centring"] == "group"


def test_neither_the_batch_size_nor_the_order_of_cells_matters(model, cells, sae):
    base = feature_statistics(model, sae, cells, LAYER, batch_size=1)
    order = np.random.default_rng(0).permutation(CELLS)
    other = feature_statistics(model, sae, cells[order], LAYER, batch_size=7)
    np.testing.assert_allclose(other.genes.X, base.genes.X, rtol=1e-3, atol=1e-6)
    for layer in ("max", "frac"):
        np.testing.assert_allclose(other.genes.layers[layer], base.genes.layers[layer], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(other.cells.X.toarray(), base.cells.X.toarray()[order], rtol=1e-3, atol=1e-6)
    assert other.residual == pytest.approx(base.residual, rel=1e-5)


def test_the_order_of_genes_moves_columns_and_nothing_else(cells, sae):
    model, order = make_model(True), np.random.default_rng(0).permutation(GENES)
    base, other = feature_genes(model, sae, cells, LAYER), feature_genes(model, sae, cells[:, order], LAYER)
    np.testing.assert_allclose(other.X, base.X[:, order], rtol=1e-3, atol=1e-5)
    assert other.var_names.tolist() == base.var_names[order].tolist()


def test_the_recipe_says_how_a_table_was_made(model, cells, sae):
    found = feature_statistics(model, sae, cells, LAYER)
    recipe = found.genes.uns["cellprism"]
    assert recipe == {
        "model": "random",
        "revision": "seed 1",
        "licence": "none",
        "layer": 1,
        "site": "block 1, the 2nd of 3",
        "sae": {"architecture": "topk", "k": 5, "n_features": FEATURES, "relu": True},
        "centring": "none",
        "forced": "",
        "gene_filter": "none",
        "cells": {"n_cells": CELLS, "source": "made up", "sha256": "abc"},
        "tokens": "genes",
        "table": "mean activation, features x genes",
        "gene_share_by_chance": (GENES - 1) / (CELLS * GENES - 1),
    }
    assert found.cells.uns["cellprism"]["table"] == "mean activation over present genes, cells x features"


def test_tables_survive_a_file(model, cells, sae, tmp_path):
    found = feature_statistics(model, sae, cells, LAYER)
    for name, table in (("genes", found.genes), ("cells", found.cells)):
        table.write_h5ad(tmp_path / f"{name}.h5ad")
        back = anndata.read_h5ad(tmp_path / f"{name}.h5ad")
        assert back.uns["cellprism"]["site"] == "block 1, the 2nd of 3"
        assert back.shape == table.shape


def test_progress_counts_cells(model, cells, sae):
    heard = []
    feature_statistics(model, sae, cells, LAYER, batch_size=7, progress=heard.append)
    assert heard == [7, 14, 17]


def test_an_autoencoder_of_another_model_is_refused(model, cells, sae):
    narrow = replace(sae, W_enc=sae.W_enc[:13], W_dec=sae.W_dec[:, :13], b_dec=sae.b_dec[:13])
    with pytest.raises(ModelError, match="the autoencoder reads 13 dimensions but 'random' has 22"):
        feature_genes(model, narrow, cells, LAYER)
    with pytest.raises(ModelError, match="centred on 5 genes but 'random' has 37"):
        feature_genes(model, replace(sae, centre=torch.zeros(5, 22)), cells, LAYER)


def test_no_cells_are_an_error(model, cells, sae):
    with pytest.raises(InputError, match="the AnnData has 0 rows"):
        cell_features(model, sae, cells[:0], LAYER)
