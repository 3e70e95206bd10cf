import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprism.equations.sparse import (
    decode,
    explained_variance,
    least_squares_scale,
    mean_squared_error,
    pair_products,
    preactivations,
    tangential,
    top_k,
    top_k_gradients,
)
from cellprism.types import SparseCode

TOKENS, D_MODEL, FEATURES, K = 17, 13, 41, 5


def _normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _weights() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    shapes = [(TOKENS, D_MODEL), (D_MODEL, FEATURES), (FEATURES,), (FEATURES, D_MODEL), (D_MODEL,)]
    return tuple(_normal(*shape, seed=i) for i, shape in enumerate(shapes))  # type: ignore[return-value]


def _dense(code: SparseCode) -> torch.Tensor:
    z = torch.zeros(len(code.values), code.n_features, dtype=code.values.dtype)
    return z.scatter(1, code.features, code.values)


def test_preactivations_equal_a_loop():
    x, W_enc, b_enc, _, b_dec = _weights()
    h = preactivations(x, W_enc, b_enc, b_dec)
    for t in range(TOKENS):
        for f in range(FEATURES):
            expected = b_enc[f] + sum((x[t, d] - b_dec[d]) * W_enc[d, f] for d in range(D_MODEL))
            assert h[t, f].item() == pytest.approx(expected.item(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(tokens=st.integers(1, 19), features=st.integers(1, 211), k=st.integers(1, 211), seed=st.integers(0, 999))
def test_top_k_keeps_the_largest_values_of_each_row_at_their_own_places(tokens, features, k, seed):
    k = min(k, features)
    h = _normal(tokens, features, seed=seed)
    code = top_k(h, k, relu=False)
    assert torch.equal(code.values, h.sort(dim=1, descending=True).values[:, :k])
    assert torch.equal(h.gather(1, code.features), code.values)
    assert all(len(set(row)) == k for row in code.features.tolist())


@pytest.mark.parametrize("features", [11, 173], ids=["searched directly", "searched by group"])
def test_top_k_follows_a_permutation_of_the_features(features):
    h, order = _normal(TOKENS, features), torch.from_numpy(np.random.default_rng(0).permutation(features))
    assert torch.equal(_dense(top_k(h[:, order], K)), _dense(top_k(h, K))[:, order])


@pytest.mark.parametrize("features", [11, 173], ids=["searched directly", "searched by group"])
def test_relu_silences_kept_values_below_zero(features):
    h = _normal(TOKENS, features) - 3
    signed, cut = top_k(h, K, relu=False), top_k(h, K, relu=True)
    assert (signed.values < 0).any()
    assert torch.equal(cut.values, signed.values.clamp(min=0))
    assert torch.equal(cut.features, signed.features)


def test_decode_equals_a_loop():
    x, W_enc, b_enc, W_dec, b_dec = _weights()
    code = top_k(preactivations(x, W_enc, b_enc, b_dec), K, relu=False)
    x_hat = decode(code, W_dec, b_dec)
    for t in range(TOKENS):
        expected = b_dec.clone()
        for value, feature in zip(code.values[t], code.features[t], strict=True):
            expected += value * W_dec[feature]
        torch.testing.assert_close(x_hat[t], expected)
    torch.testing.assert_close(decode(code, W_dec), x_hat - b_dec)


def test_decoding_no_tokens_gives_no_tokens():
    code = SparseCode(torch.zeros(0, K), torch.zeros(0, K, dtype=torch.long), FEATURES)
    assert decode(code, torch.ones(FEATURES, D_MODEL)).shape == (0, D_MODEL)


def test_mean_squared_error_is_a_mean_over_tokens_and_dimensions():
    x, x_hat = _normal(TOKENS, D_MODEL), _normal(TOKENS, D_MODEL, seed=1)
    total = sum((x_hat[t, d] - x[t, d]) ** 2 for t in range(TOKENS) for d in range(D_MODEL))
    assert mean_squared_error(x, x_hat).item() == pytest.approx(total.item() / (TOKENS * D_MODEL))


def test_pair_products_equal_a_loop():
    rows, vectors = _normal(FEATURES, D_MODEL), _normal(TOKENS, D_MODEL, seed=1)
    features = top_k(_normal(TOKENS, FEATURES, seed=2), K).features
    products = pair_products(features, rows, vectors)
    for t in range(TOKENS):
        for j in range(K):
            assert products[t, j].item() == pytest.approx((vectors[t] @ rows[features[t, j]]).item())


@pytest.mark.parametrize("relu", [True, False], ids=["with relu", "without relu"])
def test_written_gradients_equal_autograd(relu):
    x, *parameters = _weights()
    W_enc, b_enc, W_dec, b_dec = (p.requires_grad_() for p in parameters)
    h = torch.addmm(b_enc - 7, x - b_dec, W_enc)  # a bias that makes relu cut some kept values
    values, features = h.topk(K, dim=1)
    kept = values.relu() if relu else values
    assert not relu or (kept == 0).any()
    x_hat = torch.zeros_like(h).scatter(1, features, kept) @ W_dec + b_dec
    loss = mean_squared_error(x, x_hat)
    expected = torch.autograd.grad(loss, (W_enc, b_enc, W_dec, b_dec))
    code = SparseCode(kept.detach(), features, FEATURES)
    with torch.no_grad():
        upstream = 2 * (x_hat - x) / x.numel()
        found = top_k_gradients(code, x - b_dec, upstream, W_enc, W_dec, relu)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_tangential_part_leaves_the_rows_norms_alone():
    gradient, rows = _normal(FEATURES, D_MODEL), _normal(FEATURES, D_MODEL, seed=1)
    rows = rows / rows.norm(dim=1, keepdim=True)
    part = tangential(gradient, rows)
    torch.testing.assert_close((part * rows).sum(dim=1), torch.zeros(FEATURES, dtype=torch.float64))
    for f in range(FEATURES):
        torch.testing.assert_close(part[f], gradient[f] - (gradient[f] @ rows[f]) * rows[f])


def test_the_least_squares_scale_equals_that_of_numpy():
    x, y = _normal(TOKENS, D_MODEL), _normal(TOKENS, D_MODEL, seed=1)
    expected = np.linalg.lstsq(y.reshape(-1, 1).numpy(), x.flatten().numpy(), rcond=None)[0][0]
    assert least_squares_scale(x, y).item() == pytest.approx(expected)
    assert least_squares_scale(x, torch.zeros_like(x)).item() == 0


def test_explained_variance_equals_its_definition():
    x, x_hat = _normal(TOKENS, D_MODEL) + 7, _normal(TOKENS, D_MODEL, seed=1) + 7
    error, spread = (x - x_hat).square().sum(), (x - x.mean(0)).square().sum()
    found = explained_variance(error, x.square().sum(), x.sum(0), TOKENS)
    assert found.item() == pytest.approx((1 - error / spread).item())


def test_a_perfect_reconstruction_explains_all_and_the_mean_nothing():
    x = _normal(TOKENS, D_MODEL)
    sums = (x.square().sum(), x.sum(0), TOKENS)
    assert explained_variance(torch.zeros((), dtype=torch.float64), *sums).item() == 1
    assert explained_variance((x - x.mean(0)).square().sum(), *sums).item() == pytest.approx(0, abs=1e-12)
