"""The tiny run, made once, and copies of it that a test may spoil."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from workflow.tiny import finished_run, inputs


@pytest.fixture(scope="session")
def asked(tmp_path_factory) -> dict[str, Any]:
    """What the tiny run was asked to do."""
    return inputs(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The tiny run with every step done; not to be changed."""
    return finished_run(tmp_path_factory.getbasetemp())


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of the tiny run that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
