import numpy as np
import pytest
from scipy.stats import kstest

from cellprism.errors import InputError
from cellprism.simulate.answers import answers_of
from cellprism.simulate.cells import planted_cells
from cellprism.simulate.truth import program_truth, recipe_truth, signs_right

PROGRAMS, GENES = 7, 211
NAMES = [f"program{i}" for i in range(PROGRAMS)]


@pytest.fixture
def members():
    return np.random.default_rng(1).random((PROGRAMS, GENES)) < 0.1


@pytest.fixture
def profiles(members):
    """The programs in reverse order, every second one turned around, and four features that know nothing."""
    rng = np.random.default_rng(2)
    known = members[::-1] * rng.uniform(1, 1.2, (PROGRAMS, GENES)) * np.where(np.arange(PROGRAMS) % 2, -1, 1)[:, None]
    return np.concatenate([known, 0.01 * rng.normal(size=(4, GENES))])


def test_planted_profiles_are_matched_exactly_with_their_signs(profiles, members):
    truth = program_truth(profiles, members, NAMES, seed=0)
    table = truth.programs
    assert table["feature"].tolist() == list(range(PROGRAMS))[::-1]
    assert table["sign"].tolist() == [1 if f % 2 == 0 else -1 for f in table["feature"]]
    assert (table["auroc"] == 1).all()
    assert table["f1"].min() > 0.9
    assert (table["p"] == 1 / 40).all()
    known = truth.features.set_index("feature")
    assert known.loc[:6, "program"].tolist() == NAMES[::-1]
    assert (known.loc[7:, ["program", "sign"]] == ["", 0]).all(axis=None)
    assert truth.summary()["p"] == 1 / 40
    assert truth.summary()["chance_auroc"] < 0.75


def test_profiles_that_know_nothing_are_at_the_chance_of_permuted_names():
    p = []
    for seed in range(25):
        rng = np.random.default_rng([seed, 5])
        members = rng.random((3, 101)) < 0.15
        p.append(program_truth(rng.normal(size=(11, 101)), members, NAMES[:3], replicates=39, seed=seed).summary()["p"])
    assert kstest(p, "uniform").pvalue > 1e-3


def test_profiles_that_follow_expression_alone_are_at_chance_among_genes_expressed_alike():
    p: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(12):
        rng = np.random.default_rng([seed, 7])
        mean = rng.normal(size=101)
        members = rng.random((3, 101)) < np.where(mean > 0.5, 0.5, 0.05)
        profiles = mean + 0.3 * rng.normal(size=(5, 101))
        bins = np.digitize(mean, np.quantile(mean, np.linspace(0, 1, 9)[1:-1]))
        for matched in p:
            alike = bins if matched else None
            p[matched].append(program_truth(profiles, members, NAMES[:3], 19, seed, alike).summary()["p"])
    assert np.mean(np.array(p[False]) <= 0.05) > 0.8
    assert np.mean(np.array(p[True]) <= 0.05) < 0.4


def test_with_fewer_features_than_programs_some_are_left_unmatched(profiles, members):
    table = program_truth(profiles[:3], members, NAMES).programs.set_index("program")
    assert (table["feature"] >= 0).sum() == 3
    assert (table.loc[table["feature"] < 0, "auroc"] == 0.5).all()


def test_signs_are_those_of_what_features_do_over_cells(profiles, members):
    truth = program_truth(profiles, members, NAMES)
    activity = np.random.default_rng(0).gamma(1.0, size=(103, PROGRAMS))
    turned = np.where(np.arange(PROGRAMS) % 2, -1, 1)
    codes = np.concatenate([activity[:, ::-1] * turned, np.zeros((103, 4))], axis=1)
    assert (signs_right(truth, codes, activity) == 1).all()
    assert (signs_right(truth, -codes, activity) == 0).all()
    assert np.isnan(signs_right(truth, 0 * codes, activity)).all()


def test_the_right_recipe_has_full_precision_and_recall_and_the_wrong_signs_none(profiles, members):
    truth = program_truth(profiles, members, NAMES)
    differing = {"program0": 1, "program1": -1, "program4": 1}  # known by features 6 (+), 5 (-) and 2 (+)
    right = {6: 2.0, 5: 3.0, 2: 1.5}
    scores = recipe_truth(right, truth, differing, range(11))
    assert scores["precision"] == scores["recall"] == 1
    assert scores["p_precision"] < 0.05 > scores["p_recall"]
    assert scores["chance_precision"] < 0.35
    wrong = recipe_truth({f: 2 - s for f, s in right.items()}, truth, differing, range(11))
    assert wrong["precision"] == wrong["recall"] == 0
    assert wrong["p_precision"] == wrong["p_recall"] == 1
    half = recipe_truth({6: 2.0, 0: 2.0, 9: 0.5, 3: 1.0}, truth, differing, range(11))
    assert (half["precision"], half["recall"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_recipes_dealt_at_random_are_at_chance(profiles, members):
    truth = program_truth(profiles, members, NAMES)
    differing, p = {"program0": 1, "program1": -1, "program4": 1}, []
    for seed in range(120):
        rng = np.random.default_rng([seed, 3])
        dealt = dict(zip(rng.choice(11, 5, replace=False).tolist(), [2.0, 0.0, 3.0, 1.5, 0.5], strict=True))
        p.append(recipe_truth(dealt, truth, differing, range(11), replicates=99, seed=seed)["p_recall"])
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * (0.05 * 0.95 / 120) ** 0.5


def test_an_empty_recipe_finds_nothing(profiles, members):
    truth = program_truth(profiles, members, NAMES)
    scores = recipe_truth({}, truth, {"program0": 1}, range(11))
    assert scores["precision"] == scores["recall"] == 0
    assert scores["p_recall"] == 1


def test_planted_weights_of_planted_cells_are_their_own_truth():
    answers = answers_of(planted_cells("small", seed=3))
    weights = answers.weights.to_numpy().T
    truth = program_truth(weights.astype(float), weights > 0, answers.programs)
    assert truth.programs["auroc"].min() == 1
    assert truth.programs["f1"].min() > 0.8
    differing = answers.differing("type0", "type2")
    recipe = {int(name.removeprefix("program")): 1.0 + direction for name, direction in differing.items()}
    assert recipe_truth(recipe, truth, differing, range(7))["recall"] == 1


def test_what_does_not_fit_together_is_refused(profiles, members):
    with pytest.raises(InputError, match="profiles of 211 genes, programs of 210 genes"):
        program_truth(profiles, members[:, 1:], NAMES)
    truth = program_truth(profiles, members, NAMES)
    with pytest.raises(InputError, match="a recipe of 2 features, 1 that fire and 1 differing programs"):
        recipe_truth({1: 2.0, 2: 2.0}, truth, {"program0": 1}, [1])
