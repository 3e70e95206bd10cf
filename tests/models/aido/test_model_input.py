"""Counts to model input: against a loop in double precision."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellprism.models.aido.model_input import DEPTH_TOKENS, model_input


def by_loop(counts: list[list[float]], totals: list[float]) -> torch.Tensor:
    rows = []
    for row, total in zip(counts, totals, strict=True):
        values = [min(math.log1p(c / total * 1e4), 20.0) for c in row]
        rows.append(values + [max(math.log10(total), 5.0)] * 2)
    return torch.tensor(rows, dtype=torch.float64)


@given(
    st.lists(st.lists(st.integers(0, 100_000), min_size=5, max_size=5), min_size=3, max_size=3),
    st.lists(st.integers(1, 10**7), min_size=3, max_size=3),
)
def test_values_and_depth_tokens_are_the_formulas(counts, totals):
    found = model_input(torch.tensor(counts, dtype=torch.float32), torch.tensor(totals, dtype=torch.float32))
    torch.testing.assert_close(found.double(), by_loop(counts, totals), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(("total", "depth"), [(1.0, 5.0), (99_999.0, 5.0), (1_000_000.0, 6.0)])
def test_depth_tokens_are_the_constant_5_below_a_hundred_thousand_counts(total, depth):
    found = model_input(torch.ones(1, 7), torch.tensor([total]))
    assert found.shape == (1, 7 + DEPTH_TOKENS)
    torch.testing.assert_close(found[0, 7:], torch.full((2,), depth))


def test_no_value_exceeds_20():
    assert model_input(torch.tensor([[1e9, 0.0]]), torch.tensor([1.0]))[0].tolist() == [20.0, 0.0, 5.0, 5.0]


def test_counts_above_256_are_told_apart():
    values = model_input(torch.tensor([[257.0, 258.0]]), torch.tensor([1000.0]))[0, :2]
    assert values[0] < values[1]


def test_without_a_floor_depth_tokens_tell_the_depth_of_any_cell():
    depth = model_input(torch.ones(2, 7), torch.tensor([100.0, 31_623.0]), 0.0)[:, -1]
    torch.testing.assert_close(depth, torch.tensor([2.0, 4.5]), rtol=0, atol=1e-4)
