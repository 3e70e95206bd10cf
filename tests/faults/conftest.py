"""What a training gives that nothing happens to."""

from pathlib import Path

import pytest

from faults.training import train


@pytest.fixture(scope="package")
def unbroken(tmp_path_factory) -> Path:
    """The folder of a training that was never stopped."""
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder)
    return folder
