"""Made-up run folders."""

from browsing import browser
from studies.conftest import hostile_run, page, run_folder, whole_run

__all__ = ["browser", "hostile_run", "page", "run_folder", "whole_run"]
