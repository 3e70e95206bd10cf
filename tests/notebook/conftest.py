"""The made-up run and the tiny one."""

from studies.conftest import run_folder, whole_run
from workflow.conftest import asked, finished, run

__all__ = ["asked", "finished", "run", "run_folder", "whole_run"]
