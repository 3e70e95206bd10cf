"""Counts brought to one depth."""

import numpy as np
import pytest
from anndata import AnnData
from scipy.sparse import csc_matrix, csr_matrix

from cellprism.cells.expression import log1p_cp10k


@pytest.mark.parametrize("kind", [np.asarray, csr_matrix, csc_matrix])
def test_log1p_cp10k_divides_by_the_declared_total_and_else_by_the_sum_of_the_columns(kind):
    counts = np.random.default_rng(1).poisson(0.7, (19, 31)).astype(np.float64)
    counts[3] = 0
    cells = AnnData(kind(counts))
    cells.obs["total_counts"] = counts.sum(axis=1) + 1000
    declared = np.log1p(counts / (counts.sum(axis=1) + 1000)[:, None] * 1e4)
    np.testing.assert_allclose(log1p_cp10k(cells).toarray(), declared, rtol=1e-12)
    del cells.obs["total_counts"]
    summed = np.log1p(counts / np.maximum(counts.sum(axis=1), 1)[:, None] * 1e4)
    np.testing.assert_allclose(log1p_cp10k(cells).toarray(), summed, rtol=1e-12)
    assert (np.asarray(csr_matrix(cells.X).todense()) == counts).all()
