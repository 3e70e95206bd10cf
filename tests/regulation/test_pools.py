"""Genes to compare with: alike, used once, never a target."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.equations.regulation import matched_auroc
from cellprism.regulation.edges import Edges
from cellprism.regulation.pools import (
    GeneFacts,
    coexpressed,
    imbalance,
    matches,
    panel_of,
    regulon,
    regulons_on,
    relabelled,
)
from cellprism.simulate.wired_model import linked_cells

GENES, CELLS = 83, 151
NAMES = pd.Index([f"G{i}" for i in range(GENES)])


@pytest.fixture(scope="module")
def facts() -> GeneFacts:
    rng = np.random.default_rng(0)
    depth = rng.gamma(4, 0.25, CELLS)
    return GeneFacts(NAMES, sp.csc_matrix(np.log1p(rng.poisson(depth[:, None] * rng.uniform(0.1, 4, GENES)))))


@pytest.fixture(scope="module")
def edges() -> Edges:
    pairs = [("G0", f"G{i}", 1.0) for i in range(10, 22)] + [("G1", f"G{i}", -1.0) for i in range(15, 27)]
    pairs += [("G2", "G30", 1.0), ("G40", "G0", 1.0)]
    return Edges(
        pd.DataFrame(pairs, columns=["source", "target", "effect"]),
        "literature",
        {},
        frozenset({("G0", "G44"), ("G44", "G0")}),
    )


def test_matches_are_the_closest_on_the_whole_and_none_is_used_twice(facts):
    chosen, open_to = np.array([3, 7, 11]), np.ones(GENES, dtype=bool)
    open_to[[3, 7, 11, 50]] = False
    found = matches(facts.described(), chosen, open_to, 4)
    assert found.shape == (3, 4)
    assert len(set(found.ravel())) == 12
    assert not set(found.ravel()) & {3, 7, 11, 50}
    distance = np.linalg.norm(facts.described()[chosen][:, None] - facts.described()[found], axis=2).mean()
    others = np.linalg.norm(facts.described()[chosen][:, None] - facts.described()[None], axis=2).mean()
    assert distance < 0.3 * others
    open_to[:] = False
    open_to[[60, 61, 62]] = True
    assert matches(facts.described(), chosen, open_to, 4).shape == (3, 1)
    assert matches(facts.described(), chosen, np.zeros(GENES, dtype=bool), 4).shape == (3, 0)


def test_regulons_are_matched_and_regulators_of_the_factor_are_no_matches(facts, edges):
    found, missing = regulons_on(facts, edges, ["G0", "G1", "G2"], 10, 3)
    assert [one.factor for one in found] == [0, 1]
    assert missing == {"G2": "1 targets on the panel, 10 are needed"}
    for one in found:
        beside = set(one.matched.ravel())
        assert not beside & {one.factor, *one.targets}
        assert len(beside) == one.matched.size
    assert not {40, 44} & set(found[0].matched.ravel())
    assert set(found[1].sign) == {-1.0}


def test_matches_go_with_the_factor_as_targets_do(facts, edges):
    linked = facts.expression.toarray()
    linked[:, 10:22] += 2 * linked[:, [0]]
    linked[:, 50:70] += 2 * linked[:, [0]]
    world = GeneFacts(NAMES, sp.csc_matrix(linked))
    (own, _), _ = regulons_on(world, edges, ["G0", "G1"], 10, 1)
    size = np.abs(world.coexpression[0])
    assert size[own.matched].mean() == pytest.approx(size[own.targets].mean(), rel=0.15)
    pseudo = coexpressed(world, own, 1)
    assert len(set(pseudo.targets) & set(range(50, 70))) == 10  # every second of those that go with it
    assert size[pseudo.matched].mean() == pytest.approx(size[pseudo.targets].mean(), rel=0.3)
    assert not set(pseudo.matched.ravel()) & {0, *own.targets, *pseudo.targets}


def test_co_expression_alone_does_not_tell_targets_from_their_matches_whatever_its_sign():
    told, sign = [], []
    for seed in range(12):
        cells, targets = linked_cells(200, 8, 11, 300, seed)
        world = GeneFacts.of(cells)
        for factor, own in enumerate(map(np.array, targets)):
            open_to = np.ones(200, dtype=bool)
            open_to[[factor, *own]] = False
            matched = regulon(world, factor, own, np.zeros(11), open_to, 3).matched
            beside = world.coexpression[factor]
            told.append(matched_auroc(np.abs(beside)[own], np.abs(beside)[matched]).value)
            sign.append((beside[own] > 0).mean() - (beside[matched] > 0).mean())
    assert np.mean(told) == pytest.approx(0.5, abs=0.025)  # beside genes of equal correlation it would be .43
    assert np.mean(sign) == pytest.approx(0, abs=0.015)


def test_relabelled_regulons_overlap_as_the_true_ones_do_and_keep_levels(facts, edges):
    true, _ = regulons_on(facts, edges, ["G0", "G1"], 10, 2)
    rng = np.random.default_rng(1)
    shared, moved = [], []
    for _ in range(20):
        a, b = relabelled(facts, true, 2, rng)
        shared.append(len(np.intersect1d(a.targets, b.targets)))
        moved.append(len(np.setdiff1d(a.targets, true[0].targets)))
        level = [facts.level[one.targets].mean() for one in (a, true[0])]
        assert level[0] == pytest.approx(level[1], abs=0.15)
        assert a.factor not in a.targets
        assert not np.intersect1d(a.matched, a.targets).size
    assert np.mean(shared) == pytest.approx(7, abs=0.6)
    assert np.mean(moved) > 6


def test_how_far_targets_rank_above_their_matches_is_told(facts, edges):
    true, _ = regulons_on(facts, edges, ["G0", "G1"], 10, 2)
    found = imbalance(facts, true, facts.level)
    assert all(abs(share) < 0.1 for share in found.values())
    assert found["dose"] == pytest.approx(found["expression"])
    best = np.argsort(-facts.level)[:20]
    broken = [replace(one, matched=best[:, None][: len(one.targets)]) for one in true]
    assert imbalance(facts, broken, facts.level)["expression"] < -0.2


def test_measured_edges_have_signs_too(facts):
    table = pd.DataFrame([("G0", f"G{i}", -0.3) for i in range(10, 22)], columns=["source", "target", "effect"])
    (own,), _ = regulons_on(facts, Edges(table, "measured", {}), ["G0"], 10, 2)
    assert set(own.sign) == {-1.0}


def test_a_panel_has_factors_their_targets_and_genes_like_them(facts, edges):
    panel = panel_of(facts, edges, ["G0", "G1"], 40, 9, 2, NAMES)
    assert panel.genes[:2] == ("G0", "G1")
    assert {f"G{i}" for i in range(10, 27)} <= set(panel.genes)
    assert len(panel.genes) <= 40
    assert len(panel.context) <= 9
    assert not set(panel.context) & set(panel.genes)
    small = panel_of(facts, edges, ["G0", "G1", "G2"], 8, 0, 2, NAMES)
    assert (len(small.factors), len(small.genes), small.context) == (2, 8, ())
