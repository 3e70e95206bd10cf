"""Every measure in worlds where the answer is known."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binom

from cellprism.errors import ConfigError
from cellprism.studies.adds.halves import halves_of
from cellprism.studies.adds.labels import AGAIN, COHERENCE, PROTEINS, RAISES, RECALL, TERMS, TRAINED, TYPES
from cellprism.studies.adds.measures import COLUMNS, RULES, Mean, protein_levels, ranked_scores
from cellprism.studies.adds.work import column
from studies.adds.planted import CELLS, COLLECTION, NAMES, PROGRAMS, directions, halves, measured, world, yardstick
from studies.adds.planted import PROTEINS as PROTEIN_COLUMNS

SEEDS = 5
OF_CELLS = [name for name in COLUMNS if not name.startswith((RAISES, AGAIN))]  # the others need a model


@pytest.fixture(scope="module")
def random():
    """Directions that follow nothing, of many seeds."""
    return [measured(seed, 0.0) for seed in range(8 * SEEDS)]


def test_directions_that_follow_programs_win_in_every_column(random):
    planted = [measured(100 + seed, 0.9) for seed in range(SEEDS)]
    sources = {TRAINED: planted, "tokens": random[:SEEDS], "covariance": random[SEEDS : 2 * SEEDS]}
    for name in OF_CELLS:
        found = column(name, sources)
        assert found is not None
        assert found.told == 1, name
        swapped = column(name, {TRAINED: random[:SEEDS], "tokens": planted, "covariance": random[-SEEDS:]})
        assert swapped is not None
        assert (swapped.told, swapped.rival) == (-1, "tokens"), name


def test_where_all_are_drawn_alike_there_is_no_winner(random):
    told = []
    for start in range(0, len(random), 2 * SEEDS):
        ours, theirs = random[start : start + SEEDS], random[start + SEEDS : start + 2 * SEEDS]
        for name in OF_CELLS:
            found = column(name, {TRAINED: ours, "tokens": theirs})
            assert found is not None
            told.append(found.told)
    assert len(told) - told.count(0) <= binom.ppf(1 - 1e-3, len(told), 0.05)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_winners_among_five_sources_that_are_alike_are_as_rare_as_they_should_be(shift):
    """A rival was chosen as the best of five: at most one in forty is told to lead. What is ahead of all is found."""
    rng = np.random.default_rng(3)
    told = []
    for _ in range(200):
        values = 10 + rng.normal(size=(6, SEEDS))
        values[0] += shift
        sources = {
            name: [{RECALL: Mean(v, 7)} for v in row] for name, row in zip([TRAINED, *"abcde"], values, strict=True)
        }
        found = column(RECALL, sources)
        assert found is not None
        told.append(found.told)
    assert told.count(-1) <= 10
    assert told.count(1) <= 5 if not shift else told.count(1) > 20


def test_what_is_chosen_on_one_half_is_scored_on_the_other():
    """Among many directions that follow nothing the best on some cells is no better than chance on others; scored on
    the cells that chose it, it would be."""
    cells, activity = world(effect=0.0)
    rod = yardstick(halves(cells))
    noise = directions(np.random.default_rng(4), activity, 0.0, 300).cells
    for scores, chance in ((rod.recall(noise), 0.5), (rod.probed(noise), 0.5), (rod.followed(noise), 0.0)):
        assert scores[0] == pytest.approx(chance, abs=0.07)
    first = np.random.default_rng(5).random((300, PROGRAMS))
    assert ranked_scores(first, first)[0] > 0.95
    found = rod.measure(directions(np.random.default_rng(6), activity, 0.0, 300, genes=False))
    assert abs(found[f"{COHERENCE}, {RULES[1]}"].at(300)) < 0.006
    rod.expression = (rod.expression[0], rod.expression[0])  # the cells that made the lists
    assert rod.proteins is not None
    rod.proteins, twice = (rod.proteins[1], rod.proteins[1]), noise.toarray()
    twice[rod.halves.first] = twice[~rod.halves.first]
    assert rod.followed(sp.csc_matrix(twice))[0] > 0.15
    broken = rod.measure(directions(np.random.default_rng(6), activity, 0.0, 300, genes=False))
    assert broken[f"{COHERENCE}, {RULES[1]}"].at(300) > 0.012


def test_programs_count_once_and_as_many_lists_match_fewer():
    cells, _ = world()
    rod = yardstick(halves(cells))
    lists = {str(p): COLLECTION[f"program {p}"][:20] for p in range(3)} | {"again": COLLECTION["program 0"][4:]}
    found = rod.distinct(lists)
    assert (found.total, found.at(4), found.at(1)) == (4, pytest.approx(3), pytest.approx(1))
    none = rod.distinct({"x": tuple(NAMES[::6])})
    assert none.at(1) == 0
    near = {**COLLECTION, "copy": COLLECTION["program 1"][:20]}
    rod = type(rod)(halves(cells), tuple(NAMES), near, 3, 0.05)
    assert rod.distinct(lists).at(4) == pytest.approx(3)


def test_projections_of_counts_have_lists_by_correlation_alone():
    cells, activity = world()
    found = yardstick(halves(cells)).measure(directions(np.random.default_rng(7), activity, 0.5, genes=False))
    assert set(found) == {f"{TERMS}, {RULES[1]}", f"{COHERENCE}, {RULES[1]}", RECALL, TYPES, PROTEINS}


def test_a_feature_that_falls_where_a_protein_rises_tells_it():
    cells, _ = world()
    rod = yardstick(halves(cells))
    levels = cells.obs[PROTEIN_COLUMNS].to_numpy()
    assert rod.followed(sp.csc_matrix(levels.max() - levels))[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("column", "said"), [("protein 11", "did you mean 'protein 1"), ("cell_type", "something else than finite numbers")]
)
def test_a_protein_that_is_not_there_or_no_number_is_refused(column, said):
    cells, _ = world()
    with pytest.raises(ConfigError, match=said):
        protein_levels(halves(cells), [column])


def test_proteins_that_do_not_vary_take_no_part():
    cells, _ = world()
    cells.obs["protein 0"] = 1.0
    found = protein_levels(halves(cells), PROTEIN_COLUMNS)
    assert found is not None
    assert {levels.shape[1] for levels in found} == {PROGRAMS - 1}
    assert protein_levels(halves(cells), ["protein 0"]) is None
    assert protein_levels(halves(cells), []) is None


@pytest.mark.parametrize("labels", [None, "unlabelled", "one"])
def test_without_types_they_are_not_told(labels):
    cells, activity = world()
    cells.obs["cell_type"] = labels or "x"
    if labels is None:
        del cells.obs["cell_type"]
    rod = yardstick(halves(cells))
    assert rod.types is None
    assert TYPES not in rod.measure(directions(np.random.default_rng(8), activity, 0.5))


def test_unlabelled_cells_and_rare_types_take_no_part():
    cells, _ = world()
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    labels[:90], labels[90:93] = "unlabelled", "rare"
    cells.obs["cell_type"] = labels
    rod = yardstick(halves(cells))
    assert rod.types is not None
    assert sum(known.sum() for known, _ in rod.types) == CELLS - 90
    sides = [labels[half] for half in (rod.halves.first, ~rod.halves.first)]
    enough = [name for name in np.unique(labels) if min((side == name).sum() for side in sides) >= 5]
    told = sorted(set(enough) - {"unlabelled"})
    assert len(told) > 5
    assert "rare" not in told
    assert {member.shape[1] for _, member in rod.types} == {len(told)}
    perfect = sp.csc_matrix(np.stack([labels == name for name in told], axis=1).astype(float))
    assert rod.probed(perfect)[0] == pytest.approx(1)


def test_directions_that_say_nothing_have_no_value():
    cells, activity = world()
    silent = directions(np.random.default_rng(9), activity, 0.5, genes=False)
    silent.cells.data[:] = 1.0
    assert yardstick(halves(cells)).measure(silent) == {}
    some = {TRAINED: [{RECALL: Mean(1.0, 3)}], "tokens": [{}]}
    assert column(RECALL, some) is None
    assert column(RECALL, {**some, "covariance": [{RECALL: Mean(2.0, 2)}]}).beside.lists == 2


def test_halves_are_of_donors_where_there_are_two():
    cells, _ = world()
    tokens = np.ones(CELLS, dtype=int)
    tokens[:7] = 0
    found = halves_of(cells, tokens, 100, 0)
    assert (len(found.rows), found.first.sum(), found.by_donor) == (100, 50, False)
    assert found.rows.min() >= 7
    assert list(found.cells.obs_names) == list(cells.obs_names[found.rows])
    donors = np.repeat(["a", "b", "c", "d"], [100, 60, 50, 30])
    cells.obs["donor"] = donors
    found = halves_of(cells, tokens, CELLS, 0)
    assert found.by_donor
    assert not set(donors[found.rows][found.first]) & set(donors[found.rows][~found.first])
    assert found.first.sum() == pytest.approx(CELLS / 2, abs=20)
    cells.obs["donor"] = "one"
    assert not halves_of(cells, tokens, CELLS, 0).by_donor
