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


@pytest.mark.parametrize(
    "blank", ["NaN", "nan", "N/A", "n/a", "NA", "<NA>", "None", "null", "#N/A", "", "  ", None, np.nan, pd.NA, pd.NaT]
)
def test_what_other_programs_write_for_nothing_is_no_type(cells, table, blank):
    cells.obs["type"] = pd.Series(["B"] * 16 + [blank], dtype=object, index=cells.obs_names)
    read = read_cells(cells, genes=table, labels="type")
    assert read.obs["cell_type"].value_counts().to_dict() == {"B": 16, "unlabelled": 1}
    assert "1 cells have no type in obs['type']" in str(read.uns["cellprism"]["notes"])


@pytest.mark.parametrize("codes", [np.arange(17) % 7, np.arange(17) % 7 - 1], ids=["codes", "with a missing one"])
@pytest.mark.parametrize("kind", [np.int8, pd.CategoricalDtype(np.arange(-1, 7, dtype=np.int8))])
def test_codes_of_categories_that_lost_their_names_are_refused(cells, table, codes, kind):
    cells.obs["type"] = pd.Series(codes.astype(np.int8), index=cells.obs_names).astype(kind)
    with pytest.raises(
        CellsError, match=r"obs\['type'\] holds codes of categories \(-?\d to \d\) whose names were lost"
    ):
        read_cells(cells, genes=table, labels="type")


def test_clusters_by_number_are_types_with_a_note(cells, table):
    for kind in (np.int64, np.float64, str, "category"):
        cells.obs["type"] = pd.Series(np.arange(17) % 7, index=cells.obs_names).astype(kind)
        read = read_cells(cells, genes=table, labels="type")
        assert sorted(read.obs["cell_type"].cat.categories) == list("0123456")
        assert "the types in obs['type'] are numbers: clusters, or codes" in str(read.uns["cellprism"]["notes"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.arange(400) * 3, "has 400 different numbers in 400 cells, so it holds no types"),
        (np.arange(400) / 7, "holds measures, such as 0, and no cell types"),
        ([f"AC{i}" for i in range(400)], "has 400 different values in 400 cells, so it holds no types"),
        (np.arange(400) % 150, "has 150 different numbers in 400 cells, so it holds no types"),
    ],
    ids=["counts", "shares", "barcodes", "many"],
)
def test_columns_that_are_no_cell_types_are_refused_with_those_that_could_be(values, said):
    obs = pd.DataFrame({"x": values, "louvain": np.array(["B", "T"])[np.arange(400) % 2]})
    problems = label_problems(obs, "x", [])
    assert len(problems) == 1
    assert "there are 'louvain'" in problems[0]
    assert said in problems[0]
