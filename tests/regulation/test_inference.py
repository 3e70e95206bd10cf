"""Planted direction is found, symmetric wiring is called at the nominal rate, a broken control is seen."""

from dataclasses import replace

import numpy as np
import pytest

from cellprism.equations.recovery import auroc
from cellprism.equations.regulation import MatchedAuroc, balanced
from cellprism.regulation.inference import (
    COEXPRESSED,
    DIRECTED,
    DIRECTION,
    FORWARD,
    UNTOLD,
    answer,
    beside_relabelled,
    compared,
    factor_rows,
    known_before,
    of_measure,
    one_more_network,
    over_networks,
    overall,
    specific,
    specific_beside_relabelled,
    surplus,
)
from cellprism.regulation.pools import relabelled
from regulation.wired import MATCHES, measured

STRONG = 8.0


def surpluses(effects: np.ndarray, own) -> np.ndarray:
    return surplus(effects[own.factor], effects[:, own.factor])


def test_a_path_from_factor_to_target_alone_is_found():
    _, effects, regulons, _ = measured(STRONG, 0.0, 0)
    even = balanced(effects)
    scores = []
    for own in regulons:
        genes = np.delete(np.arange(len(even)), own.factor)
        scores.append(auroc(surpluses(even, own)[genes][:, None], np.isin(genes, own.targets)[:, None])[0, 0])
    assert np.mean(scores) >= 0.95
    found = overall(DIRECTION, "model", "dose", of_measure(DIRECTION, even, regulons), 0)
    assert found.value >= 0.95
    assert found.p <= 2 / 2 ** len(regulons) + 1e-9
    assert specific(of_measure(FORWARD, even, regulons)) == 1
    rows = factor_rows({("dose", "one"): effects}, regulons, [f"G{i}" for i in range(len(even))])
    assert set(rows["answer"]) == {DIRECTED}


def test_paths_both_ways_are_co_expression_and_no_direction():
    directions = []
    for seed in range(4):
        _, effects, regulons, _ = measured(STRONG, STRONG, seed)
        even = balanced(effects)
        assert np.mean([one.value for one in of_measure(FORWARD, even, regulons)]) > 0.9
        directions += [compared(even, own).direction.value for own in regulons]
    assert np.mean(directions) == pytest.approx(0.5, abs=0.06)


def test_a_path_back_alone_is_below_one_half():
    _, effects, regulons, _ = measured(0.0, STRONG, 1)
    assert np.mean([one.value for one in of_measure(DIRECTION, balanced(effects), regulons)]) < 0.1


def test_symmetric_wiring_is_called_at_the_nominal_rate():
    p = []
    for seed in range(24):
        _, effects, regulons, _ = measured(0.0, 0.0, seed)
        found = overall(DIRECTION, "model", "dose", of_measure(DIRECTION, balanced(effects), regulons), seed)
        p.append(found.p)
    assert np.mean(np.array(p) <= 0.05) <= 0.17
    assert np.mean(p) == pytest.approx(0.5, abs=0.2)


def test_without_balance_hubs_pass_for_a_direction():
    _, effects, regulons, _ = measured(0.0, 0.0, 2)
    strong = effects.copy()
    for own in regulons:
        strong[:, own.targets] *= 5  # targets follow everything
    found = {
        name: np.mean([one.value for one in of_measure(DIRECTION, table, regulons)])
        for name, table in (("raw", strong), ("balanced", balanced(strong)))
    }
    assert found["raw"] > 0.7
    assert found["balanced"] == pytest.approx(0.5, abs=0.12)


def test_relabelled_regulons_say_what_chance_gives():
    _, effects, regulons, facts = measured(STRONG, 0.0, 4)
    even, rng = balanced(effects), np.random.default_rng(5)
    drawn = [relabelled(facts, regulons, MATCHES, rng) for _ in range(39)]
    for measure in (FORWARD, DIRECTION):
        true, chance = of_measure(measure, even, regulons), [of_measure(measure, even, each) for each in drawn]
        found = beside_relabelled(true, chance, measure, 0)
        assert found.p == pytest.approx(0.05)
        assert found.interval[0] <= found.mean <= found.interval[1] < found.value
        if measure == FORWARD:
            share = specific_beside_relabelled(true, chance)
            assert (share.value, share.p) == (1, pytest.approx(0.05))


