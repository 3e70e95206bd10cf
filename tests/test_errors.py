"""The error tree and the exit codes that the command line gives."""

import pytest

from cellprism.errors import (
    CellprismError,
    CellsError,
    ConfigError,
    DamagedError,
    DiskError,
    InputError,
    ModelError,
    RunError,
)


@pytest.mark.parametrize(
    ("kind", "parent", "code"),
    [
        (CellprismError, Exception, 1),
        (InputError, CellprismError, 2),
        (CellsError, InputError, 2),
        (ModelError, InputError, 2),
        (ConfigError, InputError, 2),
        (RunError, InputError, 2),
        (DiskError, InputError, 2),
        (DamagedError, CellprismError, 3),
    ],
)
def test_every_error_has_its_parent_and_exit_code(kind, parent, code):
    assert kind.__bases__ == (parent,)
    assert kind.exit_code == code


def test_everything_that_is_wrong_with_cells_is_listed_under_their_name():
    error = CellsError("cells.h5ad", ("5 values are negative", "gene 'B2M' occurs twice"))
    assert error.problems == ["5 values are negative", "gene 'B2M' occurs twice"]
    assert str(error).splitlines() == [
        "cells.h5ad cannot be used:",
        "  - 5 values are negative",
        "  - gene 'B2M' occurs twice",
    ]


def test_damage_is_no_mistake_of_the_user():
    assert not issubclass(DamagedError, InputError)
