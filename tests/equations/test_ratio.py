"""No ratio is taken of a rounding residue: of one token, of equal rows, of equal centroids there is none."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellprism.enrich.correlated import gene_correlations as over_cells
from cellprism.enrich.random_lists import _correlation
from cellprism.enrich.signs import _Sums
from cellprism.equations.agreement import gene_correlations
from cellprism.equations.association import chance_shift, weighted_shift
from cellprism.equations.effects import (
    antisymmetry,
    axis_drift,
    axis_progress,
    gap_fraction,
    linear_share,
    loss_recovered,
    variance_kept,
    weighted_progress,
)
from cellprism.equations.ratio import share, varies
from cellprism.equations.recovery import explained
from cellprism.equations.sparse import explained_variance
from cellprism.equations.variance import pooled_shares
from cellprism.sae.initial import filled
from cellprism.steering.contrast.agreement import _correlations
from cellprism.studies.programs.specificity import between_types, shuffled_shares_apart, type_contrast

ROWS, WIDTH = 13, 7
ROW = np.random.default_rng(5).normal(3, 1, WIDTH)
EQUAL = np.tile(ROW, (ROWS, 1))
NEARLY = EQUAL * (1 + 1e-8 * np.random.default_rng(6).normal(size=EQUAL.shape))
"""The same rows after a computation in single precision."""
LABELS = np.array(["a", "b"] * ROWS)[:ROWS]
EVEN = np.full((1, ROWS), 1 / ROWS)


def own_genes_r(own: np.ndarray, z: np.ndarray) -> np.ndarray:
    sums = _Sums.of(slice(0, own.shape[1]), None)
    sums.add(own, z, None)
    return sums.table()["own_genes_r"].to_numpy()


def fraction_of_vectors(x: np.ndarray) -> torch.Tensor:
    wide = torch.from_numpy(x)
    return explained_variance(torch.tensor(1.0).double(), wide.square().sum(), wide.sum(dim=0), len(wide))


def shares_of_table(x: np.ndarray) -> np.ndarray:
    total, squares = x.sum(axis=0), (x**2).sum(axis=0)
    return np.concatenate(pooled_shares(len(x), total, squares, total**2 / len(x), squares))


RATIOS: dict[str, Callable[[np.ndarray], object]] = {
    "explained variance": fraction_of_vectors,
    "R squared": lambda x: explained(x, x + 1),
    "shares of variance": shares_of_table,
    "variance kept": lambda x: variance_kept(x, x + np.eye(len(x), WIDTH)),
    "progress": lambda x: axis_progress(x + 1, x[0], x[-1]),
    "drift": lambda x: axis_drift(x, x + 1, x[0], x[-1]),
    "gap": lambda x: gap_fraction(x[0], x[-1], x[0] + 1),
    "weighted gap": lambda x: weighted_progress(x[0], x[-1], x[0] + 1, np.ones(WIDTH)),
    "loss": lambda x: loss_recovered(x[0, 0], 2.0, x[-1, 0]),
    "linear share": lambda x: linear_share(np.arange(len(x)) + 2.0, x - x[:1], x[0]),
    "mirror symmetry": lambda x: antisymmetry(x[0] - x[-1], x[-1] - x[0], x[0]),
    "agreement of gaps": lambda x: _correlations(x[-1:] - x[:1] + 0.1, np.arange(WIDTH)[None] % 3.0),
    "correlation of genes": lambda x: gene_correlations(x, np.arange(x.size).reshape(x.shape) % 5.0, EVEN[:, : len(x)]),
}
NONE: dict[str, Callable[[np.ndarray], object]] = {
    "filled dimensions": lambda x: filled(torch.from_numpy(x)),
    "correlation over cells": lambda x: next(over_cells(sp.csc_matrix(x), sp.csr_matrix(np.eye(len(x)))))[1],
    "co-expression": lambda x: _correlation(lambda: iter([sp.csr_matrix(x)]), len(x))[1],
    "own genes": lambda x: own_genes_r(x, np.arange(x.size).reshape(x.shape) % 5.0),
    "association": lambda x: weighted_shift(sp.csr_matrix(np.eye(len(x))), sp.csr_matrix(x)),
    "association by chance": lambda x: chance_shift(sp.csr_matrix(x)),
    "between types": lambda x: between_types(x, LABELS).share,
    "between shuffled types": lambda x: shuffled_shares_apart(x, LABELS, 0.01, 3, 0),
    "contrast of types": lambda x: type_contrast(x, LABELS).to_numpy(),
}


@pytest.mark.parametrize("x", [EQUAL[:1], EQUAL, NEARLY], ids=["one", "equal", "equal but for rounding"])
@pytest.mark.parametrize("name", RATIOS)
def test_what_does_not_vary_has_no_share(name, x):
    assert np.isnan(np.asarray(RATIOS[name](x))).all()


@pytest.mark.parametrize("x", [EQUAL, NEARLY], ids=["equal", "equal but for rounding"])
@pytest.mark.parametrize("name", NONE)
def test_what_does_not_vary_counts_for_nothing(name, x):
    assert not np.asarray(NONE[name](x)).any()


def test_a_small_spread_far_from_zero_is_one():
    x = torch.from_numpy(1e4 + np.random.default_rng(0).normal(size=(1000, 1)))
    error = (x - x.mean()).square().sum() / 4
    assert explained_variance(error, x.square().sum(), x.sum(dim=0), 1000).item() == pytest.approx(0.75, rel=1e-4)
    assert varies(x.numpy()).all()
    np.testing.assert_array_equal(share(np.array([1.0, 2.0]), 4.0, 4.0), [0.25, 0.5])


def test_rounding_is_measured_on_the_vectors_before_anything_is_taken_off():
    x = torch.from_numpy(NEARLY - ROW)
    sums = torch.tensor(1.0).double(), x.square().sum(), x.sum(dim=0), ROWS
    assert explained_variance(*sums).item() < 0
    assert explained_variance(*sums, torch.from_numpy(NEARLY).square().sum()).isnan()
