"""Gradients against autograd in float64, and against the plain equations."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from cellprism.equations.sparse import Gradients, Pairs, decode_pairs, pair_gradients, pairs_of, tokens_of
from cellprism.sae.kernels.backward import errors, gradients, through_encoder
from cellprism.sae.kernels.select import select_batch_top_k, select_top_k

TOKENS, D_MODEL, D_TARGET, FEATURES, K = 17, 13, 19, 41, 5


@dataclass
class Case:
    relu: bool = True
    batch: bool = False
    group_ends: tuple[int, ...] = ()
    d_target: int = D_MODEL
    shift: float = 0.0
    k: int = K


CASES = {
    "relu": Case(),
    "relu that cuts": Case(shift=-6),
    "signed": Case(relu=False, shift=-6),
    "all features": Case(relu=False, k=FEATURES),
    "batch": Case(batch=True),
    "groups": Case(batch=True, group_ends=(7, 19, FEATURES)),
    "groups, k a token, signed": Case(relu=False, group_ends=(1, 23, FEATURES), shift=-6),
    "transcoder": Case(d_target=D_TARGET),
    "transcoder with groups": Case(group_ends=(11, FEATURES), d_target=D_TARGET),
    "nothing fires": Case(shift=-1000),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _problem(case: Case) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x, target, encoder, b_enc, decoder."""
    shapes = (TOKENS, D_MODEL), (TOKENS, case.d_target), (FEATURES, D_MODEL), (FEATURES,), (FEATURES, case.d_target)
    x, target, encoder, b_enc, decoder = (_normal(*shape, seed=i) for i, shape in enumerate(shapes))
    return x, target, encoder, b_enc + case.shift, decoder


def _select(case: Case, x: Tensor, encoder: Tensor, b_enc: Tensor) -> Pairs:
    if case.batch:
        return select_batch_top_k(x, encoder, b_enc, case.k)[0]
    return pairs_of(select_top_k(x, encoder, b_enc, case.k, case.relu))


def _autograd(case: Case, pairs: Pairs, *given: Tensor) -> tuple[list[float], list[Tensor]]:
    """Squared errors of each prefix, and gradients of half their sum by encoder, b_enc, decoder and two biases."""
    x, target, encoder, b_enc, decoder = (a.double().requires_grad_() for a in given)
    before, after = torch.zeros_like(x[0], requires_grad=True), torch.zeros_like(target[0], requires_grad=True)
    h = (x - before) @ encoder.T + b_enc
    kept = torch.zeros_like(h, dtype=torch.bool)
    kept[tokens_of(pairs), pairs.features] = True
    z = torch.where(kept, h.relu() if case.relu else h, 0.0)
    ends = case.group_ends or (FEATURES,)
    squared = torch.stack([(z[:, :end] @ decoder[:end] + after - target).square().sum() for end in ends])
    wanted = (encoder, b_enc, decoder, before, after)
    return squared.tolist(), list(torch.autograd.grad(squared.sum() / 2, wanted))


@each_case
def test_gradients_equal_autograd(case, many_pieces):
    x, target, encoder, b_enc, decoder = given = _problem(case)
    pairs = _select(case, x, encoder, b_enc)
    squared, expected = _autograd(case, pairs, *given)
    e = errors(pairs, decoder, target, 1.0, case.relu, case.group_ends)
    learned = gradients(pairs, e, x, case.group_ends)
    before = through_encoder(learned.gradients.b_enc, encoder)
    found = [*learned.gradients, before, learned.upstream]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-4, atol=2e-4 * max(1.0, float(theirs.abs().max())))
    assert e.squared.tolist() == pytest.approx(squared, rel=1e-5)


@each_case
def test_features_that_fire_are_counted(case):
    x, target, encoder, b_enc, decoder = _problem(case)
    pairs = _select(case, x, encoder, b_enc)
    learned = gradients(pairs, errors(pairs, decoder, target, 1.0, case.relu, case.group_ends), x, case.group_ends)
    assert torch.equal(learned.fired, torch.bincount(pairs.features[pairs.values != 0], minlength=FEATURES))


@pytest.mark.parametrize("relu", [True, False], ids=["with relu", "without relu"])
def test_one_group_equals_the_plain_equations(relu):
    case = Case(relu=relu, d_target=D_TARGET, shift=-6)
    x, target, encoder, b_enc, decoder = _problem(case)
    pairs, scale = _select(case, x, encoder, b_enc), 2 / target.numel()
    e = errors(pairs, decoder, target, scale, relu)
    error = decode_pairs(pairs, decoder) - target
    torch.testing.assert_close(e.upstream, scale * error[None])
    assert float(e.squared[0]) == pytest.approx(float(error.square().sum()), rel=1e-5)
    found = gradients(pairs, e, x).gradients
    for ours, theirs in zip(found, pair_gradients(pairs, x, scale * error, decoder, relu), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_value_of_exactly_zero_still_learns_without_a_relu():
    x, decoder = torch.zeros(TOKENS, D_MODEL), _normal(FEATURES, D_MODEL, seed=1)
    pairs = pairs_of(select_top_k(x, decoder, torch.zeros(FEATURES), K, relu=False))
    target = torch.ones(TOKENS, D_MODEL)
    learned = gradients(pairs, errors(pairs, decoder, target, 1.0, relu=False), x)
    torch.testing.assert_close(learned.gradients.b_enc[:K], -TOKENS * decoder[:K].sum(dim=1))
    assert learned.fired.sum() == 0


def test_gradients_go_where_they_are_told_and_overwrite_what_was_there():
    case = Case()
    x, target, encoder, b_enc, decoder = _problem(case)
    pairs = _select(case, x, encoder, b_enc)
    e = errors(pairs, decoder, target, 1.0)
    fresh = gradients(pairs, e, x).gradients
    out = Gradients(*(torch.full_like(g, torch.nan) for g in fresh))
    assert gradients(pairs, e, x, out=out).gradients is out
    assert all(torch.equal(a, b) for a, b in zip(out, fresh, strict=True))


def test_groups_must_cover_all_features():
    case = Case()
    x, target, encoder, b_enc, decoder = _problem(case)
    with pytest.raises(AssertionError, match="groups end at"):
        errors(_select(case, x, encoder, b_enc), decoder, target, 1.0, group_ends=(7, 19))
