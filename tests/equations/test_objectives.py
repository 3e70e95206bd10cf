"""Objectives and the proximal step, against loops and against their own definitions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellprism.equations.objectives import (
    expression_objective,
    gap_weights,
    latent_objective,
    proximal_strengths,
    strength_penalty,
)

CELLS, D_MODEL, GENES, FEATURES = 17, 13, 29, 41


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_latent_objective_is_the_mean_squared_distance():
    embedding, target = draws(CELLS, D_MODEL), draws(D_MODEL, seed=1)
    expected = sum(float(((row - target) ** 2).sum()) for row in embedding) / CELLS
    assert float(latent_objective(embedding, target)) == pytest.approx(expected)


def test_the_expression_objective_is_a_weighted_loop():
    y, target, weight = draws(CELLS, GENES), draws(GENES, seed=1), draws(GENES, seed=2).abs()
    expected = sum(float(weight[g] * (y[c, g] - target[g]) ** 2) for c in range(CELLS) for g in range(GENES)) / CELLS
    assert float(expression_objective(y, target, weight)) == pytest.approx(expected)


def test_cells_at_the_target_cost_nothing():
    target = draws(GENES)
    assert float(expression_objective(target.expand(CELLS, -1), target, torch.ones_like(target))) == 0
    assert float(latent_objective(target.expand(CELLS, -1), target)) == 0


def test_gap_weights_give_both_directions_the_same_number_of_genes():
    source = draws(GENES)
    target = source + torch.cat([torch.linspace(1, 3, 23), -torch.linspace(0.1, 0.6, 6)]).double()
    weight = gap_weights(source, target, 8)
    gap = target - source
    assert int(((weight > 0) & (gap > 0)).sum()) == int(((weight > 0) & (gap < 0)).sum()) == 4
    torch.testing.assert_close(weight[weight > 0], gap.abs()[weight > 0])


def test_gap_weights_take_what_there_is_when_one_direction_is_short():
    gap = torch.full((GENES,), 0.5, dtype=torch.float64)
    gap[2] = -1
    weight = gap_weights(torch.zeros_like(gap), gap, 10)
    assert int((weight > 0).sum()) == 6


@given(st.integers(0, 2**31), st.floats(0.01, 2))
def test_the_proximal_step_minimises_its_definition(seed, threshold):
    wanted = 1 + draws(FEATURES, seed=seed)
    thresholds = torch.full((FEATURES,), threshold, dtype=torch.float64)

    def cost(a: torch.Tensor) -> torch.Tensor:
        return (a - wanted).square() / 2 + thresholds * (a - 1).abs()

    best = proximal_strengths(wanted, thresholds)
    for other in (best + 1e-3, best - 1e-3, torch.ones_like(best), wanted):
        assert (cost(best) <= cost(other) + 1e-12).all()


def test_small_changes_become_exactly_neutral_and_none_passes_the_bound():
    wanted = torch.tensor([1.2, 0.8, 1.5, -9.0, 12.0], dtype=torch.float64)
    best = proximal_strengths(wanted, torch.full((5,), 0.25, dtype=torch.float64), bound=6.0)
    assert best.tolist() == [1.0, 1.0, 1.25, -5.0, 7.0]


def test_the_penalty_counts_from_one():
    assert float(strength_penalty(torch.tensor([1.0, 0.0, 3.0]))) == 3
