import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprism.equations.sparse import (
    Pairs,
    above_threshold,
    batch_top_k,
    bias_gradient,
    decode,
    decode_pairs,
    explained_variance,
    joined,
    least_squares_scale,
    mean_squared_error,
    padded_code,
    pair_gradients,
    pair_products,
    pairs_of,
    preactivations,
    tangential,
    tokens_of,
    top_k,
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


@settings(max_examples=60)
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


def _uneven(h: torch.Tensor) -> Pairs:
    """A code in which some tokens have no feature, the last one too."""
    pairs = above_threshold(h, torch.full((h.shape[1],), 1.6, dtype=h.dtype))
    counts = torch.bincount(tokens_of(pairs), minlength=len(h))
    assert (counts == 0).any()
    assert counts.max() > 2
    return pairs


def _dense_pairs(pairs: Pairs) -> torch.Tensor:
    z = torch.zeros(len(pairs.offsets), pairs.n_features, dtype=pairs.values.dtype)
    z[tokens_of(pairs), pairs.features] = pairs.values
    return z


def test_pairs_hold_what_a_code_holds_and_come_back_padded():
    code = top_k(_normal(TOKENS, FEATURES), K)
    pairs = pairs_of(code)
    assert torch.equal(_dense_pairs(pairs), _dense(code))
    assert torch.equal(padded_code(pairs).values, code.values)
    h = _normal(TOKENS, FEATURES)
    h[-1] = -7
    uneven = _uneven(h)
    padded = padded_code(uneven)
    z = torch.zeros(TOKENS, FEATURES, dtype=h.dtype).scatter_add(1, padded.features, padded.values)
    assert torch.equal(z, _dense_pairs(uneven))


def test_joined_stretches_are_the_whole():
    h = _normal(TOKENS, FEATURES)
    h[5] = -7
    threshold = torch.full((FEATURES,), 1.3, dtype=h.dtype)
    parts = [above_threshold(part, threshold) for part in h.split([5, 1, 11])]
    for whole, put_together in zip(above_threshold(h, threshold), joined(parts), strict=True):
        assert torch.equal(torch.as_tensor(whole), torch.as_tensor(put_together))


def test_no_pairs_at_all_are_a_code_of_zeros():
    nothing = above_threshold(_normal(TOKENS, FEATURES), torch.full((FEATURES,), 99.0, dtype=torch.float64))
    assert padded_code(nothing).values.shape == (TOKENS, 1)
    assert not decode_pairs(nothing, _normal(FEATURES, D_MODEL)).any()


@settings(max_examples=30)
@given(k=st.integers(1, 7), seed=st.integers(0, 99), low=st.floats(-3, 3))
def test_batch_top_k_keeps_the_largest_positive_values_of_the_batch(k, seed, low):
    h = _normal(TOKENS, FEATURES, seed=seed) + low
    kept = _dense_pairs(batch_top_k(h, k))
    expected = torch.zeros_like(h).flatten()
    for place in sorted(range(h.numel()), key=lambda i: -float(h.flatten()[i]))[: k * TOKENS]:
        expected[place] = max(float(h.flatten()[place]), 0.0)
    assert torch.equal(kept, expected.view_as(h))


def test_above_threshold_keeps_values_above_their_own_features_threshold():
    h, threshold = _normal(TOKENS, FEATURES), _normal(FEATURES, seed=1)
    assert torch.equal(_dense_pairs(above_threshold(h, threshold)), torch.where(h > threshold, h, 0.0))


def test_decoding_pairs_equals_decoding_densely():
    W_dec, b_dec = _normal(FEATURES, D_MODEL), _normal(D_MODEL, seed=1)
    pairs = _uneven(_normal(TOKENS, FEATURES, seed=2))
    torch.testing.assert_close(decode_pairs(pairs, W_dec, b_dec), _dense_pairs(pairs) @ W_dec + b_dec)


def test_pair_products_equal_a_loop():
    rows, vectors = _normal(FEATURES, D_MODEL), _normal(TOKENS, D_MODEL, seed=1)
    pairs = _uneven(_normal(TOKENS, FEATURES, seed=2))
    products = pair_products(pairs, rows, vectors)
    for product, t, f in zip(products, tokens_of(pairs), pairs.features, strict=True):
        assert product.item() == pytest.approx((vectors[t] @ rows[f]).item())


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
    pairs = pairs_of(SparseCode(kept.detach(), features, FEATURES))
    with torch.no_grad():
        upstream = 2 * (x_hat - x) / x.numel()
        found = pair_gradients(pairs, x - b_dec, upstream, W_dec, relu)
        bias = bias_gradient(upstream.sum(dim=0), found.b_enc, W_enc.T)
    ours = (found.encoder.T, found.b_enc, found.decoder, bias)
    for mine, theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


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