def test_answers_need_evidence_either_way():
    assert answer(0.8, 0.05, 0.01) == DIRECTED
    assert answer(0.2, 0.05, 0.01) == UNTOLD
    assert answer(0.51, 0.02, 0.8) == COEXPRESSED
    assert answer(0.51, 0.08, 0.8) == UNTOLD


def test_rows_have_q_over_all_of_them_and_unknown_effects_are_left_out():
    _, effects, regulons, _ = measured(STRONG, 0.0, 0)
    names = [f"G{i}" for i in range(len(effects))]
    _, other, _, _ = measured(0.0, 0.0, 0)
    rows = factor_rows({("dose", "one"): effects, ("dose", "two"): other}, regulons, names)
    assert len(rows) == 2 * len(regulons)
    assert (rows["direction_q"] >= rows["direction_p"]).all()
    assert rows.groupby("type")["direction"].mean()["one"] > rows.groupby("type")["direction"].mean()["two"]
    unknown = effects.copy()
    unknown[regulons[0].factor] = np.nan
    assert len(factor_rows({("dose", "one"): unknown}, regulons, names)) == len(regulons) - 1
    assert list(factor_rows({}, regulons, names).columns) == list(rows.columns)


def test_signs_are_compared_with_those_of_matches():
    _, effects, regulons, _ = measured(STRONG, 0.0, 0)
    even, own = balanced(effects), regulons[0]
    true = np.sign(even[own.factor, own.targets])
    assert compared(even, replace(own, sign=true)).agreement == pytest.approx(
        1 - (np.sign(even[own.factor, own.matched]) == true[:, None]).mean()
    )
    assert np.isnan(compared(even, own).agreement)


def test_what_would_show_is_known_before_anything_is_measured():
    _, effects, regulons, _ = measured(0.0, 0.0, 1)
    found = overall(FORWARD, "model", "dose", of_measure(FORWARD, balanced(effects), regulons), 0)
    assert known_before(regulons) == pytest.approx(found.detectable)


def test_untrained_networks_are_the_units_since_factors_share_the_accident_of_one():
    rng, of_factors, of_networks = np.random.default_rng(3), [], []
    for _ in range(200):
        accidents = 0.02 * rng.standard_normal(6)  # a network has it for all of its factors
        each = [[MatchedAuroc(0.5 + a + x, 0.03, 9) for x in 0.03 * rng.standard_normal(40)] for a in accidents]
        of_factors.append(overall(DIRECTION, "untrained", "dose", each[0], 0).p)
        of_networks.append(over_networks(DIRECTION, "untrained", "dose", each, 0))
    assert np.mean(np.array(of_factors) <= 0.05) > 0.4
    assert np.mean([one.p <= 0.05 for one in of_networks]) == pytest.approx(0.05, abs=0.045)
    assert np.mean([one.interval[0] <= 0.5 <= one.interval[1] for one in of_networks]) == pytest.approx(0.95, abs=0.04)
    lone = [0.5 + 0.02 * rng.standard_normal() + 0.03 / 40**0.5 * rng.standard_normal() for _ in of_networks]
    inside = [low <= x <= high for x, (low, high) in zip(lone, map(one_more_network, of_networks), strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.04)
    assert (of_networks[0].networks, of_networks[0].factors) == (6, 40)
    assert over_networks(DIRECTION, "untrained", "dose", each[:1], 0) is None


def test_one_factor_alone_has_no_spread():
    assert overall(DIRECTION, "model", "dose", [MatchedAuroc(0.6, 0.1, 5)], 0) is None
    assert overall(DIRECTION, "model", "dose", [MatchedAuroc(np.nan, np.nan, 0)] * 3, 0) is None
