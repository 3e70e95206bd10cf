"""Conditions over donors: what is planted is found, donors dealt at random are called as often as said, cells are no
replicates, and too few donors are refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import binom, ttest_ind
from workflow.tiny import SOURCE

from cellprism.cli.app import call
from cellprism.errors import ConfigError
from cellprism.studies.compare.donors import donors_of
from cellprism.studies.compare.settings import CompareSettings
from cellprism.studies.compare.work import compared
from studies.compare.planted import DONORS, RAISED, SETTINGS, activation, cells, features, result

WORLDS, FEATURES, CELLS = 60, 19, 17
FEW = replace(SETTINGS, permutations=49)


def test_programs_raised_in_a_condition_are_found_over_donors_and_others_are_not():
    found = result(cells(1.5))
    assert found.summary.donors == (5, 5)
    assert not found.summary.paired
    assert (found.summary.exact, found.summary.permutations) == (True, 125)
    rises = found.features.query("q < 0.05 and difference > 0")  # others fall: counts are shares of a cell's whole
    assert 2 <= len(rises) <= RAISED
    assert set(rises["feature"]) <= set(range(RAISED))
    assert (rises["low"] > 0).all()
    assert found.summary.p == pytest.approx(2 / 126)
    assert found.summary.share > found.summary.null_interval[1]
    assert set(rises["term"]) <= {f"program {i}" for i in range(RAISED)}


def null_world(seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Cells of ten donors who differ by themselves, five drawn at random with a condition that means nothing."""
    rng = np.random.default_rng([seed, 1])
    donor = np.repeat(np.arange(DONORS), CELLS)
    case = rng.permutation(np.arange(DONORS) % 2 == 0)
    z = 2 + rng.standard_normal((DONORS, FEATURES))[donor] + rng.standard_normal((len(donor), FEATURES))
    names = np.where(case[donor], "case", "control")
    return pd.DataFrame({"donor": [f"d{i}" for i in donor], "condition": names}), z.clip(0)


@pytest.fixture(scope="module")
def called() -> dict[str, np.ndarray]:
    """In null worlds: whether each feature has p < .05 over donors and over cells, whether any has q < .05, whether the
    share of these is called among permuted donors."""
    over_donors, over_cells, any_feature, together = [], [], [], []
    for seed in range(WORLDS):
        obs, z = null_world(seed)
        found = compared(donors_of(obs, sp.csc_matrix(z), FEW), FEW, features(FEATURES), seed)
        over_donors.append((found.features["p"] < 0.05).mean())
        any_feature.append(found.summary.differ > 0)
        together.append(found.summary.p <= 0.05)
        case = (obs["condition"] == "case").to_numpy()
        over_cells.append((ttest_ind(z[case], z[~case], equal_var=False).pvalue < 0.05).mean())
    return {name: np.array(value) for name, value in
            {"donors": over_donors, "cells": over_cells, "any": any_feature, "together": together}.items()}  # fmt: skip


def within_chance(count: float, n: int, rate: float) -> bool:
    low, high = binom.interval(0.999, n, rate)
    return low <= count <= high


def test_donors_dealt_at_random_are_called_at_the_nominal_rate(called):
    n = WORLDS * FEATURES
    assert within_chance(round(called["donors"].mean() * n), n, 0.05)
    assert called["any"].sum() <= binom.ppf(0.999, WORLDS, 0.05)
    assert called["together"].sum() <= binom.ppf(0.999, WORLDS, 0.05)


def test_cells_as_replicates_would_fail_that_test(called):
    n = WORLDS * FEATURES
    assert not within_chance(round(called["cells"].mean() * n), n, 0.05)
    assert called["cells"].mean() > 0.5


def test_conditions_within_donors_are_compared_donor_by_donor():
    adata = cells(0.0, 1)
    obs, rng = adata.obs.copy(), np.random.default_rng(0)
    case = rng.random(len(obs)) < 0.5
    obs["condition"] = np.where(case, "case", "control")
    z = activation(adata).toarray()
    z[:, 4] += 0.5 * z[:, 4].std() * case
    donors = donors_of(obs, sp.csc_matrix(z), SETTINGS)
    assert donors.paired
    found = compared(donors, SETTINGS, features(), 0)
    assert found.summary.donors == (DONORS, DONORS)
    assert (found.summary.exact, found.summary.permutations) == (False, 199)
    assert found.features["feature"][0] == 4
    for name in donors.names[:3]:
        own = (obs["donor"] == name).to_numpy()
        expected = z[own & case].mean(axis=0) - z[own & ~case].mean(axis=0)
        np.testing.assert_allclose(donors.means[donors.names.index(name)], expected)


