from dataclasses import replace

import numpy as np
import pytest
import torch

from cellprism.errors import InputError
from cellprism.sae.evaluate import evaluate
from sae.conftest import FEATURES, planted

TOKENS = 211


@pytest.fixture
def data():
    x = planted(TOKENS, 13, 31, 3).x + 20
    return x, torch.randint(0, 7, (TOKENS,), generator=torch.Generator().manual_seed(1))


def test_measures_equal_their_definitions(sae, data):
    x, _ = data
    sae = replace(sae, W_enc=sae.W_enc * 0.1, b_dec=sae.b_dec + 20)
    code = sae.encode(x)
    z = torch.zeros(TOKENS, FEATURES).scatter(1, code.features, code.values).numpy()
    error = (x - sae.decode(code)).double().square().sum().item()
    spread = (x - x.mean(0)).double().square().sum().item()
    found = evaluate(sae, [x])
    rate = (z != 0).mean(0)
    assert found.tokens == TOKENS
    assert found.mse == pytest.approx(error / x.numel(), rel=1e-5)
    assert found.explained_variance == pytest.approx(1 - error / spread, rel=1e-4)
    assert found.explained_within is None
    assert found.l0 == pytest.approx((z != 0).sum(1).mean())
    np.testing.assert_allclose(found.firing_rate.numpy(), rate, rtol=1e-6)
    assert found.dead_share == pytest.approx((rate == 0).mean())
    assert found.dense_share == pytest.approx((rate > 0.1).mean())
    assert 0 < found.dense_share < 1


def test_a_centred_autoencoder_is_measured_within_groups_too(sae, data):
    x, group = data
    centre = torch.stack([x[group == g].mean(0) for g in range(7)])
    sae = replace(sae, centre=centre, W_enc=sae.W_enc * 0.1)
    found = evaluate(sae, [(x, group)])
    error = (x - sae.decode(sae.encode(x, group), group)).square().sum().item()
    within = (x - centre[group]).square().sum().item()
    assert found.explained_within == pytest.approx(1 - error / within, rel=1e-4)
    assert found.explained_variance > found.explained_within


def test_the_batches_do_not_matter(sae, data):
    x, _ = data
    one, many = evaluate(sae, [x]), evaluate(sae, x.split(17))
    assert many.summary() == pytest.approx(one.summary())
    assert torch.equal(many.firing_rate, one.firing_rate)


def test_the_summary_holds_plain_numbers(sae, data):
    summary = evaluate(sae, [data[0]]).summary()
    assert set(summary) == {
        "tokens", "mse", "explained_variance", "explained_within", "l0", "dead_share", "dense_share",
    }  # fmt: skip
    assert all(value is None or type(value) in (int, float) for value in summary.values())


def test_vectors_that_do_not_vary_have_no_explained_variance(sae):
    assert evaluate(sae, [torch.zeros(29, 13)]).summary()["explained_variance"] is None


def test_an_empty_stream_has_no_measures(sae):
    with pytest.raises(InputError, match="the stream of batches is empty"):
        evaluate(sae, [])


@pytest.mark.parametrize("rows", [1, 29])
def test_one_token_or_equal_ones_have_no_explained_variance(sae, rows):
    x = (torch.randn(1, 13, generator=torch.Generator().manual_seed(2)) + 20).expand(rows, 13)
    group = torch.arange(rows)
    centred = replace(sae, centre=x * (1 + 1e-7))
    assert np.isnan(evaluate(sae, [x]).explained_variance)
    found = evaluate(centred, [(x, group)])
    assert np.isnan([found.explained_variance, found.explained_within]).all()
