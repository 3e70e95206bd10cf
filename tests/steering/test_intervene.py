"""Steering a model: the reference implementation's numbers, what may change, and what a mistake is told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from cellprism.errors import ConfigError, InputError, ModelError
from cellprism.models.aido.files import load
from cellprism.models.aido.model import AidoCell
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.edits import encode_site, strength_vector
from cellprism.steering.intervene import edited, read_site, steer
from cellprism.types import CellBatch

LAYER = 2  # of the golden values
TOLERANCE = 1e-4  # absolute, on logits


@pytest.fixture(scope="module")
def reference(golden):
    """The reference's arrays, the model with its weights, its autoencoder, and the batch it was run on."""
    io = load_file(golden / "aido_tiny_layernorm_io.safetensors")
    model = load(golden / "aido_tiny_layernorm.safetensors")
    sae = SparseAutoencoder.with_two_biases(
        io["sae.encoder.weight"].T.contiguous(),
        io["sae.encoder.bias"],
        io["sae.decoder.weight"].T.contiguous(),
        io["sae.b_pre"],
        io["sae.decoder.bias"],
        k=7,
    )
    gene = torch.cat([torch.arange(97), torch.tensor([-1, -1])])
    present = (gene >= 0).expand(7, -1)
    batch = CellBatch(io["plain.input"], gene, present, torch.arange(7))
    return io, model, sae, batch


def logits(
    model: AidoCell, sae: SparseAutoencoder, batch: CellBatch, strengths: dict[int, float], positions: str = "present"
) -> torch.Tensor:
    """Predictions with some features turned up or down."""
    x = model.residual(batch, LAYER)
    code = encode_site(sae, x, batch, positions)
    return model.resume(batch, LAYER, edited(x, code, strength_vector(sae, strengths), sae.W_dec)).expression


