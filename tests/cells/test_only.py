"""Some of the cells, chosen by what obs says of them."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellprism.cells.read import check_cells, read_cells
from cellprism.errors import CellsError


def refused(source, **options) -> list[str]:
    with pytest.raises(CellsError) as error:
        read_cells(source, **options)
    return error.value.problems


def test_only_keeps_cells_that_have_a_value_in_every_column(cells, table, counts):
    read = read_cells(cells, genes=table, labels="louvain", only={"louvain": ["B cells", "NK cells"], "donor": ["one"]})
    keep = (cells.obs["louvain"].isin(["B cells", "NK cells"]) & (cells.obs["donor"] == "one")).to_numpy()
    assert 0 < keep.sum() < 9
    assert read.obs_names.tolist() == cells.obs_names[keep].tolist()
    np.testing.assert_array_equal(read.X.toarray(), counts[keep, ::-1])
    np.testing.assert_array_equal(read.obs["total_counts"], counts[keep].sum(1))
    assert sorted(read.obs["cell_type"].cat.categories) == ["B cells", "NK cells"]
    assert sorted(read.obs["louvain"].cat.categories) == ["B cells", "NK cells"]
    assert f"{keep.sum()} of 17 cells were asked for" in str(read.uns["cellprism"]["notes"])


def test_cell_type_means_the_column_with_cell_types(cells, table):
    cells.obs["cell_type"] = "another"
    read = read_cells(cells, genes=table, labels="louvain", only={"cell_type": ["NK cells"]})
    assert read.obs["cell_type"].unique().tolist() == ["NK cells"]
    bundled = check_cells("bundled:pbmc68k", only={"cell_type": ["CD56+ NK", "CD14+ Monocyte"]})
    assert bundled.n_cells == sum(bundled.labels.values())
    assert set(bundled.labels) == {"CD56+ NK", "CD14+ Monocyte"}


@pytest.mark.parametrize("values", [[0, 2], ["0", "2"], [0.0, 2]])
def test_numbers_are_compared_as_they_are_shown(cells, values):
    cells.obs["cluster"] = np.arange(17) % 3
    cells.obs["with_gaps"] = np.where(np.arange(17) == 4, np.nan, np.arange(17) % 3)
    assert read_cells(cells, only={"cluster": values}).n_obs == 11
    assert read_cells(cells, only={"with_gaps": values}).n_obs == 11


def test_what_is_wrong_with_other_cells_does_not_matter(cells, counts):
    two = (cells.obs["donor"] == "two").to_numpy()
    cells.X = sp.csr_matrix(np.where(two[:, None], counts, np.nan))
    np.testing.assert_array_equal(read_cells(cells, only={"donor": ["two"]}).X.toarray(), counts[two])


def test_totals_and_embedding_follow_the_cells(cells, table, tmp_path):
    class Reads:
        gene_table, key = None, "X_mine"

    cells.obsm["X_mine"] = np.arange(34.0).reshape(17, 2)
    cells.obs["n_counts"] = 1000.0 + np.arange(17)
    cells.write_h5ad(tmp_path / "a.h5ad")
    keep = (cells.obs["donor"] == "two").to_numpy()
    for source in (cells, tmp_path / "a.h5ad"):
        read = read_cells(source, Reads(), totals="n_counts", only={"donor": ["two"]})
        np.testing.assert_array_equal(read.obsm["X_mine"], cells.obsm["X_mine"][keep])
        np.testing.assert_array_equal(read.obs["total_counts"], (1000 + np.arange(17))[keep])


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ({"luovain": ["B cells"]}, "obs has no column 'luovain' to choose cells by (only); did you mean 'louvain'?"),
        ({"louvain": ["B cell"]}, "obs['louvain'] has no value 'B cell' (only); did you mean 'B cells'"),
        ({"louvain": []}, "only['louvain'] names no value; expected at least one"),
        (
            {"louvain": "B cells"},
            "only['louvain'] is the text 'B cells'; expected a list of values, such as ['B cells']",
        ),
    ],
)
def test_what_cannot_be_chosen_is_one_message_with_near_matches(cells, table, only, said):
    problems = refused(cells, genes=table, only=only)
    assert len(problems) == 1
    assert problems[0].startswith(said)


def test_values_that_no_cell_has_together_are_named(cells, table):
    cells.obs["half"] = pd.Categorical(np.where(cells.obs["donor"] == "one", "a", "b"))
    said = refused(cells, genes=table, only={"donor": ["one"], "half": ["b"]})
    assert said == ["no cell has all of what only asks for (donor: one; half: b)"]


def test_the_users_object_keeps_all_cells(cells):
    before = cells.copy()
    read_cells(cells, only={"donor": ["one"]})
    assert cells.n_obs == 17
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    assert isinstance(cells, anndata.AnnData)
