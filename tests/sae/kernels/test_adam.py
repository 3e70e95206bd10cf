"""One pass against torch's optimiser and the plain equations."""

import pytest
import torch
from torch.nn.functional import normalize

from cellprism.equations.sparse import tangential
from cellprism.sae.kernels.adam import adam

FEATURES, D_MODEL, STEPS = 41, 13, 50


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("shape", [(FEATURES, D_MODEL), (FEATURES,)], ids=["matrix", "vector"])
def test_fifty_steps_are_those_of_torch(shape, many_pieces):
    generator = _generator()
    ours = torch.randn(shape, generator=generator)
    theirs = ours.clone()
    optimiser = torch.optim.Adam([theirs], lr=1e-3, betas=(0.8, 0.99), eps=1e-6, fused=True)
    mean, square = torch.zeros(shape), torch.zeros(shape)
    for step in range(1, STEPS + 1):
        theirs.grad = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) > 0.5)
        optimiser.param_groups[0]["lr"] = 1e-2 / step
        optimiser.step()
        options = {"step": step, "learning_rate": 1e-2 / step, "betas": (0.8, 0.99), "epsilon": 1e-6}
        adam(ours, theirs.grad, mean, square, **options)
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)
    state = optimiser.state[theirs]
    torch.testing.assert_close(mean, state["exp_avg"], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(square, state["exp_avg_sq"], rtol=1e-5, atol=1e-7)


def test_rows_keep_norm_1_and_only_turn(many_pieces):
    generator = _generator()
    ours = normalize(torch.randn(FEATURES, D_MODEL, generator=generator), dim=1)
    theirs = ours.clone()
    optimiser = torch.optim.Adam([theirs], lr=1e-2, fused=True)
    mean, square = torch.zeros_like(ours), torch.zeros_like(ours)
    for step in range(1, STEPS + 1):
        gradient = torch.randn(ours.shape, generator=generator)
        before = gradient.clone()
        theirs.grad = tangential(gradient, theirs)
        optimiser.step()
        theirs.copy_(normalize(theirs, dim=1))
        adam(ours, gradient, mean, square, step=step, learning_rate=1e-2, tangential=True, unit_norm=True)
        assert torch.equal(gradient, before)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=5e-6)
    torch.testing.assert_close(ours.norm(dim=1), torch.ones(FEATURES))


def test_a_row_of_zeros_stays_finite():
    zeros = torch.zeros(FEATURES, D_MODEL)
    weights = zeros.clone()
    adam(weights, zeros, zeros.clone(), zeros.clone(), step=1, learning_rate=1.0, tangential=True, unit_norm=True)
    assert torch.equal(weights, zeros)
