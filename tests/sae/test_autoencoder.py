from dataclasses import replace

import pytest
import torch

from cellprism.equations.sparse import decode, preactivations, top_k
from cellprism.errors import ConfigError, InputError
from cellprism.sae import autoencoder, plain_step
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import SparseCode
from sae.conftest import D_MODEL, FEATURES, K

GROUPS = 7


def _dense(code: SparseCode) -> torch.Tensor:
    return torch.zeros(len(code.values), code.n_features).scatter(1, code.features, code.values)


@pytest.fixture
def grouped(sae, vectors) -> tuple[SparseAutoencoder, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    centre = torch.randn(GROUPS, D_MODEL, generator=generator)
    return replace(sae, centre=centre), torch.randint(0, GROUPS, (len(vectors),), generator=generator)


def test_sizes_are_read_off_the_weights(sae):
    assert (sae.d_model, sae.n_features, sae.k) == (D_MODEL, FEATURES, K)


def test_encoding_and_decoding_are_the_equations(sae, vectors):
    code = sae.encode(vectors)
    expected = top_k(preactivations(vectors, sae.W_enc, sae.b_enc, sae.b_dec), K)
    torch.testing.assert_close(_dense(code), _dense(expected))
    torch.testing.assert_close(sae.decode(code), decode(expected, sae.W_dec, sae.b_dec))


def test_encoding_in_slices_changes_nothing(sae, monkeypatch):
    x = torch.randn(1031, D_MODEL, generator=torch.Generator().manual_seed(3))
    whole = sae.encode(x)
    monkeypatch.setattr(plain_step, "SLICE", 1)
    monkeypatch.setattr(autoencoder, "steps_for", lambda x: plain_step.PlainSteps())
    torch.testing.assert_close(_dense(sae.encode(x)), _dense(whole))


def test_other_float_types_are_converted(sae, vectors):
    torch.testing.assert_close(sae.encode(vectors.double()).values, sae.encode(vectors).values)


def test_no_vectors_have_an_empty_code(sae):
    code = sae.encode(torch.zeros(0, D_MODEL))
    assert code.values.shape == (0, K)
    assert sae.decode(code).shape == (0, D_MODEL)


def test_the_centre_is_taken_off_before_encoding_and_added_after_decoding(grouped, vectors):
    sae, group = grouped
    plain = replace(sae, centre=None)
    code, expected = sae.encode(vectors, group), plain.encode(vectors - sae.centre[group])
    assert torch.equal(_dense(code), _dense(expected))
    assert torch.equal(sae.decode(code, group), plain.decode(expected) + sae.centre[group])


def test_two_biases_fold_into_one_exactly():
    generator = torch.Generator().manual_seed(4)
    shapes = [(D_MODEL, FEATURES), (FEATURES,), (FEATURES, D_MODEL), (D_MODEL,), (D_MODEL,), (29, D_MODEL)]
    W_enc, b_enc, W_dec, b_in, b_out, x = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    sae = SparseAutoencoder.with_two_biases(W_enc, b_enc, W_dec, b_in, b_out, k=K)
    expected = top_k(preactivations(x, W_enc, b_enc, b_in), K)
    code = sae.encode(x)
    torch.testing.assert_close(code.values, expected.values)
    assert torch.equal(code.features, expected.features)
    torch.testing.assert_close(sae.decode(code), decode(expected, W_dec, b_out))


@pytest.mark.parametrize("relu", [True, False])
def test_the_reference_autoencoder_is_reproduced(reference, relu):
    sae = SparseAutoencoder.with_two_biases(
        reference["sae.encoder.weight"].T,
        reference["sae.encoder.bias"],
        reference["sae.decoder.weight"].T,
        b_in=reference["sae.b_pre"],
        b_out=reference["sae.b_pre"] + reference["sae.decoder.bias"],
        k=7,
        relu=relu,  # every kept value of these is positive
    )
    code = sae.encode(reference["x"])
    torch.testing.assert_close(_dense(code), reference["sae.codes"], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(sae.decode(code), reference["sae.recon"], rtol=1e-5, atol=1e-4)


def test_without_relu_kept_values_may_be_negative(sae, vectors):
    low = replace(sae, b_enc=sae.b_enc - 9, relu=False)
    assert (low.encode(vectors).values < 0).any()
    assert (replace(low, relu=True).encode(vectors).values >= 0).all()


def test_moving_to_a_device_moves_every_tensor(grouped):
    sae, _ = grouped
    moved = replace(sae, firing_rate=torch.zeros(FEATURES)).to("meta")
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "centre", "firing_rate")
    assert {getattr(moved, name).device.type for name in names} == {"meta"}


def test_vectors_of_another_width_are_refused(sae):
    with pytest.raises(InputError, match="14 dimensions but this autoencoder was fitted on 13"):
        sae.encode(torch.zeros(3, 14))


def test_a_centred_autoencoder_asks_for_groups(grouped, vectors):
    sae, group = grouped
    with pytest.raises(InputError, match="centred per group and needs to know each token's; pass group="):
        sae.encode(vectors)
    with pytest.raises(InputError, match="pass group="):
        sae.decode(sae.encode(vectors, group))


@pytest.mark.parametrize("wrong", [-1, GROUPS])
def test_groups_that_do_not_exist_are_refused(grouped, vectors, wrong):
    sae, group = grouped
    group[3] = wrong
    with pytest.raises(InputError, match="this autoencoder has groups 0 to 6"):
        sae.encode(vectors, group)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b_enc": torch.zeros(40)}, r"b_enc has shape \(40,\); expected \(41,\)"),
        ({"W_dec": torch.zeros(13, 41)}, r"W_dec has shape \(13, 41\); expected \(41, 13\)"),
        ({"centre": torch.zeros(7, 14)}, "centre has 14 columns; expected 13"),
        ({"k": 42}, "k is 42: expected 1 to 41"),
        ({"threshold": torch.zeros(41)}, "by k or by a threshold: give one of the two"),
        ({"k": None, "threshold": -torch.ones(41)}, "a threshold is below zero"),
        ({"k": None}, "by k or by a threshold: give one of the two"),
        ({"k": None, "threshold": torch.zeros(40)}, r"threshold has shape \(40,\); expected \(41,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_weights_that_do_not_fit_together_are_refused(sae, change, message):
    with pytest.raises(ConfigError, match=message):
        replace(sae, **change)


def test_features_above_their_thresholds_fire(sae, vectors):
    threshold = torch.rand(FEATURES, generator=torch.Generator().manual_seed(4)) * 3
    by_threshold = replace(sae, k=None, threshold=threshold)
    h = preactivations(vectors, sae.W_enc, sae.b_enc, sae.b_dec)
    code = by_threshold.encode(vectors)
    torch.testing.assert_close(torch.zeros_like(h).scatter_add(1, code.features, code.values), h * (h > threshold))


def test_open_gates_pass_an_affine_map_of_the_pre_activation(sae, vectors):
    generator = torch.Generator().manual_seed(5)
    slope, shift = torch.rand(FEATURES, generator=generator) + 0.5, torch.randn(FEATURES, generator=generator)
    gated = replace(sae, k=None, threshold=torch.zeros(FEATURES), slope=slope, shift=shift)
    h = preactivations(vectors, sae.W_enc, sae.b_enc, sae.b_dec)
    code = gated.encode(vectors)
    expected = (h > 0) * (h * slope + shift).relu()
    torch.testing.assert_close(torch.zeros_like(h).scatter_add(1, code.features, code.values), expected)


def test_a_transcoder_subtracts_nothing_that_it_adds_and_may_change_width(sae, vectors):
    W_dec, b_dec = torch.randn(FEATURES, 11), torch.randn(11)
    transcoder = replace(sae, W_dec=W_dec, b_dec=b_dec, is_transcoder=True)
    code = transcoder.encode(vectors)
    torch.testing.assert_close(_dense(code), _dense(top_k(preactivations(vectors, sae.W_enc, sae.b_enc), K)))
    torch.testing.assert_close(transcoder.decode(code), _dense(code) @ W_dec + b_dec)


def test_one_row_of_means_needs_no_groups(sae, vectors):
    mean = torch.randn(1, D_MODEL)
    code = replace(sae, centre=mean).encode(vectors)
    torch.testing.assert_close(_dense(code), _dense(sae.encode(vectors - mean)))
