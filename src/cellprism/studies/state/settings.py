"""Settings of the study: the section ``[state]``."""

from dataclasses import dataclass

from cellprism.studies.common import check


@dataclass(frozen=True)
class StateSettings:
    """Whether features stand for genes or for states of cells, and what else goes with them."""

    cells: int = 2000
    """Most cells, drawn at random, over which features are followed."""
    columns: tuple[str, ...] = ()
    """Columns of obs that may lie behind a feature, numbers or groups of cells; empty: those called ``donor``,
    ``batch`` or ``chemistry`` that there are. Depth, mitochondrial and ribosomal counts and cell cycle are always
    looked at where the cells tell them."""
    permutations: int = 1999
    """Times that each of these is dealt out among the cells at random; fewer than 39 allow no verdict."""

    def __post_init__(self):
        check(self.cells >= 8, "cells", self.cells, "a whole number of at least 8")
        check(self.permutations >= 1, "permutations", self.permutations, "a whole number of at least 1")
