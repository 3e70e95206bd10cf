"""What is compared with what, and how many features tell types apart by chance."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import binom

from cellprism.studies.programs.specificity import between_types, shuffled_shares_apart
from cellprism.studies.programs.tables import lists_of
from cellprism.studies.programs.work import compared, feature_table, type_specificity


def counted(activation, labels, permutations=99, seed=0):
    found = between_types(activation, labels)
    table = pd.DataFrame({"firing_rate": np.ones(activation.shape[1]), "type_share": found.share})
    kinds = {str(k): int(n) for k, n in pd.Series(labels).value_counts().items()}
    shuffled = shuffled_shares_apart(activation, labels, found.chance, permutations, seed)
    return type_specificity(table, found, kinds, shuffled, len(labels))


def dependent(rng, cells=61, features=67):
    """Features in eight families: those of one are the same but for a little noise."""
    return rng.normal(size=(cells, 8))[:, np.arange(features) % 8] + 0.1 * rng.normal(size=(cells, features))


def test_labels_that_mean_nothing_are_called_once_in_twenty_though_features_depend_on_each_other():
    """With features kept together; a binomial over the features would call far more."""
    rng = np.random.default_rng(5)
    labels = np.repeat(["a", "b", "c"], [31, 19, 11])
    found = [counted(dependent(rng), rng.permutation(labels), seed=i) for i in range(300)]
    called = np.mean([one.p <= 0.05 for one in found])
    assert called <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    low, high = np.array(binom.interval(0.95, 67, 0.05)) / 67
    by_binomial = np.mean([not low <= one.share_apart <= high for one in found])
    assert by_binomial > 0.2
    assert np.mean([one.null_interval[1] for one in found]) > 1.5 * high


def test_features_that_know_the_types_are_called():
    rng = np.random.default_rng(6)
    labels = np.repeat(["a", "b", "c"], [31, 19, 11])
    activation = dependent(rng)
    activation[:, :30] += 2.0 * (labels == "b")[:, None]
    found = counted(activation, labels)
    assert found.share_apart > 0.4
    assert found.p == pytest.approx(0.02)
    assert found.permutations == 99


def test_only_features_that_fire_are_counted():
    found = between_types(np.random.default_rng(0).normal(size=(101, 3)), np.repeat(["a", "b"], [50, 51]))
    table = pd.DataFrame({"firing_rate": [0.1, 0.0, 0.2], "type_share": [1.0, 1.0, 0.0]})
    counts = type_specificity(table, found, {"a": 50, "b": 51}, np.linspace(0, 1, 41), 101)
    assert (counts.firing, counts.share_apart, counts.null) == (2, 0.5, pytest.approx(0.5))
    assert counts.p == 1.0


def row(name: str, rate: float, size: float) -> dict:
    return {"name": name, "rate": rate, "mean_set_size": size}


ROWS = [
    row("features", 0.5, 20.0), row("popularity", 0.4, 20.0), row("neurons", 0.9, 70.0), row("untrained", 0.45, 11.0),
    row("features, 20 genes each", 0.6, 20.0), row("neurons, 20 genes each", 0.8, 20.0),
    row("neurons, gene means removed", 0.7, 31.0), row("coexpression", 0.99, 20.0),
    row("features, 20 genes by correlation", 0.9, 20.0), row("coexpression, 20 genes by correlation", 0.7, 20.0),
]  # fmt: skip


def test_a_row_is_compared_with_features_of_the_same_rule_where_lists_are_about_as_long():
    found = {one["name"]: (one["against"], one["comparable"]) for one in compared(ROWS)}
    assert found == {
        "features": ("features", True),
        "popularity": ("features", True),
        "neurons": ("features", False),
        "untrained": ("features", True),
        "features, 20 genes each": ("features, 20 genes each", True),
        "neurons, 20 genes each": ("features, 20 genes each", True),
        "neurons, gene means removed": ("features", False),
        "coexpression": ("features", False),
        "features, 20 genes by correlation": ("features, 20 genes by correlation", True),
        "coexpression, 20 genes by correlation": ("features, 20 genes by correlation", True),
    }


def test_own_lists_stand_beside_modules_only_where_both_are_made_over_cells():
    found = {one["name"]: one["comparable"] for one in compared(ROWS, by_cell=True)}
    assert found["coexpression"]


def test_controls_of_a_rule_by_which_features_have_no_lists_are_left_out():
    more = [*ROWS, row("noise cells, 50 genes by correlation", 0.1, 50.0)]
    assert [one["name"] for one in compared(more)] == [one["name"] for one in ROWS]


@pytest.fixture
def matrices():
    rng = np.random.default_rng(2)
    genes = AnnData(np.zeros((7, 3)))
    genes.obs = pd.DataFrame(
        {"firing_rate": 0.2, "participation_ratio": 3.0, "gene_share": 0.5, "state_share": 0.5},
        index=[str(i) for i in range(7)],
    )
    cells = AnnData(sp.csr_matrix(rng.gamma(1.0, size=(29, 7)).astype(np.float32)))
    cells.obs["cell_type"] = pd.Categorical(["NK", "B", "unlabelled", "B"] * 7 + ["NK"])
    cells.var_names = genes.obs_names
    return genes, cells


COUNTS = AnnData(sp.csr_matrix(np.random.default_rng(4).poisson(2.0, size=(29, 3)).astype(np.float32)))
TERMS = pd.DataFrame({
    "feature": pd.Series(dtype=str), "term": pd.Series(dtype=str), "padj": pd.Series(dtype=float),
    "pvalue": pd.Series(dtype=float), "overlap": pd.Series(dtype=int),
})  # fmt: skip


def test_unlabelled_cells_take_no_part_in_the_comparison_of_types(matrices):
    table, counts, types = feature_table(*matrices, COUNTS, {}, TERMS, 0.05)
    assert counts.types == {"B": 14, "NK": 8}
    assert list(types.columns) == ["feature", "B", "NK"]
    assert list(table["feature"]) == list(types["feature"]) == list(range(7))
    known = matrices[1].obs["cell_type"] != "unlabelled"
    share = between_types(
        matrices[1].X[known.to_numpy()], matrices[1].obs["cell_type"][known].to_numpy(dtype=str)
    ).share
    np.testing.assert_array_equal(table["type_share"], share)


@pytest.mark.parametrize("labels", [None, "unlabelled", "B"])
def test_one_type_alone_cannot_be_compared(matrices, labels):
    genes, cells = matrices
    if labels is None:
        del cells.obs["cell_type"]
    else:
        cells.obs["cell_type"] = labels
    table, counts, types = feature_table(genes, cells, COUNTS, {}, TERMS, 0.05)
    assert counts is None
    assert list(types.columns) == ["feature"]
    assert table["type_share"].isna().all()


def test_lists_come_back_in_their_order(page):
    lists = lists_of(page.found["programs"])
    top = page.found["programs"].features.set_index("feature")["top_genes"]
    assert len(lists) == 124
    assert all(", ".join(genes) == top[int(name)] for name, genes in lists.items())
