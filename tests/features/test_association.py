"""Tables of models that read a cell as a whole, or other genes in every cell."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from steering.planted import PlantedRanks, planted_sae, values_of
from steering.test_model_output import sparse_cells

from cellprism.equations.association import chance_shift, weighted_shift
from cellprism.equations.footprint import participation_ratio
from cellprism.errors import ConfigError, ModelError
from cellprism.features.association import CHANCE, association_table
from cellprism.features.baselines import neuron_genes, untrained_sae
from cellprism.features.classes import fit_by_class
from cellprism.features.collect import feature_genes, feature_statistics
from cellprism.features.evaluate import evaluate_at
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.variance import residual_variance
from features.conftest import CELLS, D_MODEL, FEATURES, GENES, LAYER, K, make_cells, make_model
from features.latent import LatentModel

MANY = 211


@pytest.fixture(scope="module")
def many():
    return make_cells(MANY)


@pytest.fixture(scope="module")
def latent(many):
    return LatentModel(many)


def expression(adata) -> sp.csr_matrix:
    return sp.csr_matrix(np.log1p(adata.X.toarray() / adata.obs["total_counts"].to_numpy()[:, None] * 1e4))


def codes(model, sae, adata) -> np.ndarray:
    """Activations [cell feature]."""
    batch = next(model.batches(adata, adata.n_obs))
    code = sae.encode(model.residual(batch, LAYER)[:, 0])
    return torch.zeros(adata.n_obs, FEATURES).scatter(1, code.features, code.values).numpy()


def test_features_of_whole_cells_get_the_genes_that_are_high_where_they_fire(latent, many, sae):
    found = feature_statistics(latent, sae, many, LAYER, batch_size=13)
    z = codes(latent, sae, many)
    shift = weighted_shift(sp.csr_matrix(z), expression(many))
    np.testing.assert_allclose(found.genes.layers["shift"], shift, atol=1e-4)
    kept = np.where(shift >= CHANCE * chance_shift(sp.csr_matrix(z))[:, None], shift, 0)
    np.testing.assert_allclose(found.genes.X, kept, atol=1e-4)
    assert (found.genes.X >= 0).all()
    assert (kept > 0).any()
    obs = found.genes.obs
    np.testing.assert_allclose(obs["firing_rate"], (z != 0).mean(axis=0))
    np.testing.assert_allclose(obs["participation_ratio"], participation_ratio(kept), rtol=1e-4)
    np.testing.assert_array_equal(obs["n_genes"], (kept > 0).sum(axis=1))
    assert obs[["gene_share", "cell_share", "state_share"]].isna().all(axis=None)
    np.testing.assert_allclose(found.cells.X.toarray(), z, atol=1e-5)
    assert found.residual == {}


def test_the_recipe_of_whole_cells_says_so(latent, many, sae, tmp_path):
    found = feature_statistics(latent, replace(sae, centre=torch.zeros(1, D_MODEL)), many, LAYER)
    for table in (found.genes, found.cells):
        assert table.uns["cellprism"]["tokens"] == "cells"
        assert table.uns["cellprism"]["centring"] == "global"
        table.write_h5ad(tmp_path / "table.h5ad")
        assert anndata.read_h5ad(tmp_path / "table.h5ad").uns["cellprism"]["site"] == "block 1, the 2nd of 2"
    assert found.genes.uns["cellprism"]["table"].startswith("association of activation with expression over cells")
    assert "the cell's one token" in found.cells.uns["cellprism"]["table"]


def test_few_genes_go_with_activations_that_were_dealt_at_random(many):
    rng = np.random.default_rng(0)
    z = sp.csr_matrix(rng.gamma(1.0, size=(MANY, 499)) * (rng.random((MANY, 499)) < 0.2))
    table = association_table(z, many, pd.Index([str(i) for i in range(499)]), {})
    assert (table.X > 0).mean() < 0.004, "0.00135 of normal numbers lie beyond three standard deviations"
    assert (table.layers["shift"] > 0).mean() > 0.4


def test_tails_of_a_latent_vector_get_genes_in_the_same_way(latent, many, sae):
    x = next(latent.batches(many, MANY)).inputs @ latent.weights[LAYER]
    tails = torch.stack([(x - x.mean(0)).relu(), (x.mean(0) - x).relu()], dim=2).flatten(1).numpy()
    found = neuron_genes(latent, many, LAYER)
    assert found.obs_names[:3].tolist() == ["n0+", "n0-", "n1+"]
    assert found.obs["neuron"].tolist()[:3] == [0, 0, 1]
    shift = weighted_shift(sp.csr_matrix(tails), expression(many))
    np.testing.assert_allclose(found.layers["shift"], shift, atol=1e-3)
    assert found.uns["cellprism"]["tokens"] == "cells"


def test_tables_may_be_made_from_tokens_that_were_read_before(latent, many, sae, cells, model):
    for network, adata in ((latent, many), (model, cells)):
        tokens = CellTokens(network, adata, [LAYER], batch_size=5)
        kept, fresh = (feature_statistics(network, sae, adata, LAYER, 5, tokens=given) for given in (tokens, None))
        np.testing.assert_array_equal(kept.genes.X, fresh.genes.X)
        np.testing.assert_array_equal(kept.cells.X.toarray(), fresh.cells.X.toarray())
        assert kept.residual == pytest.approx(fresh.residual)
        tails = [neuron_genes(network, adata, LAYER, batch_size=5, tokens=given).X for given in (tokens, None)]
        np.testing.assert_array_equal(*tails)


def test_what_needs_genes_says_that_there_are_none(latent, many, sae):
    with pytest.raises(
        ModelError, match="'latent' reads a cell as a whole: no token is a gene, so there are no classes"
    ):
        fit_by_class(latent, sae, many, LAYER)
    with pytest.raises(
        ModelError, match="'latent' reads a cell as a whole, so all variance of its residuals lies between"
    ):
        residual_variance(latent, many, LAYER)


def test_classes_of_genes_need_an_autoencoder_of_one_layer(model, cells, sae):
    with pytest.raises(ModelError, match="a transcoder rebuilds another layer than it reads"):
        fit_by_class(model, replace(sae, is_transcoder=True), cells, LAYER)


def test_means_over_few_expressing_cells_are_in_no_list():
    model, adata = PlantedRanks(), sparse_cells()
    found = feature_genes(model, planted_sae(model), adata, 1)
    counts = values_of(adata).numpy()
    expressing = (counts > 0).sum(axis=0)
    np.testing.assert_array_equal(found.var["n_cells"], expressing)
    assert found.var_names[~found.var["expressed"]].tolist() == ["G11"]
    assert found["11", "G11"].X == 0
    assert found["11", "G11"].layers["max"] > 1
    assert found.obs.loc["11", "participation_ratio"] == 0
    expected = counts[:, 7].sum() / expressing[7]
    assert found["7", "G7"].X.item() == pytest.approx(expected, rel=1e-3)
    assert found.uns["cellprism"]["gene_share_by_chance"] == pytest.approx(28 / (expressing.sum() - 1))
    tails = neuron_genes(model, adata, 1, centre=False)
    assert (tails[:, "G11"].X == 0).all()
    assert (tails[:, "G7"].X > 0).any()


def threshold_sae(sae):
    return replace(sae, k=None, threshold=torch.full((FEATURES,), 0.7), slope=None, architecture="jumprelu")


def test_an_untrained_autoencoder_keeps_as_many_features_as_thresholds_let_through(model, cells, sae):
    trained = threshold_sae(sae)
    with pytest.raises(
        ConfigError, match=r"this jumprelu autoencoder selects by a threshold.*firing_rate that evaluate"
    ):
        untrained_sae(trained, 0)
    measured = evaluate_at(model, trained, cells, LAYER)
    found = untrained_sae(replace(trained, firing_rate=measured.firing_rate), 0)
    assert (found.k, found.threshold, found.architecture) == (round(measured.l0), None, "topk")
    assert 1 < found.k < FEATURES


def test_a_recipe_says_how_features_are_selected(model, cells, sae):
    chosen = feature_genes(model, threshold_sae(sae), cells, LAYER).uns["cellprism"]["sae"]
    assert chosen == {
        "architecture": "jumprelu", "mean_threshold": pytest.approx(0.7), "n_features": FEATURES, "relu": True,
    }  # fmt: skip
    assert feature_genes(model, sae, cells, LAYER).uns["cellprism"]["sae"]["k"] == K


def test_an_untrained_transcoder_has_directions_of_its_own_to_write(sae):
    wide = torch.randn(FEATURES, 13, generator=torch.Generator().manual_seed(1))
    transcoder = replace(sae, W_dec=wide, b_dec=torch.zeros(13), is_transcoder=True)
    found = untrained_sae(transcoder, 0)
    assert found.W_dec.shape == (FEATURES, 13)
    assert found.W_enc.shape == (D_MODEL, FEATURES)
    torch.testing.assert_close(found.W_dec.norm(dim=1), torch.ones(FEATURES))


def test_a_transcoder_is_measured_on_the_layer_that_it_writes_to(cells, sae):
    model = make_model(True)
    with pytest.raises(ModelError, match="does not say after which block the vectors lie that it reconstructs"):
        evaluate_at(model, replace(sae, is_transcoder=True, metadata={}), cells, LAYER)
    transcoder = replace(sae, is_transcoder=True, metadata={"target_layer": 2})
    found = evaluate_at(model, transcoder, cells, LAYER, batch_size=5)
    batch = next(model.batches(cells, CELLS))
    x, target = (model.residual(batch, layer)[batch.present] for layer in (LAYER, 2))
    wrong = (transcoder.decode(transcoder.encode(x)) - target).square()
    assert found.mse == pytest.approx(float(wrong.mean()), rel=1e-4)
    assert found.tokens == CELLS * GENES
