"""Made-up run folders, and a browser where there is one."""

import shutil
from pathlib import Path

import pytest

from cellprism.report.facts import RunFacts
from cellprism.report.inputs import read_run
from report.made_up import make_run, poison

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
def facts(whole_run) -> RunFacts:
    """What a page is made of."""
    return read_run(whole_run)
