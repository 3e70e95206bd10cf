"""Atlases of the made-up run and of the tiny one, made once a session."""

from pathlib import Path

import pytest
from browsing import browser
from studies.conftest import hostile_run, whole_run
from workflow.conftest import finished
from workflow.tiny import bar

from cellprism.atlas.make import Made, make_atlas

__all__ = ["browser", "finished", "hostile_run", "whole_run"]


@pytest.fixture(scope="session")
def tiny(finished, tmp_path_factory) -> tuple[Path, Made]:
    """The atlas of a real run of 37 cells, whose model is read at hidden genes and steered in the page."""
    out = tmp_path_factory.mktemp("atlas") / "tiny"
    return out, make_atlas(finished, out, bar)


@pytest.fixture(scope="session")
def whole(whole_run, tmp_path_factory) -> tuple[Path, Made]:
    """The atlas of the made-up run, which has no model and no cells file of its own."""
    out = tmp_path_factory.mktemp("atlas") / "whole"
    return out, make_atlas(whole_run, out, bar)


@pytest.fixture(scope="session")
def hostile(hostile_run, tmp_path_factory) -> tuple[Path, Made]:
    """The same with markup and scripts in every name, beside itself."""
    out = tmp_path_factory.mktemp("atlas") / "hostile"
    return out, make_atlas(hostile_run, out, bar, beside=hostile_run)
