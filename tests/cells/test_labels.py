import numpy as np
import pandas as pd
import pytest

from cellprism.cells.labels import cell_types, label_problems, possible_columns
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError


def test_missing_and_blank_types_are_unlabelled():
    obs = pd.DataFrame({"t": ["B", None, np.nan, "", " NK ", "nan"]})
    assert cell_types(obs, "t").tolist() == [
        "B",
        "unlabelled",
        "unlabelled",
        "unlabelled",
        "NK",
        "unlabelled",
    ]


def test_numbers_of_clusters_are_types():
    assert cell_types(pd.DataFrame({"t": [0, 1, 10]}), "t").tolist() == ["0", "1", "10"]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("CD8 T cell", "did you mean 'CD8 T cells' or 'CD4 T cells'"),
        ("cd8 t cells", "did you mean 'CD8 T cells'"),
        ("CD8", "did you mean 'CD8 T cells'"),
        ("Erythroid", "there are 'B cells', 'CD4 T cells', 'CD8 T cells', 'NK cells'"),
    ],
)
def test_an_unknown_type_names_near_matches_or_all_types(cells, asked, answer):
    said = label_problems(cells.obs, "louvain", [asked])
    assert len(said) == 1
    assert said[0].startswith(f"obs['louvain'] has no cell type {asked!r}; {answer}")


def test_all_unknown_types_are_listed(cells, table):
    with pytest.raises(CellsError) as error:
        read_cells(cells, genes=table, labels="louvain", types=["CD4 T cells", "B-cells", "Tregs"])
    assert [p.split(";")[0] for p in error.value.problems] == [
        "obs['louvain'] has no cell type 'B-cells'",
        "obs['louvain'] has no cell type 'Tregs'",
    ]


def test_types_asked_for_without_a_column_name_the_possible_columns(cells, table):
    with pytest.raises(
        CellsError, match=r"cell types 'B' were asked for, but no column that holds them; name it with labels = COLUMN"
    ) as e:
        read_cells(cells, genes=table, types=["B"])
    assert "'louvain', 'donor'" in str(e.value)


def test_an_unknown_column_without_near_matches_lists_the_columns(cells, table):
    with pytest.raises(CellsError, match=r"obs has no column 'zzz' .*; there are 'louvain', 'donor', 'age'"):
        read_cells(cells, genes=table, labels="zzz")


def test_an_empty_column_is_refused(cells, table):
    cells.obs["none"] = pd.Series([None] * 17, dtype=object, index=cells.obs_names)
    with pytest.raises(CellsError, match=r"obs\['none'\] is empty: no cell has a type; there are 'louvain', 'donor'"):
        read_cells(cells, genes=table, labels="none")


def test_possible_columns_are_text_with_some_but_not_all_different_values(cells):
    cells.obs["barcode"] = cells.obs_names
    cells.obs["same"] = "x"
    assert possible_columns(cells.obs) == ["louvain", "donor"]


def test_without_labels_a_note_names_the_possible_columns(cells, table):
    read = read_cells(cells, genes=table)
    assert "cell_type" not in read.obs
    notes = read.uns["cellprism"]["notes"].tolist()
    assert any(n.endswith("columns of obs that could hold them: 'louvain', 'donor'") for n in notes)


def test_a_column_called_cell_type_needs_no_asking_and_is_replaced_only_with_a_note(cells, table):
    cells.obs["cell_type"] = ["T"] * 16 + [None]
    read = read_cells(cells, genes=table)
    assert read.obs["cell_type"].value_counts().to_dict() == {"T": 16, "unlabelled": 1}
    assert "1 cells have no type in obs['cell_type'] and are called 'unlabelled'" in read.uns["cellprism"]["notes"]
    other = read_cells(cells, genes=table, labels="donor")
    assert other.obs["cell_type"].tolist() == cells.obs["donor"].tolist()
    assert "obs['cell_type'] as read was replaced by obs['donor']" in other.uns["cellprism"]["notes"]
