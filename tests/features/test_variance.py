import pytest

from cellprism.features.collect import feature_statistics
from cellprism.features.variance import residual_variance
from features.conftest import CELLS, GENES, LAYER, dense_residuals


def test_shares_equal_the_variances_of_the_dense_residuals(model, cells):
    x = dense_residuals(model, cells).double().numpy()
    mean = x.mean((0, 1))
    whole = ((x - mean) ** 2).sum()
    gene = CELLS * ((x.mean(0) - mean) ** 2).sum() / whole
    cell = GENES * ((x.mean(1) - mean) ** 2).sum() / whole
    found = residual_variance(model, cells, LAYER, batch_size=5)
    assert found == pytest.approx({"gene": gene, "cell": cell, "gene_by_cell": 1 - gene - cell}, rel=1e-4)


def test_feature_statistics_finds_the_same_shares(model, cells, sae):
    assert feature_statistics(model, sae, cells, LAYER).residual == pytest.approx(
        residual_variance(model, cells, LAYER)
    )