def test_cell_types_are_conditions_too_and_one_type_can_be_looked_into():
    adata = cells(3.0)
    settings = CompareSettings(condition="cell_type", case="type1", cells=5)
    donors = donors_of(adata.obs, activation(adata), settings)
    assert donors.paired
    assert donors.control == "all others"
    inside = CompareSettings(condition="condition", cell_type="type1", cells=5)
    donors = donors_of(adata.obs, activation(adata), inside)
    kept = (adata.obs["cell_type"] == "type1").to_numpy() & (adata.obs["donor"] == donors.names[0]).to_numpy()
    np.testing.assert_allclose(donors.means[0], activation(adata)[kept].toarray().mean(axis=0))


def few(n_case: int, n_control: int) -> pd.DataFrame:
    donor = np.repeat(np.arange(n_case + n_control), 11)
    condition = np.where(donor < n_case, "case", "control")
    return pd.DataFrame({"donor": [f"d{i}" for i in donor], "condition": condition, "cell_type": "B"})


@pytest.mark.parametrize("n", [(2, 5), (5, 2), (1, 1)])
def test_fewer_than_three_donors_are_refused_with_the_reason(n):
    obs = few(*n)
    words = f"{n[0]} with 'case' and {n[1]} with 'control' among the donors .*at least 3 donors of each.*no replicates"
    with pytest.raises(ConfigError, match=words):
        donors_of(obs, sp.csc_matrix(np.ones((len(obs), 3))), SETTINGS)


def test_donors_with_few_cells_are_left_out_and_named():
    obs = few(4, 4)
    obs = obs[~((obs["donor"] == "d0") & (np.arange(len(obs)) > 3))]
    z = sp.csc_matrix(np.random.default_rng(0).random((len(obs), 3)))
    donors = donors_of(obs, z, SETTINGS)
    assert (donors.case, donors.control) == ("case", "control")
    assert donors_of(obs, z, CompareSettings(condition="condition")).case == "case"  # a control is known by its name
    assert donors.left_out == ["d0 (4 cells of case, 0 of control; at least 10 are needed)"]
    assert len(donors.names) == 7
    with pytest.raises(ConfigError, match=r"0 with 'case' and 0 with 'control'.*Left out: d0 \(4 cells of case"):
        donors_of(obs, z, CompareSettings(condition="condition", cells=20))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (CompareSettings(), "compare.condition: no obs column was named; the cells have donor, condition, cell_type"),
        (CompareSettings(condition="arm"), "compare.condition: there is no obs column 'arm'"),
        (CompareSettings(condition="condition", donor="who"), "compare.donor: there is no obs column 'who'"),
        (CompareSettings(condition="cell_type"), r"has 1 conditions \(B\): say which is compared with --case"),
        (CompareSettings(condition="condition", case="ill"), "compare.case is 'ill': expected one of case, control"),
        (CompareSettings(condition="condition", control="x"), "compare.control is 'x': expected one of case, control"),
        (CompareSettings(condition="condition", cell_type="T"), "compare.cell_type is 'T': expected one of B"),
        (CompareSettings(condition="condition", case="case", control="case"), "are both 'case'"),
    ],
)
def test_what_cannot_be_compared_is_one_message(settings, words):
    obs = few(3, 3)
    with pytest.raises(ConfigError, match=words):
        donors_of(obs, sp.csc_matrix(np.ones((len(obs), 3))), settings)


def test_features_that_no_donor_has_are_left_out_and_nothing_at_all_is_refused():
    obs = few(3, 3)
    z = np.random.default_rng(0).random((len(obs), 3))
    z[:, 1] = 0
    found = compared(donors_of(obs, sp.csc_matrix(z), SETTINGS), SETTINGS, features(3), 0)
    assert set(found.features["feature"]) == {0, 2}
    assert (found.summary.exact, found.summary.permutations) == (True, 9)
    with pytest.raises(ConfigError, match="no feature differs between any two donors"):
        compared(donors_of(obs, sp.csc_matrix(np.zeros((len(obs), 3))), SETTINGS), SETTINGS, features(3), 0)


def test_a_refusal_ends_with_exit_code_2_and_leaves_the_run_as_it_was(run, capsys):
    before = {path: path.read_bytes() for path in (run / "compare").iterdir()}
    assert call(["do", "compare", str(run), "--donor", "arm", "--condition", "cell_type", "--case", SOURCE]) == 2
    assert "takes at least 3 donors of each" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (run / "compare").iterdir()} == before
