"""Modules, neighbours, duplicates and maps of features, and whether groups mean the same, where the answer is known."""

import sys

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import adjusted_rand_score

from cellprism.enrich.membership import term_table
from cellprism.errors import InputError
from cellprism.studies.map.activity import modules_of, near_by_activity, standardised
from cellprism.studies.map.components import Meaning, alike
from cellprism.studies.map.graphs import igraph, plane
from cellprism.studies.map.neighbours import duplicates, nearest, neighbour_table
from cellprism.studies.map.tables import Alike

CELLS, FEATURES, BLOCKS = 151, 60, 4
BLOCK = np.arange(FEATURES) % BLOCKS


def activity(planted: float, seed: int = 0) -> np.ndarray:
    """Features in blocks that are active in the same cells, silent in many."""
    rng = np.random.default_rng([seed, 1])
    state = rng.normal(size=(CELLS, BLOCKS))
    return np.maximum(planted * state[:, BLOCK] + rng.normal(size=(CELLS, FEATURES)), 0)


def test_planted_blocks_are_found_as_modules_and_found_again():
    number, modules = modules_of(activity(1.5), 1.0, 0)
    assert adjusted_rand_score(number, BLOCK) > 0.95
    assert modules.halves > 0.9
    assert modules.modularity > modules.shuffled + 0.2
    assert modules.count == BLOCKS
    assert abs(modules.shuffled_halves) < 0.1


def test_modules_of_noise_are_no_firmer_than_chance():
    _, modules = modules_of(activity(0.0), 1.0, 0)
    assert modules.modularity == pytest.approx(modules.shuffled, abs=0.05)
    assert abs(modules.halves) < 0.1


def test_one_seed_gives_one_result():
    first, second = (modules_of(activity(0.3), 1.0, 5)[0] for _ in range(2))
    assert (first == second).all()
    points = np.random.default_rng(2).normal(size=(40, 5))
    assert (plane(points, 3) == plane(points, 3)).all()
    assert not plane(points[:3], 3).any()


@pytest.mark.parametrize("alike", [2, 30])
def test_points_that_lie_in_one_place_have_a_map_too(alike):
    points = np.random.default_rng(0).normal(size=(60, 5))
    points[:alike] = points[0]
    assert np.isfinite(plane(points, 0)).all()
    assert np.isfinite(plane(np.zeros((60, 5)), 0)).all()


def test_near_points_stay_near_on_a_map():
    rng = np.random.default_rng(4)
    points = 8 * rng.normal(size=(3, 9))[np.arange(60) % 3] + rng.normal(size=(60, 9))
    place = plane(points, 0)
    other = place[:, None] - place[None]
    np.fill_diagonal(apart := np.square(other).sum(axis=2), np.inf)
    assert (apart.argmin(axis=1) % 3 == np.arange(60) % 3).all()


def test_neighbours_are_the_most_similar_others():
    z = standardised(activity(0.7))
    near, r = near_by_activity(z, 10), np.corrcoef(activity(0.7).T)
    np.fill_diagonal(r, -np.inf)
    for f in range(FEATURES):
        assert near.value[f] == pytest.approx(np.sort(r[f])[::-1][:10], abs=1e-5)
    table = neighbour_table(np.arange(FEATURES) + 100, "activity", near)
    assert table[table["feature"] == 103]["neighbour"].iloc[0] == 100 + near.index[3, 0]
    assert (table["value"] > 0).all()


def test_a_duplicate_is_told_by_its_direction_and_fires_less_often():
    rows = np.eye(6)
    rows[4] = rows[1] + 0.01
    rows[5] = -rows[2]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = nearest(lambda some: unit[some] @ unit.T, 6, 3)
    assert duplicates(near, np.array([0.1, 0.1, 0.1, 0.1, 0.2, 0.2])).tolist() == [-1, 4, -1, -1, -1, -1]
    assert duplicates(near, np.full(6, 0.1)).tolist() == [-1, -1, -1, -1, 1, -1]


def meaning(seed: int, planted: bool) -> Meaning:
    """Lists of a block share a pool of genes; terms are the pools, or drawn without regard to them."""
    rng = np.random.default_rng([seed, 3])
    genes = [f"G{i}" for i in range(240)]
    pools = rng.permutation(240)[: 24 * BLOCKS].reshape(BLOCKS, 24)
    lists = {str(i): tuple(genes[g] for g in rng.permutation(pools[i % BLOCKS])[:10]) for i in range(24)}
    own = [rng.permutation(pools[t % BLOCKS]) if planted else rng.permutation(240) for t in range(20)]
    return Meaning(lists, term_table({f"t{t}": [genes[g] for g in some[:12]] for t, some in enumerate(own)}, genes, 3))


def test_groups_mean_the_same_where_terms_follow_them():
    found = alike(meaning(0, True), "modules", np.arange(24) % BLOCKS, 99, 39, 0)
    assert isinstance(found, Alike)
    assert found.difference > found.renamed_interval[1] > found.dealt_interval[1], "sharing genes is alike by itself"
    assert (found.dealt_p, found.renamed_p) == (0.02, 0.05)


def test_where_terms_say_nothing_shared_genes_explain_it():
    said = [alike(meaning(seed, False), "modules", np.arange(24) % BLOCKS, 39, 39, seed) for seed in range(12)]
    above = sum(row.renamed_p <= 0.05 for row in said if isinstance(row, Alike))
    assert above <= binom.ppf(0.999, 12, 0.05)
    dealt = sum(row.dealt_p <= 0.05 for row in said if isinstance(row, Alike))
    assert dealt > 3, "dealing out features alone would call shared genes shared meaning"


def test_groups_that_are_one_or_none_cannot_be_asked():
    for group in (np.zeros(24, dtype=int), np.full(24, -1)):
        assert "of one group" in str(alike(meaning(0, True), "components", group, 3, 3, 0))


def test_the_extra_is_named_where_igraph_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(InputError, match=r"needs igraph, which is not installed; pip install 'cellprism\[graph\]'"):
        igraph()
