"""Cells in which features are high, their genes and terms, and whether they lie together."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binom

from cellprism.cells.expression import log1p_cp10k
from cellprism.errors import ConfigError
from cellprism.features.collect import feature_statistics
from cellprism.studies.lens.genes import read_features
from cellprism.studies.lens.high_cells import high_cells
from cellprism.studies.lens.locality import locality, neighbour_graph
from cellprism.studies.lens.settings import LensSettings
from studies.lens.planted import CELLS, COLLECTION, NAMES, PROGRAMS, SETTINGS, rare_cells, world


def test_high_is_above_the_quantile_and_low_is_silence_or_below_the_other():
    rng = np.random.default_rng(0)
    z = rng.random((101, 7))
    z[:40, 1] = 0  # silent in many cells: those are low
    z[:, 2] = 0  # never fires
    z[:98, 3] = 0  # high in three cells
    found = high_cells(sp.csc_matrix(z), LensSettings(high=0.9, low=0.1, fewest=5))
    assert found.features.tolist() == [0, 1, 4, 5, 6]
    for place, feature in enumerate(found.features):
        top, bottom = np.quantile(z[:, feature], [0.9, 0.1])
        np.testing.assert_array_equal(found.high[:, place], z[:, feature] > top)
        np.testing.assert_array_equal(found.low[:, place], z[:, feature] <= bottom)
    assert found.low[:, 1].sum() == 40
    rest = high_cells(sp.csc_matrix(z), LensSettings(high=0.9, against="rest"))
    assert rest.low is None
    assert (rest.low_counts == 101 - rest.high.sum(axis=0)).all()


@pytest.mark.parametrize(
    "change", [{"test": "welch"}, {"against": "rest"}, {"terms": "binomial"}, {"terms": "rank"}, {}]
)
def test_a_feature_of_a_program_has_its_genes_and_its_term(change):
    _, adata, _, (own, *_) = world()
    settings = LensSettings(**{**vars(SETTINGS), **change})
    if change:
        model, _, (sae, *_), _ = world()
        z = feature_statistics(model, sae, adata, 0).cells.X
        own = read_features(log1p_cp10k(adata), NAMES, high_cells(z, settings), COLLECTION, settings)
    right = [set(own.lists[f, "up"][:5]) == set(COLLECTION[f"program {f}"]) for f in range(PROGRAMS)]
    assert sum(right) >= PROGRAMS - 1
    best = own.best()
    assert sum(best.get(f"program {f}") == f for f in range(PROGRAMS)) >= PROGRAMS - 1
    assert own.share > 0.9
    ranks = own.genes[own.genes["feature"] == 2]
    assert ranks[ranks["direction"] == "up"]["rank"].tolist() == list(range((ranks["direction"] == "up").sum()))


def test_without_a_feature_to_read_there_are_empty_tables():
    _, adata, _, _ = world()
    none = high_cells(sp.csc_matrix((CELLS, 3)), SETTINGS)
    found = read_features(sp.csr_matrix(adata.X), NAMES, none, COLLECTION, SETTINGS)
    assert (found.share, found.lists, found.best()) == (0, {}, {})


def test_rare_cells_are_told_from_scattered_ones_and_from_whole_types():
    adata, state = rare_cells()
    kinds, rng = adata.obs["cell_type"].to_numpy(dtype=str), np.random.default_rng(1)
    graph = neighbour_graph(adata, 5, 7, 0)
    assert (np.asarray(graph.sum(axis=1)) == 7).all()
    local = state @ rng.standard_normal((4, 9))
    scattered = rng.standard_normal((CELLS, 9)) + 3 * (kinds == "b")[:, None]  # more in one type, anywhere in it
    score = np.concatenate([local, scattered], axis=1)
    high = score > np.quantile(score, 0.95, axis=0)
    found = locality(high, graph, kinds, 199, 0)
    assert found.local(0.05)[:9].mean() > 0.6
    assert found.local(0.05)[9:].sum() <= 1
    assert found.beyond > np.quantile(found.drawn, 0.975)
    blind = locality(high, graph, np.full(CELLS, ""), 199, 0)  # without types, one that marks a type looks local
    assert blind.share[9:].mean() > blind.expected[9:].mean()
    assert blind.expected[9:].mean() < found.expected[9:].mean()


def test_high_cells_at_random_within_types_are_called_as_often_as_said():
    adata, _ = rare_cells()
    kinds = adata.obs["cell_type"].to_numpy(dtype=str)
    graph, called = neighbour_graph(adata, 5, 7, 0), 0
    for seed in range(40):
        rng = np.random.default_rng([seed, 3])
        shared = rng.standard_normal((CELLS, 2)) @ rng.standard_normal((2, 11))  # features go together
        score = shared + rng.standard_normal((CELLS, 11)) + 2 * (kinds == "b")[:, None]
        found = locality(score > np.quantile(score, 0.95, axis=0), graph, kinds, 39, seed)
        called += found.beyond > found.drawn.max()
    assert called <= binom.ppf(0.999, 40, 1 / 40)


def test_settings_out_of_range_name_the_key():
    for change, words in (
        ({"high": 0.4}, "high is 0.4"), ({"against": "all"}, "against is 'all'"), ({"terms": "chi"}, "terms is 'chi'"),
        ({"test": "t"}, "test is 't'"), ({"term_sizes": (9, 3)}, "term_sizes is"), ({"draws": 0}, "draws is 0"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            LensSettings(**change)
