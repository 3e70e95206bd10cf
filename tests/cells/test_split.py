import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellprism.cells.split import part_sizes, split_cells
from cellprism.errors import CellsError, ConfigError


def labelled(types: list[str]) -> anndata.AnnData:
    return anndata.AnnData(obs=pd.DataFrame({"cell_type": types}, index=[f"c{i}" for i in range(len(types))]))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=97), st.integers(0, 99))
def test_parts_are_disjoint_and_together_all_cells(types, seed):
    parts = split_cells(labelled(types), seed=seed)
    assert list(parts) == ["train", "validation", "test"]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(types)))
    assert all((np.diff(rows) > 0).all() for rows in parts.values())


def test_every_type_is_split_in_the_given_shares():
    types = ["a"] * 50 + ["b"] * 25 + ["c"] * 3 + ["d"] * 1
    parts = split_cells(labelled(types), seed=3)
    sizes = {t: [sum(types[i] == t for i in rows) for rows in parts.values()] for t in "abcd"}
    assert sizes == {"a": [30, 10, 10], "b": [15, 5, 5], "c": [1, 1, 1], "d": [1, 0, 0]}


@given(st.integers(0, 500), st.lists(st.integers(1, 20), min_size=2, max_size=3))
def test_sizes_sum_up_stay_within_one_of_their_share_and_are_not_empty(n, weights):
    shares = np.array(weights) / sum(weights)
    sizes = part_sizes(n, shares)
    assert sizes.sum() == n
    if n >= len(weights):
        assert (sizes > 0).all()
    if (shares * n >= 1).all():
        assert (np.abs(sizes - shares * n) < 1).all()


def test_the_seed_decides():
    cells = labelled(["a"] * 31)
    first, again, other = (split_cells(cells, seed=s)["test"].tolist() for s in (1, 1, 2))
    assert first == again != other


def test_two_shares_give_train_and_test_and_no_column_is_needed():
    parts = split_cells(anndata.AnnData(np.ones((17, 1), dtype=np.float32)), (0.75, 0.25), by=None)
    assert {name: rows.size for name, rows in parts.items()} == {"train": 13, "test": 4}


@pytest.mark.parametrize("fractions", [(0.5, 0.4), (1.0,), (1.2, -0.2), (0.25, 0.25, 0.25, 0.25)])
def test_shares_that_are_no_split_are_refused(fractions):
    with pytest.raises(ConfigError, match="must be two or three positive numbers that sum to 1"):
        split_cells(labelled(["a", "b"]), fractions)


def test_an_unknown_column_names_near_matches():
    with pytest.raises(CellsError, match="obs has no column 'celltype' to split by; did you mean 'cell_type'"):
        split_cells(labelled(["a", "b"]), by="celltype")