def test_codes_of_the_reference_are_reproduced(reference):
    io, model, sae, batch = reference
    code = encode_site(sae, model.residual(batch, LAYER), batch, "all")
    dense = torch.zeros(7 * 99, 256).scatter_(1, code.features, code.values)
    torch.testing.assert_close(dense.view(7, 99, 256), io["sae.codes"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alpha", [-5, 0, 1, 2, 5])
def test_multiplicative_steering_at_all_positions_is_that_of_the_reference(reference, alpha):
    io, model, sae, batch = reference
    found = logits(model, sae, batch, {int(f): float(alpha) for f in io["steer.features"]}, "all")
    torch.testing.assert_close(found, io[f"steer.mult.{alpha}.logits"][:, :97], rtol=0, atol=TOLERANCE)


def test_masked_steering_is_that_of_the_reference(reference):
    io, model, sae, batch = reference
    masked = replace(batch, present=io["steer.token_mask"].expand(7, -1))
    found = logits(model, sae, masked, {int(io["steer.features"][0]): 3.0})
    torch.testing.assert_close(found, io["steer.mult_masked.3.logits"][:, :97], rtol=0, atol=TOLERANCE)


def test_a_strength_for_every_feature_is_that_of_the_reference(reference):
    io, model, sae, batch = reference
    found = logits(model, sae, batch, dict(enumerate(io["steer.alpha_vector"].tolist())), "all")
    torch.testing.assert_close(found, io["steer.vector.logits"][:, :97], rtol=0, atol=TOLERANCE)


def test_additive_steering_is_that_of_the_reference(reference):
    io, model, sae, batch = reference
    x = model.residual(batch, LAYER)
    vector = sae.W_dec[io["steer.features"][0]]
    found = model.resume(batch, LAYER, x + 3 * vector).expression
    torch.testing.assert_close(found, io["steer.add.3.logits"][:, :97], rtol=0, atol=TOLERANCE)


def test_neutral_strengths_change_no_bit_of_the_prediction(real_model, real_sae, cells):
    firing = dict.fromkeys(range(41), 1.0)
    out = steer(real_model, real_sae, cells, 1, firing)
    assert np.array_equal(out.layers["baseline"], out.layers["steered"])
    assert np.array_equal(out.obsm["embedding_baseline"], out.obsm["embedding_steered"])
    assert (out.layers["direct"] == 0).all()
    assert (out.obs["edit_norm"] == 0).all()


def test_steering_returns_cells_by_genes_in_the_data_order_with_its_recipe(real_model, real_sae, cells):
    out = steer(real_model, real_sae, cells, 1, {3: 5.0})
    assert list(out.obs_names) == list(cells.obs_names)
    assert list(out.var_names) == list(cells.var_names)
    assert out.layers["steered"].shape == (17, 29)
    assert out.obsm["embedding_steered"].shape == (17, 16)
    assert (out.obs["cell_type"] == cells.obs["cell_type"]).all()
    assert out.uns["cellprism"]["steer"]["strengths"] == {"3": 5.0}
    assert out.uns["cellprism"]["steer"]["site"] == "block 1, the 2nd of 3"
    assert not np.array_equal(out.layers["baseline"], out.layers["steered"])
    np.testing.assert_allclose(out.obs["edit_ratio"], out.obs["edit_norm"] / out.obs["residual_norm"])


def test_batch_size_and_gene_order_do_not_matter(real_model, real_sae, cells):
    whole = steer(real_model, real_sae, cells, 1, {3: 5.0, 7: -2.0})
    small = steer(real_model, real_sae, cells, 1, {3: 5.0, 7: -2.0}, batch_size=5)
    np.testing.assert_allclose(whole.layers["steered"], small.layers["steered"], atol=1e-5)
    order = np.random.default_rng(0).permutation(cells.n_vars)
    other = steer(real_model, real_sae, cells[:, order].copy(), 1, {3: 5.0, 7: -2.0})
    np.testing.assert_allclose(whole[:, order].layers["steered"], other.layers["steered"], atol=1e-5)


def test_a_model_that_fills_in_absent_genes_predicts_the_data_genes_in_their_order(real_sae, cells):
    filled = AidoCell.random(
        [f"G{i}" for i in range(31)], hidden=16, layers=3, heads=2, intermediate=37, gene_subset=False
    )
    order = np.random.default_rng(1).permutation(cells.n_vars)
    straight = steer(filled, real_sae, cells, 1, {3: 4.0})
    mixed = steer(filled, real_sae, cells[:, order].copy(), 1, {3: 4.0})
    np.testing.assert_allclose(straight[:, order].layers["steered"], mixed.layers["steered"], atol=1e-5)


def test_depth_tokens_are_left_alone_unless_asked_for(real_model, real_sae, cells):
    chunk, _ = next(read_site(real_model, real_sae, cells, 1, 17))
    everywhere, _ = next(read_site(real_model, real_sae, cells, 1, 17, "all"))
    strengths = torch.full((41,), 3.0)
    present = edited(chunk.x, chunk.code, strengths, real_sae.W_dec)
    assert torch.equal(present[:, 29:], chunk.x[:, 29:])
    assert not torch.equal(present[:, :29], chunk.x[:, :29])
    assert not torch.equal(edited(chunk.x, everywhere.code, strengths, real_sae.W_dec)[:, 29:], chunk.x[:, 29:])


def test_steering_a_known_model_multiplies_the_gene_of_the_feature(planted):
    from steering.planted import planted_cells

    model, sae = planted
    adata = planted_cells({})
    out = steer(model, sae, adata, 1, {7: -3.0, 11: 0.0})
    expected = out.layers["baseline"].copy()
    expected[:, 7] *= -3
    expected[:, 11] = 0
    np.testing.assert_allclose(out.layers["steered"], expected, atol=1e-3)


def test_the_site_is_read_once_for_baseline_and_steered(planted):
    from steering.planted import planted_cells

    model, sae = planted
    steer(model, sae, planted_cells({}), 1, {7: -3.0})
    assert model.residual_cells == 112


def test_a_centred_autoencoder_reads_each_gene_against_its_own_centre(real_model, cells):
    rng = torch.Generator().manual_seed(2)
    W_dec = normalize(torch.randn(41, 16, generator=rng), dim=1)
    centre = torch.randn(31, 16, generator=rng)
    sae = SparseAutoencoder(W_dec.T.contiguous(), torch.zeros(41), W_dec, torch.zeros(16), k=5, centre=centre)
    batch = next(real_model.batches(cells, 17))
    x = real_model.residual(batch, 1)
    code = encode_site(sae, x, batch)
    plain = SparseAutoencoder(W_dec.T.contiguous(), torch.zeros(41), W_dec, torch.zeros(16), k=5)
    shifted_x = x.clone()
    shifted_x[:, :29] -= centre[batch.gene[:29]]
    expected = encode_site(plain, shifted_x, batch)
    torch.testing.assert_close(code.values, expected.values)
    with pytest.raises(ConfigError, match="centred per gene and cannot read tokens that are no gene"):
        encode_site(sae, x, batch, "all")


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({41: 2.0}, "feature 41 does not exist: features are whole numbers from 0 to 40"),
        ({-1: 2.0}, "feature -1 does not exist"),
        ({"3": 2.0}, "feature '3' does not exist"),
        ({3.5: 2.0}, "feature 3.5 does not exist"),
        ({3: float("nan")}, "feature 3 has strength nan; give a finite number, 1 for no change"),
        ({3: "2"}, "feature 3 has strength '2'; give a finite number"),
        ([3], "changes are a list; give what is done to each feature"),
    ],
)
def test_impossible_strengths_are_refused(real_model, real_sae, cells, strengths, message):
    with pytest.raises(ConfigError, match=message):
        steer(real_model, real_sae, cells, 1, strengths)


def test_no_cells_and_passes_of_no_cells_are_refused(real_model, real_sae, cells):
    with pytest.raises(InputError, match="there are no cells to steer"):
        steer(real_model, real_sae, cells[:0], 1, {3: 2.0})
    for size in (0, 1.5, "4"):
        with pytest.raises(ConfigError, match="batch_size is .*: expected a whole number of at least 1"):
            steer(real_model, real_sae, cells, 1, {3: 2.0}, batch_size=size)


@pytest.mark.parametrize("layer", ["1", 1.0, None])
def test_a_layer_that_is_no_number_is_refused(real_model, real_sae, cells, layer):
    with pytest.raises(ModelError, match="layer .* does not exist: this model has layers 0 to 2"):
        steer(real_model, real_sae, cells, layer, {3: 2.0})


def test_unknown_positions_are_refused(real_model, real_sae, cells):
    with pytest.raises(ConfigError, match=r"positions is 'some'; expected one of \['present', 'all'\]"):
        steer(real_model, real_sae, cells, 1, {3: 2.0}, positions="some")


def test_a_site_or_an_autoencoder_that_does_not_fit_is_refused(real_model, real_sae, planted, cells):
    with pytest.raises(ModelError, match="layer 3 does not exist: this model has layers 0 to 2"):
        steer(real_model, real_sae, cells, 3, {3: 2.0})
    with pytest.raises(ModelError, match="the autoencoder reads 43 dimensions but 'random' has 16"):
        steer(real_model, planted[1], cells, 1, {3: 2.0})
