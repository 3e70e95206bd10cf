"""Made-up run folders, and the tiny run of the workflow's tests."""

import shutil
from pathlib import Path

import pytest
from workflow.conftest import asked, finished, run

from studies.made_up import Shown, make_run, poison, shown

__all__ = ["asked", "finished", "run"]
HOSTILE = """<script>alert("x")</script><img src=x onerror='alert(1)'>&amp;"""


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory) -> Path:
    """A run folder with every step; not to be changed."""
    return make_run(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def run_folder(whole_run, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(whole_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def hostile_run(whole_run, tmp_path_factory) -> Path:
    """The same run with markup and scripts in every name."""
    return poison(Path(shutil.copytree(whole_run, tmp_path_factory.mktemp("runs") / "hostile")), HOSTILE)


@pytest.fixture(scope="session")
def page(whole_run) -> Shown:
    """What the page of the whole run is made of."""
    return shown(whole_run)
