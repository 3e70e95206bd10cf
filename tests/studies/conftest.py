"""The tiny run, and copies of it that a test may spoil."""

from workflow.conftest import asked, finished, run  # noqa: F401
