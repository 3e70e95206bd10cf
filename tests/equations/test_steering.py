"""The steering equations against plain loops in double precision."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellprism.equations.steering import squared_edit_norm, steered, steering_delta, strength_gradient
from cellprism.types import SparseCode

TOKENS, D_MODEL, FEATURES, K = 29, 13, 41, 5


def example(seed: int, dtype=torch.float64):
    """Residuals, a code that explains part of them, decoder rows."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(TOKENS, D_MODEL, generator=rng, dtype=dtype)
    features = torch.stack([torch.randperm(FEATURES, generator=rng)[:K] for _ in range(TOKENS)])
    values = torch.rand(TOKENS, K, generator=rng, dtype=dtype)
    values[torch.rand(TOKENS, K, generator=rng) < 0.2] = 0
    W_dec = torch.randn(FEATURES, D_MODEL, generator=rng, dtype=dtype)
    return x, SparseCode(values, features, FEATURES), W_dec, rng


def dense(code: SparseCode) -> torch.Tensor:
    z = torch.zeros(TOKENS, FEATURES, dtype=code.values.dtype)
    return z.scatter_(1, code.features, code.values)


def test_the_edit_is_a_loop_over_tokens_and_features():
    x, code, W_dec, rng = example(0)
    alpha = torch.randn(FEATURES, generator=rng, dtype=torch.float64)
    expected = x.clone()
    for t in range(TOKENS):
        for j in range(K):
            f = code.features[t, j]
            expected[t] += (alpha[f] - 1) * code.values[t, j] * W_dec[f]
    torch.testing.assert_close(steered(x, code, alpha, W_dec), expected)


def test_the_edit_is_the_scaled_reconstruction_with_the_error_kept_whatever_the_bias():
    x, code, W_dec, rng = example(1)
    alpha = torch.randn(FEATURES, generator=rng, dtype=torch.float64)
    bias = 7 * torch.randn(D_MODEL, generator=rng, dtype=torch.float64)
    z = dense(code)
    error = x - (z @ W_dec + bias)
    torch.testing.assert_close(steered(x, code, alpha, W_dec), (alpha * z) @ W_dec + bias + error)


@given(st.integers(0, 2**31), st.booleans())
def test_neutral_strengths_return_the_same_tensor(seed, negative_zero):
    x, code, W_dec, _ = example(seed, torch.float32)
    if negative_zero:
        x[3] = -0.0
    assert steered(x, code, torch.ones(FEATURES), W_dec) is x


def test_tokens_that_are_not_edited_keep_their_bits_even_negative_zeros():
    x, code, W_dec, _ = example(2, torch.float32)
    x[:] = -0.0
    alpha = torch.ones(FEATURES)
    alpha[code.features[4, 0]] = 3.0
    code.values[4, 0] = 0.7
    fires = ((code.features == code.features[4, 0]) & (code.values != 0)).any(dim=1)
    out = steered(x, code, alpha, W_dec)
    assert torch.equal(torch.signbit(out[~fires]), torch.ones_like(out[~fires], dtype=torch.bool))
    assert not torch.equal(out[4], x[4])


def test_a_feature_that_does_not_fire_changes_nothing():
    x, code, W_dec, _ = example(3)
    silent = 17
    code.values[code.features == silent] = 0
    alpha = torch.ones(FEATURES, dtype=torch.float64)
    alpha[silent] = -5
    assert steered(x, code, alpha, W_dec) is x


def test_only_masked_in_tokens_change():
    x, code, W_dec, rng = example(4)
    alpha = torch.full((FEATURES,), 2.0, dtype=torch.float64)
    mask = torch.rand(TOKENS, generator=rng) < 0.5
    out = steered(x, code, alpha, W_dec, mask)
    assert torch.equal(out[~mask], x[~mask])
    torch.testing.assert_close(out[mask], steered(x, code, alpha, W_dec)[mask])


@given(st.integers(0, 2**31), st.floats(-6, 6, allow_nan=False))
def test_the_edit_is_linear_in_the_distance_from_one(seed, distance):
    _, code, W_dec, rng = example(seed)
    direction = torch.randn(FEATURES, generator=rng, dtype=torch.float64)
    unit = steering_delta(code, 1 + direction, W_dec)
    torch.testing.assert_close(steering_delta(code, 1 + distance * direction, W_dec), distance * unit)


def test_the_strength_gradient_is_that_of_automatic_differentiation_through_dense_arrays():
    x, code, W_dec, rng = example(5)
    alpha = torch.randn(FEATURES, generator=rng, dtype=torch.float64).requires_grad_()
    mixer = torch.randn(D_MODEL, D_MODEL, generator=rng, dtype=torch.float64)

    def loss(y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(y @ mixer).square().sum()

    y = x + ((alpha - 1) * dense(code)) @ W_dec
    (expected,) = torch.autograd.grad(loss(y), alpha)
    y = steered(x, code, alpha.detach(), W_dec).requires_grad_()
    (upstream,) = torch.autograd.grad(loss(y), y)
    torch.testing.assert_close(strength_gradient(code, W_dec, upstream), expected)


@pytest.mark.parametrize("feature", [0, 17, 40])
def test_the_squared_edit_norm_is_the_squared_norm_of_the_edit_that_adds_one(feature):
    x, code, W_dec, _ = example(6)
    alpha = torch.ones(FEATURES, dtype=torch.float64)
    alpha[feature] = 2
    change = steered(x, code, alpha, W_dec) - x
    torch.testing.assert_close(squared_edit_norm(code, W_dec)[feature], change.square().sum())
