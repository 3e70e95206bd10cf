"""Cells by a name that stands for how they are made."""

import numpy as np
import pytest

import cellprism as cp
from cellprism.cells.made import is_made
from cellprism.errors import ConfigError
from cellprism.simulate.cells import planted_cells
from cellprism.workflow.sources import cells_identity, moved_name


def test_planted_cells_are_read_by_name():
    read = cp.read_cells("planted:small:3", labels="cell_type")
    made = planted_cells("small", 3)
    assert np.array_equal(read.X.toarray(), made.X.toarray())
    assert read.var_names.tolist() == made.var_names.tolist()
    assert read.obs["cell_type"].tolist() == made.obs["cell_type"].tolist()
    assert read.uns["cellprism"]["source"] == "planted:small:3"
    assert np.array_equal(cp.read_cells("planted:small").X.toarray(), planted_cells("small", 0).X.toarray())


@pytest.mark.parametrize("name", ["planted:smal", "planted:small:x", "planted:small:-1", "planted:", "planted:small:"])
def test_names_that_stand_for_nothing_are_one_message(name):
    with pytest.raises(ConfigError):
        cp.read_cells(name)


def test_a_made_name_is_no_path_and_is_its_own_identity():
    assert is_made("planted:small")
    assert not is_made("planted/small.h5ad")
    assert not is_made("some:file.h5ad")
    assert moved_name("cells", "planted:small", lambda path: f"elsewhere/{path}") == "planted:small"
    assert cells_identity("planted:small") != cells_identity("planted:small:1")
