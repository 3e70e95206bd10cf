"""Where the tests find real data, and the sizes that no transposition survives."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # test problems are tiny: more threads only wait for each other

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parents[1]
# no test fails because the machine was busy
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real data beside the repository; tests that need it are skipped, with the reason, where it is not."""
    folder = Path(os.environ.get("CELLPRISM_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set CELLPRISM_TEST_DATA to the folder that holds it")
    return folder
