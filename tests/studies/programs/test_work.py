"""What is compared with what, and how many features tell types apart by chance."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.studies.programs.specificity import between_types
from cellprism.studies.programs.tables import lists_of
from cellprism.studies.programs.work import compared, feature_table, hardest_control, type_specificity

N = 2003


def counted(activation, labels):
    found = between_types(activation, labels)
    table = pd.DataFrame({"firing_rate": np.ones(activation.shape[1]), "type_share": found.share})
    kinds = {str(k): int(n) for k, n in pd.Series(labels).value_counts().items()}
    return type_specificity(table, found, kinds)


def test_shuffled_labels_give_the_null_that_is_written_beside_the_share():
    """Features that know nothing of the labels: their share is the null, which holds 95 % of them."""
    rng = np.random.default_rng(5)
    labels = np.repeat(["a", "b", "c"], [53, 31, 17])
    shares = [counted(rng.normal(size=(101, 127)), rng.permutation(labels)) for _ in range(60)]
    observed = np.array([one.share_apart for one in shares])
    assert shares[0].null == pytest.approx(observed.mean(), abs=0.01)
    low, high = shares[0].null_interval
    assert (low, high) == pytest.approx(np.quantile(observed, [0.025, 0.975]), abs=0.02)
    assert ((observed >= low) & (observed <= high)).mean() >= 0.9


def test_only_features_that_fire_are_counted():
    found = between_types(np.random.default_rng(0).normal(size=(101, 3)), np.repeat(["a", "b"], [50, 51]))
    table = pd.DataFrame({"firing_rate": [0.1, 0.0, 0.2], "type_share": [1.0, 1.0, 0.0]})
    counts = type_specificity(table, found, {"a": 50, "b": 51})
    assert (counts.firing, counts.share_apart) == (2, 0.5)
    assert counts.interval[0] < 0.5 < counts.interval[1]


def row(name: str, rate: float, size: float) -> dict:
    return {"name": name, "rate": rate, "mean_set_size": size}


ROWS = [
    row("features", 0.5, 20.0), row("popularity", 0.4, 20.0), row("neurons", 0.9, 70.0), row("untrained", 0.45, 11.0),
    row("features, 20 genes each", 0.6, 20.0), row("neurons, 20 genes each", 0.8, 20.0),
    row("neurons, gene means removed", 0.7, 31.0),
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
    }


def test_the_hardest_control_is_one_of_those_that_are_fair():
    assert hardest_control(compared(ROWS)) == "untrained"
    assert hardest_control(compared(ROWS[:2])) == "popularity"
    assert hardest_control(compared([ROWS[0], ROWS[2]])) is None


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


TERMS = pd.DataFrame({
    "feature": pd.Series(dtype=str), "term": pd.Series(dtype=str), "padj": pd.Series(dtype=float),
    "pvalue": pd.Series(dtype=float), "overlap": pd.Series(dtype=int),
})  # fmt: skip


def test_unlabelled_cells_take_no_part_in_the_comparison_of_types(matrices):
    table, counts, types = feature_table(*matrices, {}, TERMS, 0.05)
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
    table, counts, types = feature_table(genes, cells, {}, TERMS, 0.05)
    assert counts is None
    assert list(types.columns) == ["feature"]
    assert table["type_share"].isna().all()


def test_lists_come_back_in_their_order(page):
    lists = lists_of(page.found["programs"])
    top = page.found["programs"].features.set_index("feature")["top_genes"]
    assert len(lists) == 124
    assert all(", ".join(genes) == top[int(name)] for name, genes in lists.items())
