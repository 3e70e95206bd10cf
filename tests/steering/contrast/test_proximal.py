"""The proximal solver against scikit-learn and scipy, and on problems whose zeros are planted."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import Lasso

from cellprism.steering.contrast.proximal import ProximalSolver, falling_penalties

ROWS, FEATURES = 97, 41


@dataclass(frozen=True)
class Quadratic:
    """Mean squared error of a linear model in alpha - 1."""

    A: torch.Tensor
    y: torch.Tensor
    silent: tuple[int, ...] = ()

    def loss_and_gradient(self, strengths: torch.Tensor) -> tuple[float, torch.Tensor]:
        error = self.A @ (strengths - 1) - self.y
        return float(error.square().mean()), 2 * self.A.T @ error / len(error)

    def squared_edit_norm(self) -> torch.Tensor:
        squared_norm = self.A.square().sum(dim=0)
        squared_norm[list(self.silent)] = 0
        return squared_norm


def problem(seed: int = 0, spread: float = 1.0, noise: float = 0.3) -> tuple[Quadratic, torch.Tensor]:
    """Columns of very different size, seven of them used."""
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(ROWS, FEATURES, generator=rng, dtype=torch.float64)
    A *= torch.exp(spread * torch.randn(FEATURES, generator=rng, dtype=torch.float64))
    truth = torch.ones(FEATURES, dtype=torch.float64)
    truth[[2, 3, 5, 11, 17, 23, 37]] = torch.tensor([3.0, -2.0, 2.5, 0.0, -1.0, 2.0, 4.0], dtype=torch.float64)
    return Quadratic(A, A @ (truth - 1) + noise * torch.randn(ROWS, generator=rng, dtype=torch.float64)), truth


def test_every_point_of_a_long_path_is_the_lasso_solution():
    quadratic, _ = problem()
    solver = ProximalSolver(iterations=2000, tolerance=1e-14)
    state = solver.start(quadratic)
    points = solver.path(quadratic, state, falling_penalties(state.largest_penalty, state.largest_penalty / 50, 7))
    for point in points:
        lasso = Lasso(alpha=point.penalty * state.scale / 2, fit_intercept=False, tol=1e-12, max_iter=100_000)
        lasso.fit(quadratic.A.numpy(), quadratic.y.numpy())
        np.testing.assert_allclose(point.strengths.numpy() - 1, lasso.coef_, atol=1e-4)
        assert ((point.strengths == 1).numpy() == (np.abs(lasso.coef_) < 1e-9)).all()


def test_planted_zeros_are_exactly_neutral_and_the_rest_is_found():
    quadratic, truth = problem(noise=0.0, spread=0.3)
    solver = ProximalSolver(iterations=200, tolerance=1e-12)
    state = solver.start(quadratic)
    last = solver.path(quadratic, state, falling_penalties(state.largest_penalty, state.largest_penalty / 1000, 12))[-1]
    assert torch.equal(last.strengths == 1, truth == 1)
    torch.testing.assert_close(last.strengths, truth, atol=0.1, rtol=0)


def test_nothing_moves_at_the_largest_penalty_and_something_just_below_it():
    quadratic, _ = problem()
    solver = ProximalSolver(iterations=50)
    state = solver.start(quadratic)
    (above,) = solver.path(quadratic, state, [state.largest_penalty * 1.001])
    (below,) = solver.path(quadratic, state, [state.largest_penalty * 0.98])
    assert (above.strengths == 1).all()
    assert (below.strengths != 1).sum() >= 1


def test_the_bounded_solution_is_that_of_a_general_optimiser():
    quadratic, _ = problem(spread=0.3)
    bound = 1.5
    solver = ProximalSolver(iterations=2000, tolerance=1e-14, bound=bound)
    state = solver.start(quadratic)
    penalty = state.largest_penalty / 20
    (point,) = solver.path(quadratic, state, [penalty])

    def cost(parts: np.ndarray) -> float:
        change = torch.from_numpy(parts[:FEATURES] - parts[FEATURES:])
        return quadratic.loss_and_gradient(1 + change)[0] / state.scale + penalty * parts.sum()

    best = minimize(cost, np.zeros(2 * FEATURES), bounds=[(0, bound)] * (2 * FEATURES), options={"maxfun": 10**6})
    assert point.loss + penalty * float((point.strengths - 1).abs().sum()) <= best.fun + 1e-6
    assert float((point.strengths - 1).abs().max()) == pytest.approx(bound)


def test_features_that_never_fire_are_left_alone():
    quadratic, _ = problem()
    silent = Quadratic(quadratic.A, quadratic.y, silent=(2, 37))
    solver = ProximalSolver(iterations=50)
    state = solver.start(silent)
    last = solver.path(silent, state, falling_penalties(state.largest_penalty, state.largest_penalty / 1000, 5))[-1]
    assert last.strengths[[2, 37]].tolist() == [1.0, 1.0]
    assert not last.strengths.isnan().any()


def test_a_warm_start_spends_no_more_than_its_budget_and_ends_lower_than_a_cold_one():
    quadratic, _ = problem()
    solver = ProximalSolver(iterations=4)
    state = solver.start(quadratic)
    penalties = falling_penalties(state.largest_penalty, state.largest_penalty / 300, 12)
    points = solver.path(quadratic, state, penalties)
    assert points[-1].evaluations <= 1 + 4 * 12
    (cold,) = solver.path(quadratic, state, [penalties[-1]])

    def objective(point):
        return point.loss + point.penalty * float((point.strengths - 1).abs().sum())

    assert objective(points[-1]) < objective(cold)


def test_penalties_fall_evenly_in_the_logarithm_to_the_smallest():
    values = falling_penalties(1.0, 1e-3, 3)
    np.testing.assert_allclose(values, [0.1, 0.01, 0.001])
