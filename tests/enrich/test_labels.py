import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import roc_auc_score

from cellprism.enrich.labels import best_terms, top_cell_types
from cellprism.errors import CellsError

TYPES = ["B", "CD4 T", "CD8 T", "unlabelled"]


@pytest.fixture
def activations():
    """41 features over 230 cells; feature 3 fires in B cells, 5 everywhere but in CD8 T cells, 7 never."""
    rng = np.random.default_rng(0)
    labels = np.repeat(TYPES, [53, 67, 71, 39])
    values = rng.gamma(0.5, size=(230, 41)) * (rng.random((230, 41)) < 0.3)
    values[:, 3] += 2 * (labels == "B")
    values[:, 5] += 2 * (labels != "CD8 T")
    values[:, 7] = 0
    values[labels == "unlabelled", 11] += 50
    obs = pd.DataFrame({"cell_type": labels}, index=[str(i) for i in range(230)])
    return AnnData(values, obs=obs, var=pd.DataFrame(index=[str(i) for i in range(41)]))


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "feature": ["a", "a", "b", "c", "c"],
            "term": ["t1", "t2", "t1", "t3", "t4"],
            "overlap": [3, 5, 2, 4, 9],
            "pvalue": [1e-4, 1e-4, 0.2, 1e-3, 1e-3],
            "padj": [1e-3, 1e-3, 0.6, 0.01, 0.01],
        }
    )


def test_a_feature_is_labelled_with_its_best_significant_term_larger_overlap_first(table):
    labels = best_terms(table, ["c", "a", "b", "silent"])
    assert labels["feature"].tolist() == ["c", "a", "b", "silent"]
    assert labels["best_term"].tolist() == ["t4", "t2", "", ""]
    assert labels["best_padj"].tolist() == [0.01, 1e-3, 0.6, 1.0]
    assert labels["n_terms"].tolist() == [2, 2, 0, 0]


def test_features_are_labelled_by_the_type_they_stand_out_in(activations):
    types = top_cell_types(activations).set_index("feature")
    assert types.loc["3", "top_cell_type"] == "B"
    assert types.loc["5", "top_cell_type"] in {"B", "CD4 T"}
    assert types.loc["7", ["top_cell_type", "auroc", "padj"]].tolist() == ["", 0.5, 1.0]


def test_the_auroc_is_sklearns_among_labelled_cells(activations):
    types = top_cell_types(activations)
    kept = activations[activations.obs["cell_type"] != "unlabelled"]
    labels = kept.obs["cell_type"].to_numpy()
    for feature in range(41):
        best = max(roc_auc_score(labels == name, kept.X[:, feature]) for name in TYPES[:3])
        assert types["auroc"][feature] == pytest.approx(best, rel=1e-12)


def test_unlabelled_cells_take_no_part(activations):
    before = top_cell_types(activations)
    activations.X[activations.obs["cell_type"] == "unlabelled"] = 1e6
    pd.testing.assert_frame_equal(top_cell_types(activations), before)


def test_shuffled_labels_name_almost_no_feature(activations):
    rng = np.random.default_rng(1)
    named = 0
    for _ in range(20):
        activations.obs["cell_type"] = rng.permutation(activations.obs["cell_type"].to_numpy())
        named += (top_cell_types(activations)["top_cell_type"] != "").any()
    assert named <= 5


def test_missing_labels_are_refused_with_what_is_there(activations):
    with pytest.raises(CellsError, match="obs has no column 'type'; it has cell_type"):
        top_cell_types(activations, key="type")
    activations.obs["cell_type"] = np.where(activations.obs["cell_type"] == "B", "B", "unlabelled")
    with pytest.raises(CellsError, match=r"obs\['cell_type'\] has 1 labelled type\(s\); comparing needs two"):
        top_cell_types(activations)
