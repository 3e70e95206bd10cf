"""Bounds that hold, and a selection that does not depend on how quick the product was."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprism.equations.sparse import batch_top_k, preactivations, tokens_of
from cellprism.sae.kernels import k_largest, product
from cellprism.sae.kernels import screen as screens
from cellprism.sae.kernels.product import Way
from cellprism.sae.kernels.screen import Screen
from cellprism.sae.kernels.select import select_batch_top_k, select_top_k

TOKENS, D_MODEL, FEATURES, K = 17, 13, 41, 5


def _problem(seed: int, spread: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, encoder and b_enc, the norms of rows spread over 10^spread."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (TOKENS, D_MODEL), (FEATURES, D_MODEL), (FEATURES, 1), (TOKENS, 1), (FEATURES,)
    x, encoder, of_features, of_tokens, b_enc = (torch.randn(shape, generator=generator) for shape in shapes)
    return x * 10 ** (spread * of_tokens), encoder * 10 ** (spread * of_features), b_enc * 10**spread


def _near_equals(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A problem whose features differ by less than a bfloat16 can tell."""
    x, encoder, b_enc = _problem(seed)
    return x + 1, encoder[:1] + 1e-4 * encoder, 1e-4 * b_enc


def _ways() -> list[Way]:
    """All that this processor can do, fast or slow."""
    dtypes = torch.float32, torch.bfloat16
    return [Way(d, onednn) for d in dtypes for onednn in (True, False) if not onednn or product.has_onednn(d)]


@pytest.fixture(params=_ways(), ids=str)
def way(request, monkeypatch):
    monkeypatch.setattr(screens, "way_for", lambda *_: request.param)
    return request.param


@settings(max_examples=80)
@given(seed=st.integers(0, 9999), spread=st.sampled_from([0.0, 0.5, 3.0]), way=st.sampled_from(_ways()))
def test_pre_activations_are_within_their_bounds(seed, spread, way):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screens, "way_for", lambda *_: way)
        x, encoder, b_enc = _problem(seed, spread)
        bits, rounding, tokens, bounds, worst = Screen(encoder, b_enc, "float32", TOKENS)(x)
    near = torch.from_numpy(bits).view(way.dtype).double()
    exact = x.double() @ encoder.double().T + b_enc
    for t in range(TOKENS):
        most = k_largest.bound_of(0, tokens[t], worst)
        for f in range(FEATURES):
            bound = k_largest.bound_of(f, tokens[t], bounds)
            assert bound <= most
            assert abs(near[t, f] - exact[t, f]) <= rounding * abs(near[t, f]) + bound


@pytest.mark.parametrize("relu", [True, False], ids=["with relu", "without relu"])
@pytest.mark.parametrize("problem", [_near_equals(0), _problem(1, 1.5)], ids=["near equals", "uneven norms"])
def test_float32_keeps_the_right_features_however_it_screens(problem, relu, way):
    x, encoder, b_enc = problem
    found = select_top_k(*problem, K, relu)
    exact = preactivations(x.double(), encoder.T.double(), b_enc.double())
    expected = exact.topk(K, dim=1)
    assert torch.equal(found.features, expected.indices.sort(dim=1).values)
    kept = exact.gather(1, found.features)
    torch.testing.assert_close(found.values, (kept.relu() if relu else kept).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("problem", [_near_equals(0), _problem(1, 1.5)], ids=["near equals", "uneven norms"])
def test_float32_keeps_the_right_part_of_a_batch_however_it_screens(problem, way):
    x, encoder, b_enc = problem
    found, _ = select_batch_top_k(*problem, K)
    expected = batch_top_k(preactivations(x.double(), encoder.T.double(), b_enc.double()), K)
    assert torch.equal(found.features, expected.features)
    assert torch.equal(tokens_of(found), tokens_of(expected))


def test_bfloat16_cannot_tell_near_equals_apart():
    problem = _near_equals(0)
    exact, quick = select_top_k(*problem, K), select_top_k(*problem, K, precision="bfloat16")
    assert not torch.equal(exact.features, quick.features)
    torch.testing.assert_close(exact.values.max(dim=1).values, quick.values.max(dim=1).values, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("position", [(0, 3), (0, 0)], ids=["one weight", "first weight"])
def test_a_feature_that_is_nan_is_kept_and_seen(position, way):
    x, encoder, b_enc = _problem(0)
    encoder[position] = torch.nan
    assert select_top_k(x, encoder, b_enc, K).values.isnan().any(dim=1).all()
    assert select_batch_top_k(x, encoder, b_enc, K)[0].values.isnan().any()


def test_no_way_of_multiplying_changes_a_bit(monkeypatch):
    """Candidates differ from way to way, and a dot product has the same bits at any place among them."""
    problems = [(select, _near_equals(seed)) for seed in range(20) for select in (select_top_k, select_batch_top_k)]
    found = []
    for way in _ways():
        monkeypatch.setattr(screens, "way_for", lambda *_, way=way: way)
        codes = [select(*problem, K) for select, problem in problems]
        found.append([code[0] if isinstance(code, tuple) else code for code in codes])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert torch.equal(a.features, b.features)
            assert torch.equal(a.values, b.values)
