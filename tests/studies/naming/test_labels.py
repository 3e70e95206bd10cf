"""Labels in worlds where it is known what features follow."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import binom

from cellprism.enrich.matched_lists import gene_levels, matched_groups
from cellprism.enrich.membership import term_table
from cellprism.studies.naming.candidates import active_cells, cells_of
from cellprism.studies.naming.work import labelled, others
from studies.adds.planted import CELLS, COLLECTION, NAMES, PROGRAMS, world

TERMS = term_table(COLLECTION, NAMES, 3)
DRAWS = 59


def found(activation, effect=0.4, types=True, judged=None, counts=None, terms=TERMS):
    """Labels of features with this activation [cell feature], chosen on every other cell."""
    cells, _ = world(effect=effect)
    if counts is not None:
        cells.X = sp.csr_matrix(counts, dtype=np.float32)
    cells.obs["cell_type"] = [f"type {i // 2 % 7}" for i in range(CELLS)]
    names = [f"type {i}" for i in range(7)] if types else []
    first = np.arange(CELLS) % 2 == 0
    place = np.arange(len(NAMES))
    one, other = (
        cells_of(cells[some].copy(), place, activation[some], names)
        for some in (first, ~first if judged is None else judged)
    )
    group = matched_groups(gene_levels(cells[first].copy(), NAMES))
    return labelled(one, other, terms, names, group, DRAWS, 0)


def test_features_get_the_names_of_what_they_follow():
    rng = np.random.default_rng(1)
    _, activity = world()
    kind = np.array([i // 2 % 7 for i in range(CELLS)])
    programs = activity + 0.3 * rng.normal(size=activity.shape)
    of_type = (kind[:, None] == np.arange(7)) + 0.1 * rng.normal(size=(CELLS, 7))
    table = found(np.concatenate([programs, -programs, of_type], axis=1))
    assert table["shown"].mean() > 0.9
    assert (table["label"][:PROGRAMS] == [f"program {p}" for p in range(PROGRAMS)]).mean() >= 0.8
    assert set(table["sign"][:PROGRAMS]) == {"high"}
    inverse = table[PROGRAMS : 2 * PROGRAMS]
    assert ((inverse["label"] == [f"program {p}" for p in range(PROGRAMS)]) & (inverse["sign"] == "low")).mean() >= 0.8
    assert list(table["label"][2 * PROGRAMS :]) == [f"type {i}" for i in range(7)]
    assert set(table["kind"][2 * PROGRAMS :]) == {"type"}
    for program, genes in zip(COLLECTION.values(), table["own_genes"], strict=False):
        assert len(set(genes.split(", ")) & set(program)) >= 8


@pytest.fixture(scope="module")
def noise():
    """Features that follow nothing."""
    return np.random.default_rng(2).gamma(1.0, size=(CELLS, 400))


def test_labels_of_noise_are_as_good_as_chance_and_not_shown(noise):
    table = found(noise, effect=0.0)
    assert not table["shown"].any()
    assert binom.sf((table["p"] <= 0.05).sum() - 1, len(table), 0.05) > 1e-3
    assert table["auroc"].mean() == pytest.approx(0.5, abs=0.02)


def test_labels_judged_on_the_cells_that_chose_them_would_be_shown(noise):
    broken = found(noise, effect=0.0, judged=np.arange(CELLS) % 2 == 0)
    assert (broken["p"] <= 0.05).mean() > 0.5
    assert broken["auroc"].mean() > 0.6


def test_a_feature_that_follows_depth_is_told_as_well_by_any_genes_as_frequent():
    cells, _ = world(effect=0.0)
    rng = np.random.default_rng(3)
    counts = cells.X.toarray()
    depth = rng.gamma(3.0, size=CELLS)
    thinned = rng.binomial(counts.astype(int), np.minimum(depth / depth.max(), 1)[:, None])
    detected = (thinned > 0).sum(axis=1)
    deep = np.stack([detected + rng.normal(size=CELLS) for _ in range(20)], axis=1)
    table = found(deep, effect=0.0, types=False, counts=thinned)
    assert table["auroc"].median() > 0.6
    assert table["shown"].sum() <= 2


def test_without_types_labels_are_programs_and_genes(noise):
    table = found(noise[:, :20], types=False)
    assert set(table["kind"]) <= {"term", "genes"}
    assert set(table["type_label"]) == {""}
    assert table["type_auroc"].isna().all()


def test_features_that_are_active_in_too_few_cells_or_the_same_everywhere_have_no_label(noise):
    some = noise[:, :3].copy()
    some[:, 1] = 1.0
    some[8:, 2] = 0.0
    assert list(found(some)["feature"]) == [0]
    assert found(np.ones((CELLS, 2))).empty


def test_active_cells_are_the_strongest_tenth_of_those_that_fire():
    values = np.zeros((100, 2))
    values[:30, 0], values[:4, 1] = np.arange(1, 31), 1.0
    active = active_cells(values)
    assert np.flatnonzero(active[:, 0]).tolist() == list(range(21, 30))
    assert np.flatnonzero(active[:, 1]).tolist() == [0, 1, 2, 3]


def test_a_label_that_many_features_share_counts_once_among_others():
    judged = np.array([[0.9, 0.9, 0.2], [0.9, 0.9, 0.2], [0.4, 0.4, 0.8]])
    assert others(judged, np.array(["a", "a", "b"])).tolist() == [0.4, 0.4, 0.2]
    assert np.isnan(others(judged, np.array(["a", "a", "a"]))).all()


def test_genes_whose_names_hold_a_comma_are_labels_like_any_other():
    _, activity = world()
    odd = {name: f"{name}, isoform 2" for name in NAMES}
    terms = TERMS._replace(gene={odd[name]: place for name, place in TERMS.gene.items()})
    plain, renamed = found(activity, types=False), found(activity, types=False, terms=terms)
    assert (renamed["genes_label"] == [
        ", ".join(odd[gene] for gene in label.split(", ")) for label in plain["genes_label"]
    ]).all()  # fmt: skip
    assert np.allclose(renamed["chance"], plain["chance"])
