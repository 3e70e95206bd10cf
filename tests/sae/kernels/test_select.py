"""Selection against sorting, and against the plain equations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cellprism.equations.sparse import Pairs, batch_top_k, preactivations, tokens_of, top_k
from cellprism.sae.kernels.select import select_batch_top_k, select_top_k
from cellprism.types import SparseCode

TOKENS, D_MODEL, FEATURES, K = 17, 13, 41, 5
ROWS = st.tuples(st.integers(1, 7), st.integers(1, 150), st.integers(1, 150), st.integers(0, 999))


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _problem(tokens: int = TOKENS, features: int = FEATURES) -> tuple[Tensor, Tensor, Tensor]:
    return _normal(tokens, D_MODEL), _normal(features, D_MODEL, seed=1), _normal(features, seed=2)


def _with_preactivations(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Arguments whose pre-activations are exactly ``h``."""
    return h, torch.eye(h.shape[1]), torch.zeros(h.shape[1])


def _few_values(tokens: int, features: int, seed: int) -> Tensor:
    """Values with many ties, that a bfloat16 holds exactly."""
    return torch.randint(-9, 10, (tokens, features), generator=torch.Generator().manual_seed(seed)).float()


def _first_largest(h: Tensor, k: int) -> Tensor:
    """The k largest of each row, of equals the first; in ascending order of their places."""
    return h.sort(dim=1, descending=True, stable=True).indices[:, :k].sort(dim=1).values


def _dense(code: SparseCode | Pairs) -> Tensor:
    if isinstance(code, SparseCode):
        return torch.zeros(len(code.values), code.n_features).scatter(1, code.features, code.values)
    dense = torch.zeros(len(code.offsets), code.n_features)
    dense[tokens_of(code), code.features] = code.values
    return dense


@settings(max_examples=60)
@given(shape=ROWS, precision=st.sampled_from(["float32", "bfloat16"]), relu=st.booleans())
def test_the_first_of_the_largest_are_kept_in_ascending_order(shape, precision, relu):
    tokens, features, k, seed = shape
    k = min(k, features)
    h = _few_values(tokens, features, seed)
    code = select_top_k(*_with_preactivations(h), k, relu, precision)
    expected = _first_largest(h, k)
    assert torch.equal(code.features, expected)
    assert torch.equal(code.values, h.gather(1, expected).clamp(min=0 if relu else -torch.inf))


@settings(max_examples=60)
@given(shape=ROWS, scale=st.sampled_from([1e-25, 1e-3, 1.0, 1e25]))
def test_any_values_are_ordered_as_numbers(shape, scale):
    tokens, features, k, seed = shape
    k = min(k, features)
    h = _normal(tokens, features, seed=seed) * scale * 10 ** (3 * _normal(tokens, 1, seed=seed + 1))
    code = select_top_k(*_with_preactivations(h), k, relu=False)
    assert torch.equal(code.features, _first_largest(h, k))


@pytest.mark.parametrize("relu", [True, False], ids=["with relu", "without relu"])
@pytest.mark.parametrize("features", [FEATURES, 1031])
def test_float32_keeps_what_the_plain_equations_keep(relu, features, many_pieces):
    x, encoder, b_enc = _problem(features=features)
    found = select_top_k(x, encoder, b_enc - 3, K, relu)
    expected = top_k(preactivations(x, encoder.T, b_enc - 3), K, relu)
    torch.testing.assert_close(_dense(found), _dense(expected))
    assert found.n_features == features


def test_bfloat16_only_decides_which_features_are_kept():
    x, encoder, b_enc = _problem(tokens=211, features=1031)
    exact, quick = select_top_k(x, encoder, b_enc, K), select_top_k(x, encoder, b_enc, K, precision="bfloat16")
    h = preactivations(x, encoder.T, b_enc)
    torch.testing.assert_close(quick.values, h.gather(1, quick.features).relu())
    same = (_dense(exact) > 0) & (_dense(quick) > 0)
    assert same.sum() > 0.97 * (_dense(exact) > 0).sum()
    lost = exact.values.min(dim=1).values - quick.values.min(dim=1).values  # by exchanging near equals
    assert (lost <= 0.01 * h.abs().amax(dim=1)).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_all_features_can_be_kept(precision):
    x, encoder, b_enc = _problem()
    code = select_top_k(x, encoder, b_enc, FEATURES, False, precision)
    assert torch.equal(code.features, torch.arange(FEATURES).expand(TOKENS, -1))
    torch.testing.assert_close(code.values, preactivations(x, encoder.T, b_enc))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_relu_silences_tokens_below_zero(precision):
    x, encoder, b_enc = _problem()
    code = select_top_k(x, encoder, b_enc - 1000, K, True, precision)
    assert (code.values == 0).all()
    signed = select_top_k(x, encoder, b_enc - 1000, K, False, precision)
    assert (signed.values < -900).all()


