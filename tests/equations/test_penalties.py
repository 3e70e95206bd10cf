import pytest
import torch

from cellprism.equations.penalties import gated, jump_relu, l1_penalty

TOKENS, D_MODEL, FEATURES = 17, 13, 41


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_l1_penalty_equals_a_loop():
    z, decoder = _normal(TOKENS, FEATURES).relu(), _normal(FEATURES, D_MODEL, seed=1)
    total = sum(float(z[t, f]) * float(decoder[f].norm()) for t in range(TOKENS) for f in range(FEATURES))
    assert l1_penalty(z, decoder).item() == pytest.approx(total / TOKENS / D_MODEL)


def test_a_gate_decides_and_a_map_says_how_strongly():
    h, scale, shift = _normal(TOKENS, FEATURES), _normal(FEATURES, seed=1).exp(), _normal(FEATURES, seed=2)
    z = gated(h, scale, shift)
    for t in range(TOKENS):
        for f in range(FEATURES):
            expected = max(float(h[t, f] * scale[f] + shift[f]), 0) if h[t, f] > 0 else 0
            assert z[t, f].item() == pytest.approx(expected)


def test_jump_relu_keeps_what_is_above_and_passes_its_gradient():
    h, theta = _normal(TOKENS, FEATURES).requires_grad_(), _normal(FEATURES, seed=1).exp()
    z, open_ = jump_relu(h, theta, 0.3)
    assert torch.equal(open_, (h > theta).double())
    assert torch.equal(z, torch.where(h > theta, h, 0.0))
    upstream = _normal(TOKENS, FEATURES, seed=2)
    (gradient,) = torch.autograd.grad((z * upstream).sum(), h)
    assert torch.equal(gradient, upstream * (h > theta))


def test_the_thresholds_gradient_is_that_of_the_expected_loss():
    """The window's gradient estimates the derivative of the mean loss over a smooth density of pre-activations."""
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(400_000, 1, generator=generator, dtype=torch.float64)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        z, open_ = jump_relu(h, theta, 0.1)
        return ((z - 0.8) ** 2 + 0.3 * open_).mean()

    theta = torch.tensor([0.9], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(loss(theta), theta)
    # at theta the kept value costs (theta - 0.8)^2 + 0.3 and the dropped one 0.8^2
    at = theta.detach()
    density = torch.exp(-(at**2) / 2) / (2 * torch.pi) ** 0.5
    exact = -density * ((at - 0.8) ** 2 + 0.3 - 0.8**2)
    assert found.item() == pytest.approx(exact.item(), rel=0.08)
