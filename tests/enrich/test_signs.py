"""Signs of planted features: strong where their own genes are high, or low."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich import column_blocks
from cellprism.enrich.signs import signs

TYPES = np.array(["B", "NK", "T", "unlabelled"] * 40)


@pytest.fixture
def planted():
    """Genes 0-4 are high in B. Feature 0 is strong in B, 1 where B is not, 2 anywhere; 3 has no genes, 4 is silent."""
    rng = np.random.default_rng(1)
    rate = np.full((160, 23), 3.0)
    rate[TYPES == "B", :5] = 30.0
    counts = AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)))
    counts.var_names = [f"G{i}" for i in range(23)]
    counts.obs["total_counts"] = 1000.0  # else what is high in B makes all else look low there
    z = rng.gamma(1.0, 0.2, size=(160, 5)).astype(np.float32)
    z[:, 0] += TYPES == "B"
    z[:, 1] += TYPES != "B"
    z[:, 4] = 0
    activations = AnnData(sp.csr_matrix(z), obs=pd.DataFrame({"cell_type": TYPES}, index=counts.obs_names))
    own = tuple(f"G{i}" for i in range(5))
    return activations, counts, {"0": own, "1": own, "2": ("G9", "G17"), "4": own}


def test_planted_features_get_their_signs_and_types(planted):
    found = signs(*planted)
    assert found["sign"].tolist() == ["high", "low", "", "", ""]
    assert found["high_in"].tolist() == ["B", "B", "", "", "B"]
    assert set(found["low_in"][:2]) <= {"NK", "T"}
    assert found["own_genes_r"][3] == found["own_genes_r"][4] == 0


def test_the_correlation_is_that_with_the_mean_expression_of_the_own_genes(planted, monkeypatch):
    activations, counts, lists = planted
    monkeypatch.setattr(column_blocks, "MOST", 2)
    y = log1p_cp10k(counts).toarray()
    for feature, genes in lists.items():
        z = activations.X[:, int(feature)].toarray().ravel()
        own = y[:, counts.var_names.get_indexer(genes)].mean(axis=1)
        expected = np.corrcoef(z, own)[0, 1] if z.any() else 0
        assert signs(activations, counts, lists)["own_genes_r"][int(feature)] == pytest.approx(expected, abs=1e-6)


def test_activations_dealt_to_other_cells_have_no_sign(planted):
    activations, counts, lists = planted
    rng = np.random.default_rng(2)
    given = 0
    for _ in range(40):
        dealt = AnnData(activations.X[rng.permutation(160)], obs=activations.obs)
        given += (signs(dealt, counts, lists)["sign"] != "").any()
    assert given <= 7  # 2 are due at 5 % for any of the features


@pytest.mark.parametrize("labels", [None, "unlabelled", "B"])
def test_without_types_there_are_signs_but_no_types(planted, labels):
    activations, counts, lists = planted
    if labels is None:
        del activations.obs["cell_type"]
    else:
        activations.obs["cell_type"] = labels
    found = signs(activations, counts, lists)
    assert found["sign"].tolist()[:2] == ["high", "low"]
    assert set(found["high_in"]) | set(found["low_in"]) == {""}