def test_rows_of_very_different_size_are_all_searched_right():
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    h = _normal(64, 200) * torch.logspace(-20, 20, 64)[order, None]
    assert torch.equal(select_top_k(*_with_preactivations(h), K, False).features, _first_largest(h, K))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("sign", [1, -1])
def test_nan_is_not_hidden(precision, sign):
    x, encoder, b_enc = _problem()
    x[3, 2] = sign * torch.tensor(torch.nan)
    assert select_top_k(x, encoder, b_enc, K, True, precision).values[3].isnan().all()


def test_no_tokens_have_no_features():
    x, encoder, b_enc = _problem()
    assert select_top_k(x[:0], encoder, b_enc, K).values.shape == (0, K)


def test_an_encoder_may_be_a_transposed_view():
    x, encoder, b_enc = _problem()
    for precision in ("float32", "bfloat16"):
        expected = select_top_k(x, encoder, b_enc, K, True, precision)
        found = select_top_k(x, encoder.T.contiguous().T, b_enc, K, True, precision)
        assert torch.equal(found.features, expected.features)
        torch.testing.assert_close(found.values, expected.values)


@settings(max_examples=60)
@given(shape=ROWS, precision=st.sampled_from(["float32", "bfloat16"]), guess=st.sampled_from([None, 0.0, 3.0, 1e9]))
def test_a_batch_keeps_its_first_largest_positive_values(shape, precision, guess):
    tokens, features, k, seed = shape
    k = min(k, features)
    h = _few_values(tokens, features, seed)
    found, smallest = select_batch_top_k(*_with_preactivations(h), k, precision, guess)
    largest = h.flatten().sort(descending=True, stable=True).indices[: tokens * k].sort().values
    largest = largest[h.flatten()[largest] > 0]
    assert torch.equal(tokens_of(found) * features + found.features, largest)
    assert torch.equal(found.values, h.flatten()[largest])
    assert smallest == (h.flatten()[largest].min() if len(largest) else 0)


@pytest.mark.parametrize("guess", [None, 0.0, 1.3, 100.0], ids=["none", "too low", "about right", "too high"])
def test_a_guess_does_not_change_what_a_batch_keeps(guess, many_pieces):
    x, encoder, b_enc = _problem()
    found, smallest = select_batch_top_k(x, encoder, b_enc, K, guess=guess)
    expected = batch_top_k(preactivations(x, encoder.T, b_enc), K)
    torch.testing.assert_close(_dense(found), _dense(expected))
    assert smallest == found.values.min()
    assert len(found.values) == TOKENS * K
    assert found.offsets[0] == 0


def test_a_batch_with_few_positive_values_keeps_all_of_them():
    x, encoder, b_enc = _problem()
    h = preactivations(x, encoder.T, b_enc - 9)
    found, smallest = select_batch_top_k(x, encoder, b_enc - 9, K, guess=1.0)
    assert 0 < len(found.values) == (h > 0).sum() < TOKENS * K
    torch.testing.assert_close(_dense(found), h.relu())
    assert smallest == found.values.min()


def test_a_batch_without_positive_values_keeps_nothing():
    x, encoder, b_enc = _problem()
    found, smallest = select_batch_top_k(x, encoder, b_enc - 1000, K)
    assert len(found.values) == len(found.features) == 0
    assert torch.equal(found.offsets, torch.zeros(TOKENS, dtype=torch.int64))
    assert smallest == 0


def test_bfloat16_batches_have_values_in_float32():
    x, encoder, b_enc = _problem(tokens=211, features=1031)
    found, _ = select_batch_top_k(x, encoder, b_enc, K, "bfloat16")
    h = preactivations(x, encoder.T, b_enc)
    torch.testing.assert_close(found.values, h[tokens_of(found), found.features])
    assert ((_dense(found) > 0) & (_dense(batch_top_k(h, K)) > 0)).sum() > 0.97 * 211 * K
