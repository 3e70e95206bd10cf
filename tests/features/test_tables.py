"""Sums over cells do not depend on how tokens arrive."""

import numpy as np
import pytest
import torch

from cellprism.features.tables import CellSums
from cellprism.types import SparseCode

TOKENS, CELLS, FEATURES, K = 300, 20, 7, 3
EMPTY = 4  # a cell without tokens


@pytest.fixture(scope="module")
def tokens() -> tuple[SparseCode, torch.Tensor]:
    rng = np.random.default_rng(0)
    features = np.stack([rng.permutation(FEATURES)[:K] for _ in range(TOKENS)])
    values = rng.random((TOKENS, K)) * (rng.random((TOKENS, K)) < 0.5)
    cell = np.sort(rng.choice(np.delete(np.arange(CELLS), EMPTY), TOKENS))
    code = SparseCode(torch.from_numpy(values).float(), torch.from_numpy(features), FEATURES)
    return code, torch.from_numpy(cell)


def dense(code: SparseCode, cell: torch.Tensor) -> np.ndarray:
    sums = np.zeros((CELLS, FEATURES))
    for values, features, row in zip(code.values.double().numpy(), code.features.numpy(), cell.numpy(), strict=True):
        sums[row, features] += values
    return sums


@pytest.mark.parametrize("parts", ["whole", "split cells", "any order"])
def test_sums_are_those_of_the_tokens_however_they_arrive(tokens, parts):
    code, cell = tokens
    order = np.random.default_rng(1).permutation(TOKENS) if parts == "any order" else np.arange(TOKENS)
    sums = CellSums(CELLS, FEATURES)
    for some in np.split(order, [] if parts == "whole" else [17, 18, 150]):
        sums.add(SparseCode(code.values[some], code.features[some], FEATURES), cell[some])
    expected, count = dense(code, cell), np.bincount(cell.numpy(), minlength=CELLS)
    assert sums.total.toarray() == pytest.approx(expected, rel=1e-12)
    assert sums.total.has_canonical_format
    assert sums.mean().toarray() == pytest.approx(expected / np.maximum(count, 1)[:, None], rel=1e-6)
    assert sums.squares() == pytest.approx((expected**2 / np.maximum(count, 1)[:, None]).sum(axis=0), rel=1e-12)
    assert np.array_equal(sums.tokens, count)
    assert sums.mean().dtype == np.float32
