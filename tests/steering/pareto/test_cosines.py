"""Cosines of gradients where they are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cellprism.equations.fronts import edit_cosine
from cellprism.steering.contrast.cell_split import split_types
from cellprism.steering.contrast.recipe_search import aim_of, measure
from cellprism.steering.contrast.turning import Multiply, Raise
from cellprism.steering.pareto.cosines import LEFT_IN, TAKEN_OUT, Slopes, gradients
from cellprism.steering.pareto.joint import joint_problem
from cellprism.steering.pareto.pooled import ALL, EACH, FINAL, Pooled, ways_of
from cellprism.steering.site_cache import read_site_cache
from steering.pareto.worlds import FELL, ROSE, conflicting, conflicting_problem
from steering.planted import PlantedModel, planted_cells, planted_sae

CELLS = np.arange(6)


def equal_aim(cache, parts):
    base = measure(cache, parts.train, parts.train, 4)
    return aim_of(cache, "expression", replace(base, weight=(base.weight > 0) * 1.0), np.random.default_rng(0))


def test_where_both_agree_the_cosine_is_near_1_and_where_they_conflict_it_is_minus_1():
    adata, model = planted_cells({3: 2.5, 11: 0.2}, noise=0.01), PlantedModel()
    _, parts = split_types(adata, "helper", "killer", "cell_type", None, 400, 0)
    cache = read_site_cache(model, planted_sae(model), adata, 1, 64)
    slopes = Slopes.of(cache, parts.train, [Pooled(FINAL, ALL)], np.array([3, 11]), {"equal": equal_aim(cache, parts)})
    found = gradients(cache, CELLS, slopes, Multiply(), torch.ones(41))
    value, low, high = found.cosine(0, 1, LEFT_IN, 39, 0)
    assert low <= value <= high
    assert value > 0.99

    cache, parts = conflicting()
    aim = conflicting_problem(cache, parts).expression.aim
    slopes = Slopes.of(cache, parts.train, [Pooled(FINAL, ALL)], np.array([ROSE, FELL]), {"gap": aim})
    found = gradients(cache, CELLS, slopes, Multiply(), torch.ones(41))
    assert found.cosine(0, 1, LEFT_IN, 9, 0)[0] == pytest.approx(-1, abs=1e-4)


def test_cells_parts_add_up_to_the_gradients_of_the_problems(real_model, real_sae, cells):
    cache = read_site_cache(real_model, real_sae, cells, 1, 5)
    parts = split_types_of(cells)
    base = measure(cache, parts.train, parts.train, 10)
    for turn in (Multiply(), Raise(torch.rand(1, 41), False)):
        problem = joint_problem(cache, CELLS, base, turn)
        for strengths in (torch.ones(41), 1 + 0.2 * torch.randn(41, generator=torch.Generator().manual_seed(1))):
            aims = {"gap": problem.expression.aim}
            slopes = Slopes.of(cache, parts.train, ways_of(cache), np.flatnonzero(base.weight), aims)
            slopes.gaps[0] = problem.latent.aim.target - problem.latent.aim.source
            found = gradients(cache, CELLS, slopes, turn, strengths)
            for reading, one in ((0, problem.latent), (-1, problem.expression)):
                whole = one.loss_and_gradient(strengths)[1].numpy()
                assert edit_cosine(found.values[LEFT_IN][reading].sum(axis=0), whole, np.ones(41)) > 0.9999


def split_types_of(cells):
    from cellprism.steering.contrast.cell_split import CellSplit, Pair

    pair = Pair(np.arange(7), np.arange(7, 17))
    assert (cells.obs["cell_type"][:7] == "helper").all()
    return CellSplit(pair, pair, pair)


def test_an_edit_that_is_the_same_at_all_genes_is_nothing_without_its_common_mode(real_model, real_sae, cells):
    cache = read_site_cache(real_model, real_sae, cells, 1, 5)
    parts = split_types_of(cells)
    aim = aim_of(cache, "expression", measure(cache, parts.train, parts.train, 10), np.random.default_rng(0))
    ways = [Pooled(f"block {cache.layer}", ALL), Pooled(f"block {cache.layer}", EACH)]
    slopes = Slopes.of(cache, parts.train, ways, np.array([0]), {"gap": aim})
    shared = gradients(cache, CELLS, slopes, Raise(torch.ones(1, 41), False), torch.ones(41))
    assert not shared.squared_norm[TAKEN_OUT].any()
    assert np.isnan(shared.cosine(0, 2, TAKEN_OUT, 9, 0)[0])
    own = gradients(cache, CELLS, slopes, Multiply(), torch.ones(41))
    # at the site the mean over all genes is what the common mode alone moves
    size = np.abs(own.values[TAKEN_OUT][0]).max() / np.abs(own.values[LEFT_IN][0]).max()
    assert size < 1e-5
    assert np.abs(own.values[TAKEN_OUT][1]).max() > 1e-3 * np.abs(own.values[LEFT_IN][1]).max()
