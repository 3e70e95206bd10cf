"""Losses of steered cells and their gradients, on a transformer in double precision."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from cellprism.steering.contrast.objective import ContrastProblem, ExpressionTarget, LatentTarget
from cellprism.steering.site_cache import read_site_cache

ROWS = np.array([0, 2, 3, 5, 11, 13, 16])


@pytest.fixture(scope="module", params=["visible", "hidden"])
def cache(real_model, real_sae, cells, request):
    """All cells in double precision, read either way."""
    cache = read_site_cache(real_model, real_sae, cells, 1, 5, read=request.param)
    kept = replace(cache.kept, x=cache.kept.x.double(), code_values=cache.kept.code_values.double())
    sae = replace(real_sae, W_dec=real_sae.W_dec.double())
    return replace(cache, model=deepcopy(real_model).double(), sae=sae, kept=kept)


def dense_codes(cache):
    z = torch.zeros(*cache.kept.x.shape[:2], 41, dtype=torch.float64)
    return z.scatter_(2, cache.kept.code_features, cache.kept.code_values)


def targets(cache):
    rng = torch.Generator().manual_seed(0)
    weight = torch.rand(11, generator=rng, dtype=torch.float64)
    return {
        "latent": LatentTarget(torch.randn(16, generator=rng, dtype=torch.float64)),
        "expression": ExpressionTarget(
            torch.randn(11, generator=rng, dtype=torch.float64),
            weight,
            torch.tensor([0, 2, 3, 5, 7, 11, 13, 17, 19, 23, 28]),
        ),
    }


@pytest.mark.parametrize("objective", ["latent", "expression"])
def test_the_gradient_is_that_of_dense_automatic_differentiation(cache, objective):
    target = targets(cache)[objective]
    strengths = 1 + torch.randn(41, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss, gradient = ContrastProblem(cache, ROWS, target).loss_and_gradient(strengths)
    alpha = strengths.clone().requires_grad_()
    z = dense_codes(cache)
    x = cache.kept.x + ((alpha - 1) * z) @ cache.W_dec
    (whole,) = (cells.batch for cells in replace(cache, batch_size=68).take(ROWS))
    expected = target(cache.said(whole, cache.model.resume(whole, 1, x[cache.rows(ROWS)])))
    assert loss == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, alpha)[0], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("objective", ["latent", "expression"])
def test_loss_and_gradient_do_not_depend_on_the_batch_size(cache, objective):
    target = targets(cache)[objective]
    strengths = torch.full((41,), 1.5, dtype=torch.float64)
    parts = [ContrastProblem(replace(cache, batch_size=n), ROWS, target) for n in (2, 28)]
    (loss, gradient), (other_loss, other_gradient) = (part.loss_and_gradient(strengths) for part in parts)
    assert loss == pytest.approx(other_loss, rel=1e-9)
    assert parts[0].loss(strengths) == pytest.approx(loss, rel=1e-9)
    torch.testing.assert_close(gradient, other_gradient, rtol=1e-7, atol=1e-10)


def test_the_squared_edit_norm_is_0_exactly_for_features_that_never_fire(cache):
    problem = ContrastProblem(cache, ROWS, targets(cache)["latent"])
    z = dense_codes(cache)
    expected = z[cache.rows(ROWS)].square().sum(dim=(0, 1)) * cache.W_dec.square().sum(dim=1) / len(ROWS)
    torch.testing.assert_close(problem.squared_edit_norm(), expected)


def test_reading_the_pool_predicts_every_cell_as_the_whole_model_does(real_model, real_sae, cells):
    cache = read_site_cache(real_model, real_sae, cells, 1, 5, read="visible")
    batch = next(real_model.batches(cells, 17))
    output = real_model.resume(batch, 1, real_model.residual(batch, 1))
    assert cache.output_kind == "expression"
    np.testing.assert_allclose(cache.baseline.values, output.expression, atol=1e-5)
    np.testing.assert_allclose(cache.baseline.embedding, output.embedding, atol=1e-5)
    neutral = cache.predict(np.array([16, 3]), torch.ones(41))
    np.testing.assert_allclose(neutral.values, output.expression[[16, 3]], atol=1e-5)
    assert cache.genes.equals(cells.var_names)
