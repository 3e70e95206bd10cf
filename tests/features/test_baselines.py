from dataclasses import replace

import numpy as np
import pytest
import torch

from cellprism.errors import ModelError
from cellprism.features.baselines import neuron_genes, untrained_sae
from features.conftest import CELLS, D_MODEL, FEATURES, GENES, LAYER, dense_residuals, make_model


def test_neuron_tails_equal_the_dense_table(model, cells):
    x = dense_residuals(model, cells).numpy()
    centred = x - x.mean((0, 1))
    found = neuron_genes(model, cells, LAYER, batch_size=5)
    assert found.shape == (2 * D_MODEL, GENES)
    assert found.obs_names[:4].tolist() == ["n0+", "n0-", "n1+", "n1-"]
    high, low = found[found.obs_names.str.endswith("+")], found[found.obs_names.str.endswith("-")]
    for tail, sign in ((high, 1), (low, -1)):
        expected = np.maximum(sign * centred, 0)
        np.testing.assert_allclose(tail.X, expected.mean(0).T, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(tail.layers["max"], expected.max(0).T, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(tail.layers["frac"], (expected > 0).mean(0).T, atol=1 / CELLS)
        np.testing.assert_allclose(tail.obs["firing_rate"], (expected > 0).mean((0, 1)), atol=0.01)
    np.testing.assert_allclose((high.X - low.X).mean(1), 0, atol=1e-5)


def test_uncentred_neurons_keep_their_mean(model, cells):
    x = dense_residuals(model, cells).numpy()
    found = neuron_genes(model, cells, LAYER, centre=False)
    np.testing.assert_allclose(found.X[::2], np.maximum(x, 0).mean(0).T, rtol=1e-3, atol=1e-5)
    assert found.uns["cellprism"]["centred"] is False


def test_neurons_can_be_shown_what_the_autoencoder_sees(cells, sae):
    model = make_model(True)
    centre = torch.randn(len(model.genes), D_MODEL, generator=torch.Generator().manual_seed(3))
    columns = [model.genes.index(g) for g in cells.var_names]
    x = (dense_residuals(model, cells) - centre[columns]).numpy()
    found = neuron_genes(model, cells, LAYER, sae=replace(sae, centre=centre))
    np.testing.assert_allclose(found.X[::2], np.maximum(x - x.mean((0, 1)), 0).mean(0).T, rtol=1e-3, atol=1e-5)
    assert found.uns["cellprism"]["centring"] == "group"


def test_neurons_refuse_an_autoencoder_of_another_model(model, cells, sae):
    narrow = replace(sae, W_enc=sae.W_enc[:13], W_dec=sae.W_dec[:, :13], b_dec=sae.b_dec[:13])
    with pytest.raises(ModelError, match="reads 13 dimensions"):
        neuron_genes(model, cells, LAYER, sae=narrow)


def test_an_untrained_autoencoder_sees_the_same_through_random_directions(sae):
    centre = torch.ones(7, D_MODEL)
    trained = replace(sae, centre=centre, b_dec=torch.ones(D_MODEL), firing_rate=torch.ones(FEATURES))
    first, again, other = (untrained_sae(trained, seed) for seed in (2, 2, 3))
    assert (first.k, first.relu, first.W_enc.shape) == (trained.k, trained.relu, trained.W_enc.shape)
    assert torch.equal(first.centre, centre)
    assert torch.equal(first.b_dec, trained.b_dec)
    torch.testing.assert_close(first.W_dec.norm(dim=1), torch.ones(FEATURES))
    assert torch.equal(first.W_enc, first.W_dec.T)
    assert torch.equal(first.W_dec, again.W_dec)
    assert (first.W_dec * other.W_dec).sum(1).abs().mean() < 0.4
    assert (first.W_dec @ trained.W_dec.T).amax() < 0.95
    assert first.firing_rate is None
    assert first.metadata["untrained"] is True
