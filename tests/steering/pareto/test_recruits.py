"""Programs that the source never fires: multiplying cannot reach them, adding and clamping do."""

import numpy as np
import pytest
import torch

from cellprism.equations.fronts import share_closed
from cellprism.steering.contrast.cell_split import split_types
from cellprism.steering.contrast.recipe_search import measure
from cellprism.steering.contrast.turning import natural_amounts, turning
from cellprism.steering.pareto.beside import mean_codes, random_target, scaled, top_by_difference
from cellprism.steering.pareto.directions import DISCRIMINANT, LOGISTIC, PRINCIPAL, linear_directions
from cellprism.steering.pareto.joint import follow, joint_problem, learners
from cellprism.steering.site_cache import read_site_cache
from steering.pareto.worlds import SEARCH
from steering.planted import COUNTS_OF_ONE, PlantedModel, planted_cells, planted_sae

SILENT, LEVEL = 7, 2.0


@pytest.fixture(scope="module")
def world():
    """Gene 7, and with it feature 7, is silent in the source and at 2 in the target; gene 3 doubles."""
    adata = planted_cells({3: 2.0}, noise=0.02)
    counts = adata.X.toarray()
    counts[:, SILENT] = np.where(adata.obs["cell_type"] == "killer", LEVEL * COUNTS_OF_ONE, 0)
    adata.X = type(adata.X)(counts)
    _, parts = split_types(adata, "helper", "killer", "cell_type", None, 400, 0)
    model = PlantedModel()
    cache = read_site_cache(model, planted_sae(model), adata, 1, 64)
    return cache, parts, measure(cache, parts.train, parts.train, 4)


@pytest.mark.parametrize(("edit", "reached"), [("multiply", False), ("add", True), ("clamp", True)])
def test_only_edits_that_recruit_reach_a_program_that_the_source_never_fires(world, edit, reached):
    cache, parts, base = world
    turn = turning(cache, edit, parts.train.source, parts.train.target)
    problem = joint_problem(cache, learners(parts, SEARCH, 0), base, turn)
    strengths = follow(problem.at(1.0), SEARCH)[-1].strengths
    amount = float(natural_amounts(turn, strengths)[SILENT])
    expected = {"multiply": 1.0, "add": LEVEL, "clamp": 1.0}[edit]
    assert amount == pytest.approx(expected, abs=0.1)
    left = problem.at(1.0).loss_and_gradient(strengths)[0]
    assert (left < 0.05) == reached


def test_plain_directions_point_from_one_type_to_the_other():
    rng = np.random.default_rng(0)
    way = np.zeros(13)
    way[4] = 1
    target = np.arange(60) >= 30
    pooled = rng.normal(0, 0.2, (60, 13)) + np.outer(target, 2 * way)
    found = linear_directions(pooled, target)
    assert set(found) == {LOGISTIC, DISCRIMINANT, PRINCIPAL}
    for vector in found.values():
        assert vector @ way / np.linalg.norm(vector) > 0.7


def test_a_random_centroid_is_as_far_away_and_elsewhere(world):
    _, _, base = world
    other = random_target(base, np.random.default_rng(1))
    gaps = [one.target - one.source for one in (base, other)]
    assert np.linalg.norm(gaps[1]) == pytest.approx(np.linalg.norm(gaps[0]))
    used = base.weight > 0
    assert np.sort(np.abs(other.gap[used])) == pytest.approx(np.sort(np.abs(base.gap[used])))
    assert share_closed(gaps[1], gaps[0], np.ones(len(gaps[0]))) < 0.5


def test_top_features_go_to_the_target_s_mean_where_they_fire(world):
    cache, parts, _ = world
    strengths = top_by_difference(cache, parts.train, 1, 6.0)
    assert (strengths != 1).nonzero()[:, 0].tolist() == [3]
    assert float(strengths[3]) == pytest.approx(2.0, abs=0.05)
    assert mean_codes(cache, parts.train.source)[SILENT] == 0


def test_a_recipe_is_scaled_from_where_it_does_nothing(world):
    from cellprism.steering.contrast.turning import Multiply
    from cellprism.steering.pareto.beside import Searched

    one = Searched(world[0], Multiply(), torch.tensor([1.0, 3.0]))
    assert scaled(one, 2.0, 4.0).strengths.tolist() == [1.0, 2.0]
    assert scaled(one, 2.0, 0.0).strengths.tolist() == [1.0, 1.0]
