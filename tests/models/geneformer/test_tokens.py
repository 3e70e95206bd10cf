"""Ranks by hand and by an oracle in exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprism.models.geneformer.tokens import nonzero_medians, ranked_columns


def ranked(counts, median, token=None, size=99) -> list[list[int]]:
    token = range(len(median)) if token is None else token
    matrix = sp.csr_matrix(np.array(counts, dtype=np.float32))
    return ranked_columns(matrix, np.array(median, dtype=float), np.array(list(token)), size).tolist()


def test_a_gene_high_above_its_usual_level_comes_before_one_with_more_counts():
    # 9/4 = 2.25, 1/0.25 = 4, 3/1 = 3; the fourth gene is silent
    assert ranked([[9, 1, 3, 0]], [4.0, 0.25, 1.0, 0.1]) == [[1, 2, 0]]


def test_cells_are_ranked_each_for_itself_and_filled_up_behind():
    counts = [[1, 0, 0, 0], [1, 2, 4, 3], [0, 0, 0, 0], [0, 5, 0, 6]]
    assert ranked(counts, [1.0, 1.0, 1.0, 1.0]) == [[0, -1, -1, -1], [2, 3, 1, 0], [-1] * 4, [3, 1, -1, -1]]


def test_equal_values_stand_in_the_order_of_their_tokens():
    # 1/0.5 = 2/1 = 4/2: a tie of three; 1/0.25 is above it
    assert ranked([[1, 2, 4, 1]], [0.5, 1.0, 2.0, 0.25], token=[7, 5, 6, 9]) == [[3, 1, 2, 0]]


def test_the_lowest_ranks_are_cut():
    assert ranked([[1, 2, 3, 4, 5], [9, 0, 0, 0, 8]], [1.0] * 5, size=3) == [[4, 3, 2], [0, 4, -1]]


def test_values_that_float32_could_not_tell_apart_are_told_apart():
    above = 1 + 2.0**-40
    assert ranked([[1, 1, 1]], [above, 1.0, 1 / above]) == [[2, 1, 0]]


def test_stored_zeros_are_silent_repeats_are_added_up_and_the_matrix_is_left_alone():
    counts = sp.csr_matrix((np.array([2.0, 0, 1, 1, 1], np.float32), [1, 0, 2, 2, 2], [0, 5]), shape=(1, 3))
    assert ranked_columns(counts, np.ones(3), np.arange(3), 9).tolist() == [[2, 1]]
    assert counts.nnz == 5


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_ranks_are_those_of_the_whole_formula_in_exact_arithmetic(seed, size):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.8, (7, 11))
    median = rng.choice([0.25, 0.5, 0.7, 1.0, 2.0, 3.3], 11)
    token = rng.permutation(11)
    expected = []
    for row in counts:
        total = int(row.sum()) + 3
        value = {j: Fraction(int(row[j]), total) * 10_000 / Fraction(median[j]) for j in np.flatnonzero(row).tolist()}
        expected.append(sorted(value, key=lambda j: (-value[j], token[j]))[:size])
    found = ranked(counts, median, token, size)
    assert [[j for j in row if j >= 0] for row in found] == expected


def test_usual_levels_are_medians_over_the_cells_that_express_a_gene():
    counts = sp.csr_matrix(np.array([[1, 0, 3, 0], [0, 0, 5, 0], [2, 0, 2, 0], [7, 0, 1, 0]], dtype=np.float32))
    totals = np.array([4.0, 10.0, 8.0, 10.0])
    found = nonzero_medians(counts, totals)
    assert found[:1] == pytest.approx([2500.0])  # of 2500, 2500, 7000
    assert found[2] == pytest.approx((5000 + 2500) / 2)  # of 7500, 5000, 2500, 1000
    assert np.isnan(found[[1, 3]]).all()
