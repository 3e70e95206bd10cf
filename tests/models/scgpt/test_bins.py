"""Bins against quantiles in exact fractions and cases made by hand; the way back from bins to amounts."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellprism.models.scgpt.bins import amounts, bin_levels, bin_values

COUNTS = st.lists(st.integers(0, 9) | st.integers(0, 5000), min_size=1, max_size=60).filter(any)


def binned(row: list, n_bins: int) -> list[int]:
    return bin_values(torch.tensor([row], dtype=torch.float32), n_bins)[0].int().tolist()


def levels(row: list, n_bins: int) -> list[float]:
    return bin_levels(torch.tensor([row], dtype=torch.float32), n_bins)[0].tolist()


def exact_edges(row: list[int], n_bins: int) -> list[Fraction]:
    """The published edges, quantiles of the counts above 0 with linear interpolation, without rounding."""
    ordered, edges = sorted(c for c in row if c > 0), []
    for j in range(n_bins - 1):
        place = Fraction(j * (len(ordered) - 1), n_bins - 2)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        edges.append(ordered[low] + (place - low) * (ordered[high] - ordered[low]))
    return edges


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([4, 0, 2, 3, 1], [4, 0, 2, 3, 1]),  # edges 1 2 3 4: each value is one of them
        ([1, 1, 5, 0, 1], [2, 2, 4, 0, 2]),  # edges 1 1 1 5: one count may be in bins 1 to 3, the middle is 2
        ([1, 5, 5, 5], [1, 3, 3, 3]),  # edges 1 5 5 5: bins 2 to 4
        ([1, 2], [1, 4]),  # edges 1 4/3 5/3 2
        ([1, 2, 3, 4, 5, 6, 9], [1, 1, 2, 2, 3, 3, 4]),  # edges 1 3 5 9
        ([6, 6], [2, 2]),  # all edges are 6: bins 1 to 4, whose middle is between 2 and 3
        ([0, 8, 0], [0, 2, 0]),
    ],
)
def test_five_bins_by_hand(row, expected):
    assert binned(row, 5) == expected


def test_fifty_different_values_have_the_fifty_bins_of_the_published_models():
    assert binned([0, *range(50, 0, -1)], 51) == [0, *range(50, 0, -1)]


@given(COUNTS, st.sampled_from([3, 5, 11, 51]))
def test_every_bin_is_the_middle_of_those_the_published_code_draws_from(row, n_bins):
    edges = exact_edges(row, n_bins)
    np.testing.assert_allclose(
        np.array(edges, dtype=float), np.quantile([c for c in row if c > 0], np.linspace(0, 1, n_bins - 1)), rtol=1e-12
    )
    for count, found in zip(row, binned(row, n_bins), strict=True):
        first, last = sum(e < count for e in edges) + 1, sum(e <= count for e in edges)
        draws = range(first, last + 1) or [last]
        assert found == (sum(draws) // len(draws) if count else 0)


@given(COUNTS)
def test_any_increasing_scale_has_the_same_bins(row):
    total = sum(row) + 17
    scaled = torch.log1p(torch.tensor(row, dtype=torch.float32) / total * 1e4)
    assert binned(scaled.tolist(), 51) == binned(row, 51)


def test_bins_follow_the_genes_and_know_nothing_of_other_cells():
    rng = np.random.default_rng(3)
    counts = torch.tensor(rng.poisson(rng.gamma(0.5, 3, (17, 29))) + np.eye(17, 29)).float()
    together, order = bin_values(counts, 11), torch.from_numpy(rng.permutation(29))
    assert torch.equal(bin_values(counts[:, order], 11), together[:, order])
    assert torch.equal(torch.cat([bin_values(row, 11) for row in counts.split(1)]), together)


def test_values_that_stand_for_something_else_stay_and_do_not_count():
    assert binned([-1, 1, 2, -2, 3, 4], 5) == [-1, 1, 2, -2, 3, 4]
    assert levels([-1, 1, 2, -2, 3, 4], 5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("row", "n_bins", "expected"),
    [
        ([1, 1, 5, 0, 1], 5, [0, 0.5, 1, 3, 5]),  # 1 is bin 2 and 5 is bin 4; the others lie between neighbours
        ([6, 6], 5, [0, 3, 6, 9, 12]),  # in proportion above bin 2, the highest in use
        ([1, 2, 3, 9], 3, [0, 2, 9]),  # 1, 2 and 3 share bin 1 and its middle is 2
        ([1, 2, 3, 7, 9, 9, 9], 5, [0, 1.5, 5, 9, 12]),  # edges 1 3 9 9: bin 1 holds 1 and 2, bin 2 holds 3 and 7
    ],
)
def test_what_bins_stand_for_by_hand(row, n_bins, expected):
    assert levels(row, n_bins) == pytest.approx(expected)


@given(COUNTS, st.sampled_from([3, 5, 11, 51]))
def test_a_bin_gives_back_what_it_stands_for(row, n_bins):
    values = torch.tensor([row], dtype=torch.float32)
    bins = bin_values(values, n_bins)
    back = amounts(bins, bin_levels(values, n_bins))[0]
    for number in bins.unique():
        held = values[bins == number]
        there = back[bins[0] == number]
        expected = (held.min() + held.max()) / 2
        torch.testing.assert_close(there, expected.expand(len(there)), rtol=1e-6, atol=0)
        if held.min() == held.max():
            assert (there == held.min()).all(), "exactly, where the bin holds one value"


@given(COUNTS, st.lists(st.floats(-9, 70), min_size=2, max_size=7))
def test_more_is_never_less(row, predicted):
    values = torch.tensor([row], dtype=torch.float32)
    bins = torch.tensor([sorted(predicted)])
    found = amounts(bins, bin_levels(values, 51))[0]
    assert (found.diff() >= -1e-5 * found.abs().max()).all()


def test_between_bins_amounts_lie_on_lines_and_outside_they_go_on_in_proportion():
    level = torch.tensor([[0.0, 0.5, 1, 3, 5], [0, 3, 6, 9, 12]])
    predicted = torch.tensor([[-2.0, 0.5, 2.25, 4, 6], [-2, 0.5, 2.25, 4, 6]])
    expected = torch.tensor([[-1.0, 0.25, 1.5, 5, 7.5], [-6, 1.5, 6.75, 12, 18]])
    assert torch.equal(amounts(predicted, level), expected)


def test_a_small_change_of_any_prediction_is_felt():
    """Between edges that lie on one value the amount would stand still and have no gradient."""
    values = torch.tensor([[0.0] + [1.0] * 20 + [2.0] * 5 + [3.0, 8.0]])
    predicted = torch.linspace(-3, 60, 28)[None].requires_grad_()
    amounts(predicted, bin_levels(values, 51)).sum().backward()
    assert (predicted.grad > 0).all()
