"""Counts permuted across cells within each gene."""

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.permuted import permuted_cells
from cellprism.errors import InputError


def cells(rate: float = 0.7) -> AnnData:
    """Two genes that go together, others that go with depth."""
    rng = np.random.default_rng(0)
    mean = rate * rng.gamma(1.0, size=(101, 1)) * np.ones(29)
    mean[:, :2] += 5 * (rng.random((101, 1)) < 0.5)
    found = AnnData(sp.csr_matrix(rng.poisson(mean).astype(np.float32)))
    found.obs_names, found.var_names = [f"c{i}" for i in range(101)], [f"G{i}" for i in range(29)]
    found.obs["total_counts"] = np.asarray(found.X.sum(axis=1)).ravel() + 40
    found.uns["cellprism"] = {"source": "here"}
    return found


def test_every_gene_keeps_its_counts_and_goes_with_no_other():
    given = cells()
    found = permuted_cells(given, 3)
    before, after = given.X.toarray(), found.X.toarray()
    assert np.array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
    assert not np.array_equal(before, after)
    assert abs(np.corrcoef(after[:, 0], after[:, 1])[0, 1]) < 0.3 < np.corrcoef(before[:, 0], before[:, 1])[0, 1]
    np.testing.assert_allclose(found.obs["total_counts"], after.sum(axis=1) + 40)
    assert found.uns["cellprism"]["source"] == "here"
    assert given.X.toarray().sum() == before.sum()


def test_a_seed_gives_the_same_cells_again_and_another_seed_others():
    one, same, other = (permuted_cells(cells(), seed).X.toarray() for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_no_cell_is_left_without_counts():
    given = cells(0.05)[:, 2:].copy()
    given = given[np.asarray(given.X.sum(axis=1)).ravel() > 0].copy()
    for seed in range(20):
        found = permuted_cells(given, seed)
        assert found.X.sum(axis=1).min() > 0
        assert np.array_equal(np.sort(given.X.toarray(), axis=0), np.sort(found.X.toarray(), axis=0))


def test_fewer_counts_than_cells_cannot_be_dealt():
    given = cells()[:, :1].copy()
    given.X = sp.csr_matrix(np.eye(101, 1, dtype=np.float32))
    with pytest.raises(InputError, match="1 counts cannot be dealt to 101 cells"):
        permuted_cells(given, 0)
