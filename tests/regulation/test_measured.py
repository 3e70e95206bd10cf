"""Effects beside measured ones, and what co-expression alone says."""

import numpy as np
import pytest

from cellprism.regulation.coexpression import chosen_penalty, doses_of, ridge_effects
from cellprism.regulation.measured import agreement, over_regulators

GENES = 211


def test_effects_that_go_with_the_experiment_are_found_and_others_are_called_at_the_nominal_rate():
    rng, p = np.random.default_rng(0), []
    truth, level = rng.standard_normal(GENES), rng.uniform(0, 3, GENES)
    (found,) = agreement("a screen", truth, {"model": truth + rng.standard_normal(GENES)}, level, 99, 0)
    assert found.rho > found.interval[0] > 0.4
    assert (found.p, found.genes) == (pytest.approx(0.02), GENES)
    assert found.detectable == pytest.approx(0.197, abs=0.005)
    assert found.power > 0.97
    for i in range(200):
        (row,) = agreement("", truth, {"model": rng.standard_normal(GENES)}, level, 39, i)
        p.append(row.p)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.045)


def test_what_follows_expression_alone_is_no_agreement():
    rng = np.random.default_rng(1)
    level = rng.uniform(0, 3, GENES)
    truth, effect = (level + 0.3 * rng.standard_normal(GENES) for _ in range(2))
    (found,) = agreement("", truth, {"model": effect}, level, 99, 0)
    assert found.rho > 0.8
    assert found.chance == pytest.approx(found.rho, abs=0.03)
    assert found.p > 0.05
    order = np.zeros(GENES)  # a control that does not know expression calls it
    (broken,) = agreement("", truth, {"model": effect}, rng.permutation(level) + order, 99, 0)
    assert broken.p < 0.05


def test_sources_stand_on_the_same_genes_and_few_genes_say_nothing():
    rng = np.random.default_rng(2)
    truth = rng.standard_normal(GENES)
    one, other = truth.copy(), -truth
    one[:5], truth[3:9] = np.nan, np.nan
    rows = agreement("", truth, {"model": one, "ridge": other}, np.arange(GENES, dtype=float), 9, 0)
    assert [row.genes for row in rows] == [GENES - 9] * 2
    assert [row.rho for row in rows] == pytest.approx([1, -1])
    assert agreement("", truth[:12], {"model": one[:12]}, np.ones(12), 9, 0) == []
    assert agreement("", truth, {"model": np.ones(GENES)}, np.ones(GENES), 9, 0) == []


def test_regulators_together_are_called_at_the_nominal_rate_and_show_what_none_shows_alone():
    rng, p, covered = np.random.default_rng(4), [], []

    def together(size: float, seed: int):
        rows = []
        for number, genes in enumerate((11, 31, 61, 83, 127)):
            truth = rng.standard_normal(genes)
            effect = size * truth + rng.standard_normal(genes)
            rows += agreement(f"perturbed {number}", truth, {"model": effect}, rng.uniform(0, 3, genes), 9, seed)
        return over_regulators(rows, seed)

    for seed in range(150):
        (one,) = together(0.0, seed)
        p.append(one.p)
        covered.append(one.interval[0] <= 0 <= one.interval[1])
    assert np.mean(np.array(p) <= 0.07) <= 0.16  # of 32 patterns the least likely have p = 1 / 16
    assert np.mean(covered) == pytest.approx(0.95, abs=0.06)
    (one,) = together(0.4, 0)
    assert one.interval[0] > 0
    assert one.p == pytest.approx(1 / 16)
    assert one.detectable == pytest.approx(0.167, abs=0.01)
    assert over_regulators([], 0) == []


def test_ridge_knows_who_goes_with_whom():
    rng = np.random.default_rng(3)
    x = np.maximum(rng.standard_normal((307, 11)), 0)
    x[:, 4] = 0.8 * x[:, 2] + 0.1 * rng.random(307)
    penalty = chosen_penalty(x, np.random.default_rng(0))
    assert penalty == 30
    found = ridge_effects(x, 0.9, penalty)
    assert np.nanargmax(np.abs(found[2])) == 4
    assert np.isnan(np.diag(found)).all()
    dose = doses_of(x, 0.9)
    assert dose[0] == pytest.approx(np.quantile(x[x[:, 0] > 0, 0], 0.9))
    x[:, 5] = 0
    assert doses_of(x, 0.9)[5] == 0
