"""Sparse strengths along a path of penalties: proximal gradient steps whose length adapts to the curvature
met.

Notable choices

- Each penalty starts from the solution of the larger one before it, so the path costs little more than its
  end.
- The proximal step soft-thresholds alpha - 1: strengths that should be neutral are exactly 1, not nearly.
- Steps are measured in the metric of the edit itself: a feature that fires rarely makes small edits and gets
  longer steps. Step lengths follow Barzilai and Borwein; a step that does not lower the objective enough is
  shortened.

Source: Wright, Nowak and Figueiredo 2009, Sparse reconstruction by separable approximation (SpaRSA). Departs
from Yanovsky and Chernomoretz 2026: there Adam with a sub-gradient of the penalty, one penalty, no exact
zeros.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cellprism.equations.objectives import proximal_strengths, strength_penalty

MEMORY = 3  # a step must improve on the worst of this many objectives: monotone descent would undo the long steps
SUFFICIENT = 0.01  # share of the step's own size by which it must improve
SHORTER = 4  # factor of the next try after a step that went too far
FIRST_MOVE = 0.25  # largest change of a strength in the very first step, before any curvature is known
METRIC_FLOOR = 1e-3  # of the largest entry: a feature that hardly ever fires must not get unbounded steps


@runtime_checkable
class SmoothProblem(Protocol):
    """What the solver needs to know of a problem."""

    def loss_and_gradient(self, strengths: Float[Tensor, " feature"]) -> tuple[float, Float[Tensor, " feature"]]:
        """The smooth part of the objective and its gradient."""
        ...

    def squared_edit_norm(self) -> Float[Tensor, " feature"]:
        """Squared edit per unit of strength; features at 0 are left alone."""
        ...


@dataclass(frozen=True)
class SolverState:
    """Where the solver stands: everything that the next step depends on. Losses are in units of the neutral
    loss."""

    strengths: Float[Tensor, " feature"]
    loss: float
    gradient: Float[Tensor, " feature"]
    evaluations: int
    """Losses with gradients computed so far."""
    metric: Float[Tensor, " feature"]
    """Weight of each strength in the size of a step."""
    free: Bool[Tensor, " feature"]
    """Strengths that may move."""
    scale: float
    """Loss of the neutral recipe in the problem's own units."""
    step: float | None = None
    """Length of the next step, once the curvature along one is known."""

    @property
    def largest_penalty(self) -> float:
        """Smallest penalty at which nothing moves away from here, where here is the neutral recipe."""
        return (self.gradient.abs() * self.free).max().item()

    def objective(self, penalty: float) -> float:
        """Loss and penalty together."""
        return self.loss + penalty * strength_penalty(self.strengths).item()


@dataclass(frozen=True)
class PathPoint:
    """Solution at one penalty."""

    penalty: float
    """lambda, the weight of |alpha - 1|_1 against the loss in units of the neutral loss."""
    strengths: Float[Tensor, " feature"]
    loss: float
    """In units of the neutral loss."""
    evaluations: int
    """Losses with gradients computed up to here."""


@dataclass(frozen=True)
class ProximalSolver:
    """Sparse reconstruction by separable approximation, along a path."""

    iterations: int = 6
    """Most evaluations of the gradient per penalty."""
    tolerance: float = 1e-5
    """A penalty is done when a step promises to lower the objective by less than this."""
    bound: float = float("inf")
    """Largest |alpha - 1|."""

    def start(self, problem: SmoothProblem) -> SolverState:
        """The neutral recipe, with the loss and gradient there."""
        squared_norm = problem.squared_edit_norm()
        strengths = torch.ones_like(squared_norm)
        scale, gradient = problem.loss_and_gradient(strengths)
        metric = squared_norm.clamp_min(METRIC_FLOOR * squared_norm.max().item())
        return SolverState(strengths, 1.0, gradient / scale, 1, metric, squared_norm > 0, scale)

    def path(self, problem: SmoothProblem, state: SolverState, penalties: Iterable[float]) -> list[PathPoint]:
        """Solutions at falling penalties, each starting from the one before; the first from ``state``."""
        points = []
        for penalty in penalties:
            state = self.solve(problem, state, penalty)
            points.append(PathPoint(penalty, state.strengths, state.loss, state.evaluations))
        return points

    def whole_path(self, problem: SmoothProblem, start: SolverState, smallest: float, count: int) -> list[PathPoint]:
        """The neutral recipe, then solutions at ``count`` penalties down to a share ``smallest`` of the largest; the
        neutral one alone where nothing can move."""
        largest = start.largest_penalty
        points = [PathPoint(largest, start.strengths, 1.0, start.evaluations)]
        if largest > 0:
            points += self.path(problem, start, falling_penalties(largest, largest * smallest, count))
        return points

    def solve(self, problem: SmoothProblem, state: SolverState, penalty: float) -> SolverState:
        """At most ``iterations`` evaluations of the gradient at one penalty, from a state."""
        recent = [state.objective(penalty)]
        last = state.evaluations + self.iterations
        while state.evaluations < last:
            step = _first_step(state, penalty) if state.step is None else state.step
            wanted = state.strengths - step * state.gradient / state.metric
            moved = proximal_strengths(wanted, step * penalty / state.metric, self.bound)
            change = torch.where(state.free, moved - state.strengths, 0.0)
            size = (state.metric * change.square()).sum().item()
            if size / (2 * step) <= self.tolerance:
                break
            reached = _evaluate(problem, state, moved)
            if reached.objective(penalty) > max(recent[-MEMORY:]) - SUFFICIENT * size / (2 * step):
                state = replace(state, step=step / SHORTER, evaluations=reached.evaluations)
                continue
            curvature = (change * (reached.gradient - state.gradient)).sum().item()
            state = replace(reached, step=size / curvature if curvature > 0 else 2 * step)
            recent.append(state.objective(penalty))
        return state


def falling_penalties(largest: float, smallest: float, count: int) -> list[float]:
    """``count`` penalties below ``largest`` down to ``smallest``, evenly spaced in the logarithm."""
    return np.geomspace(largest, smallest, count + 1)[1:].tolist()


def _evaluate(problem: SmoothProblem, state: SolverState, moved: Float[Tensor, " feature"]) -> SolverState:
    """The state at other strengths; features that are not free stay where they are."""
    strengths = torch.where(state.free, moved, state.strengths)
    loss, gradient = problem.loss_and_gradient(strengths)
    return replace(
        state,
        strengths=strengths,
        loss=loss / state.scale,
        gradient=gradient / state.scale,
        evaluations=state.evaluations + 1,
    )


def _first_step(state: SolverState, penalty: float) -> float:
    """Step length at which the strength that wants to move most changes by ``FIRST_MOVE``."""
    excess = ((state.gradient.abs() - penalty).clamp_min(0) / state.metric)[state.free].max().item()
    return FIRST_MOVE / excess if excess > 0 else 1.0
