import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.gene_sets import background_genes, gene_sets
from cellprism.equations.footprint import participation_ratio
from cellprism.errors import ConfigError

FEATURES, GENES, CELLS = 41, 29, 17


def named(values, prefix="g"):
    return AnnData(
        values,
        obs=pd.DataFrame(index=[str(i) for i in range(len(values))]),
        var=pd.DataFrame(index=[f"{prefix}{j}" for j in range(values.shape[1])]),
    )


@pytest.fixture
def F():
    rng = np.random.default_rng(0)
    values = rng.gamma(0.3, size=(FEATURES, GENES)) * (rng.random((FEATURES, GENES)) < 0.6)
    values[11] = 0
    return named(values)


@pytest.fixture
def cells():
    rng = np.random.default_rng(1)
    counts = rng.poisson(np.geomspace(0.004, 6, GENES), (199, GENES)).astype(np.float32)
    adata = named(counts)
    adata.X = csr_matrix(adata.X)
    adata.obs["total_counts"] = counts.sum(axis=1) + 1000
    return adata


def test_a_gene_set_is_the_top_participation_ratio_genes_strongest_first(F):
    ratio = participation_ratio(F.X)
    for i, (name, genes) in enumerate(gene_sets(F).items()):
        assert name == str(i)
        assert len(genes) == round(ratio[i])
        ranked = sorted(range(GENES), key=lambda g: -F.X[i, g])
        assert genes == tuple(f"g{g}" for g in ranked[: len(genes)])


def test_a_feature_that_never_fires_has_no_genes(F):
    assert gene_sets(F)["11"] == gene_sets(F, 20)["11"] == gene_sets(F, clamp=(10, 100))["11"] == ()


def test_fixed_and_clamped_sizes_never_reach_genes_where_the_feature_is_silent(F):
    positive = np.count_nonzero(F.X > 0, axis=1)
    for rule, clamp, wanted in ((7, None, 7), (50, None, 50), ("pr", (12, 13), 12)):
        for i, genes in enumerate(gene_sets(F, rule, clamp).values()):
            assert min(wanted, positive[i]) <= len(genes) <= min(max(wanted, 13), positive[i])


def test_negative_activations_count_in_the_ratio_but_are_never_in_the_set():
    F = named(np.array([[3.0, -3.0, 3.0, 0.0]]))
    assert gene_sets(F)["0"] == ("g0", "g2")


def test_only_background_genes_take_part_in_the_ratio_too(F):
    inside = [f"g{j}" for j in range(0, GENES, 2)]
    assert gene_sets(F, background=inside) == gene_sets(F[:, inside].copy())
    assert gene_sets(F, background=[*inside, "never measured"]) == gene_sets(F, background=inside)


def test_sparse_and_dense_matrices_give_the_same_sets(F):
    sparse = F.copy()
    sparse.X = csr_matrix(F.X)
    assert gene_sets(sparse) == gene_sets(F)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "top"}, "unknown rule for gene sets 'top'; use 'pr' or a number of genes"),
        ({"rule": 0}, "a gene set of 0 genes"),
        ({"rule": 20, "clamp": (10, 100)}, r"20 genes with clamp \(10, 100\): .* a clamp only with 'pr'"),
        ({"clamp": (30, 10)}, r"clamp \(30, 10\) is no range"),
        ({"background": ["ENSG1"]}, r"none of the 29 genes of F \(g0, g1, g2\) is in the background"),
    ],
)
def test_mistakes_in_gene_sets_are_refused(F, arguments, message):
    with pytest.raises(ConfigError, match=message):
        gene_sets(F, **arguments)


def test_the_two_published_gene_filters_equal_their_definitions_gene_by_gene(cells):
    counts, logged = cells.X.toarray(), log1p_cp10k(cells).toarray()
    paper, code = [], []
    for g, gene in enumerate(cells.var_names):
        zero = sum(counts[:, g] == 0) / len(counts)
        if not (zero > 0.5 or sum(logged[:, g]) / len(counts) < 0.01):
            paper.append(gene)
        if sum(counts[:, g]) / len(counts) > 0.01 or 1 - zero > 0.005:
            code.append(gene)
    assert background_genes(cells, "paper") == tuple(paper)
    assert background_genes(cells, "code") == tuple(code)
    assert background_genes(cells, "all") == tuple(cells.var_names)
    assert 0 < len(paper) < len(code) < GENES


def test_an_unknown_filter_and_one_that_keeps_nothing_are_refused(cells):
    with pytest.raises(ConfigError, match="unknown gene filter 'strict'; choose one of paper, code, all"):
        background_genes(cells, "strict")
    with pytest.raises(ConfigError, match=r"no gene of 3 passes the filter 'paper'; use 'code' or 'all'"):
        background_genes(cells[:, :3].copy(), "paper")
