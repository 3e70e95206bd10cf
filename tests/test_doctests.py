"""Every public name has an example in its docstring, and the examples run."""

import doctest
import shutil
from types import ModuleType

import pytest
from studies.conftest import whole_run

import cellprism as cp

__all__ = ["whole_run"]
NAMES = [name for name in cp.__all__ if name not in ("tl", "pl", "get")]


@pytest.fixture(scope="module")
def place(whole_run, tmp_path_factory):
    """A folder in which ``demo`` is a finished run."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(whole_run, folder / "demo")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_public_names_run(name, place, monkeypatch):
    monkeypatch.chdir(place)
    found = getattr(cp, name)
    assert not isinstance(found, ModuleType)
    tests = [test for test in doctest.DocTestFinder(recurse=True).find(found, name) if test.examples]
    assert tests, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    for test in tests:
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
