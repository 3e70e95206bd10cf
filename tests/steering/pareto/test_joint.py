"""Paths of both objectives in worlds where the front is known."""

import numpy as np
import pytest
import torch

from cellprism.equations.fronts import front
from cellprism.steering.contrast.cell_split import split_types
from cellprism.steering.contrast.recipe_search import measure
from cellprism.steering.contrast.turning import Multiply
from cellprism.steering.pareto.joint import follow, joint_problem, learners
from cellprism.steering.site_cache import read_site_cache
from steering.pareto.worlds import (
    FELL,
    ROSE,
    SEARCH,
    conflicting,
    conflicting_problem,
    gains_at,
    known_strength,
    wanted,
)
from steering.planted import PlantedModel, planted_cells, planted_sae

RECIPE = {3: 2.5, 11: 0.2}


@pytest.fixture(scope="module")
def agreeing():
    adata, model = planted_cells(RECIPE, noise=0.02), PlantedModel()
    _, parts = split_types(adata, "helper", "killer", "cell_type", None, 400, 0)
    cache = read_site_cache(model, planted_sae(model), adata, 1, 64)
    return cache, parts, measure(cache, parts.train, parts.train, 4)


def test_where_both_objectives_agree_every_weight_ends_at_the_same_recipe(agreeing):
    cache, parts, base = agreeing
    problem = joint_problem(cache, learners(parts, SEARCH, 0), base, Multiply())
    for weight in (0.0, 0.5, 1.0):
        strengths = follow(problem.at(weight), SEARCH)[-1].strengths
        for feature, strength in RECIPE.items():
            assert strengths[feature] == pytest.approx(strength, abs=0.06)


def test_where_they_conflict_the_front_is_the_one_that_is_known():
    cache, parts = conflicting()
    problem, (a, b) = conflicting_problem(cache, parts), wanted(cache, parts)
    found = []
    for weight in np.linspace(0, 1, 5):
        strengths = follow(problem.at(float(weight)), SEARCH)[-1].strengths
        assert strengths[ROSE] == pytest.approx(known_strength(weight, a, b), abs=0.01)
        assert ((strengths != 1).nonzero()[:, 0] == ROSE).all()
        found.append(gains_at(float(strengths[ROSE]), a, b))
    assert front(np.array(found)).all()
    assert found[0][0] > 0.99 > 0 > found[0][1]
    assert found[-1][1] > 0.99 > 0 > found[-1][0]


def test_the_joint_gradient_is_the_weighted_sum_of_both(agreeing):
    cache, parts, base = agreeing
    problem = joint_problem(cache, learners(parts, SEARCH, 0), base, Multiply())
    strengths = 1 + 0.3 * torch.randn(cache.n_features, generator=torch.Generator().manual_seed(0))
    (lone, gone), (ltwo, gtwo) = (problem.at(w).loss_and_gradient(strengths) for w in (0.0, 1.0))
    loss, gradient = problem.at(0.3).loss_and_gradient(strengths)
    assert loss == pytest.approx(0.7 * lone + 0.3 * ltwo, rel=1e-5)
    torch.testing.assert_close(gradient, 0.7 * gone + 0.3 * gtwo, rtol=1e-4, atol=1e-6)
    still = torch.ones(cache.n_features)
    assert problem.at(0.3).loss_and_gradient(still)[0] == pytest.approx(1)


def test_genes_that_must_move_do_and_those_that_must_not_stay():
    cache, parts = conflicting()
    base = measure(cache, parts.train, parts.train, 2)
    rows = learners(parts, SEARCH, 0)
    strengths = []
    for demands in ({}, {"must": [ROSE]}, {"must_not": [ROSE]}):
        problem = joint_problem(cache, rows, base, Multiply(), **demands)
        strengths.append(float(follow(problem.at(1.0), SEARCH)[-1].strengths[ROSE]))
    assert strengths[1] > strengths[0]
    assert 0.55 < strengths[2] < 1, "between where gene 11 arrives and where gene 3 stays"
    weight = joint_problem(cache, rows, base, Multiply(), must_not=[FELL]).expression.aim.weight
    assert (weight > 0).sum() == 2


def test_only_learnable_features_are_turned(agreeing):
    cache, parts, base = agreeing
    allowed = torch.zeros(cache.n_features, dtype=torch.bool)
    allowed[[5, 11]] = True
    problem = joint_problem(cache, learners(parts, SEARCH, 0), base, Multiply(), learnable=allowed)
    strengths = follow(problem.at(0.5), SEARCH)[-1].strengths
    assert strengths[11] == pytest.approx(0.2, abs=0.06)
    assert (strengths[~allowed] == 1).all()
