"""The tiny run of the workflow's tests."""

from workflow.conftest import asked, finished, run

__all__ = ["asked", "finished", "run"]
