import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich import column_blocks
from cellprism.enrich.correlated import correlated_lists


def test_lists_hold_the_genes_with_the_highest_correlation_over_cells(monkeypatch):
    monkeypatch.setattr(column_blocks, "MOST", 3)
    rng = np.random.default_rng(0)
    counts = AnnData(sp.csr_matrix(rng.poisson(2.0, size=(53, 19)).astype(np.float32)))
    counts.var_names = [f"G{i}" for i in range(19)]
    z = AnnData(sp.csr_matrix(rng.gamma(1.0, size=(53, 7))))
    z.X[:, 5] = 0.25
    background = [f"G{i}" for i in range(17)]
    found = correlated_lists(z, counts, background, 4)
    y = log1p_cp10k(counts).toarray()[:, :17]
    for feature in (0, 1, 2, 3, 4, 6):
        r = np.array([np.corrcoef(z.X[:, feature].toarray().ravel(), y[:, g])[0, 1] for g in range(17)])
        best = np.argsort(-r)[:4]
        assert found[str(feature)] == tuple(f"G{g}" for g in best if r[g] > 0)
    assert found["5"] == ()
