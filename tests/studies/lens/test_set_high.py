"""A feature set high in all cells, beside features of random dictionaries, where every effect is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom

from cellprism.simulate.linear_model import LAYER
from cellprism.steering.dose_cells import DoseCells, read_dose_cells
from cellprism.studies.lens.set_high import dictionary_cells, edit_norm, high_level, set_high, set_to
from cellprism.studies.lens.work import candidates, moved_record
from studies.lens.planted import CELLS, COLLECTION, DICTIONARIES, NAMES, SETTINGS, world


@pytest.fixture(scope="module")
def reads() -> list[DoseCells]:
    """The cells as every dictionary reads them."""
    model, adata, drawn, _ = world()
    first = read_dose_cells(model, drawn[0], adata, LAYER, CELLS, [])
    return [first, *dictionary_cells(first, drawn[1:])]


def test_a_feature_is_set_to_its_quantile_in_every_cell(reads):
    cache = reads[0].cache
    (cells,) = cache.take(np.arange(CELLS))
    z = (cells.code.values * (cells.code.features == 3)).sum(dim=1)
    level = high_level(cache, 3, 0.99)
    assert level.numpy() == pytest.approx([np.quantile(z.numpy(), 0.99)], rel=1e-6)
    ((_, x),) = set_to(cache, 3, level)
    torch.testing.assert_close(x[:, 0] - cells.x[:, 0], (level - z)[:, None] * cache.W_dec[3])
    assert edit_norm(cache, 3, level) == pytest.approx(float((x - cells.x).norm()), rel=1e-5)


def called(reads: list[DoseCells], number: int, others: list[int], n: int) -> list[tuple[float, float]]:
    """(value, p) of the first features of a dictionary that match a term, beside those of others."""
    own, *there = (world()[3][i] for i in (number, *others))
    found = []
    for term, feature in list(own.best().items())[:n]:
        genes = own.lists[feature, "up"]
        by = [reads[i] for i in others]
        result = set_high(reads[number], feature, genes, SETTINGS.high, by, candidates(there, term), SETTINGS.controls)
        one = moved_record(feature, term, result, pd.Index(NAMES), COLLECTION, 0.05)
        assert one.controls >= 20  # 39 beside six dictionaries, fewer beside five
        found.append((one.value, one.p, one))
    return found


def test_features_of_programs_raise_their_genes_beyond_features_of_random_dictionaries(reads):
    found = called(reads, 0, list(range(1, DICTIONARIES + 1)), 5)
    assert sum(p <= 0.05 and one.value > one.null_interval[1] for _, p, one in found) >= 4
    assert all(one.own_moved >= 4 for _, _, one in found)
    assert all(one.term in one.terms for _, _, one in found)


def test_features_of_a_random_dictionary_are_called_as_often_as_said(reads):
    every = [p for i in (1, 2) for _, p, _ in called(reads, i, [j for j in range(1, DICTIONARIES + 1) if j != i], 5)]
    assert sum(p <= 0.05 for p in every) <= binom.ppf(0.999, len(every), 0.05)


def test_controls_of_another_size_of_edit_would_not_be_fair(reads):
    """What a control does grows with its edit, so that the edits are made equal."""
    cache = reads[1].cache
    level = high_level(cache, 2, 0.9)
    one, two = (reads[1].effect(set_to(cache, 2, level, scale)).read for scale in (1.0, 2.0))
    np.testing.assert_allclose(2 * one, two, atol=1e-4)


def test_controls_are_found_as_the_feature_was():
    own, *others = world()[3]
    term, feature = next(iter(own.best().items()))
    best = candidates(others, term)
    assert {others[one.dictionary].best()[one.term] for one in best} == {one.feature for one in best}
    asked = candidates(others, term, best=False)
    assert len(asked) > len(best)
    for one in (*best, *asked):
        assert one.term
        assert one.term != term
        assert one.genes == others[one.dictionary].lists[one.feature, "up"]
    assert own.term(feature) == term
    assert not any(one.term for one in candidates(others, "", best=False))


def test_a_feature_without_genes_that_the_model_predicts_is_not_set(reads):
    assert set_high(reads[0], 0, ("X",), 0.9, [], [], 3) is None
    alone = set_high(reads[0], 0, COLLECTION["program 0"], 0.9, [], [], 3)
    assert alone is not None
    record = moved_record(0, "", alone, pd.Index(NAMES), COLLECTION, 0.05)
    assert (record.null, record.p, record.controls) == (None, None, 0)
