"""Made-up run folders."""

from studies.conftest import hostile_run, page, run_folder, whole_run

__all__ = ["hostile_run", "page", "run_folder", "whole_run"]
