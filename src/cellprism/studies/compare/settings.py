"""Settings of the study: the section ``[compare]``."""

from dataclasses import dataclass

from cellprism.studies.common import check

FEWEST_DONORS = 3


@dataclass(frozen=True)
class CompareSettings:
    """Which conditions of which donors to compare."""

    condition: str = ""
    """obs column with the conditions, such as a treatment, a disease or ``cell_type``; must be given."""
    donor: str = "donor"
    """obs column that says whom a cell is from."""
    case: str = ""
    """The condition that is compared; empty: of two, the one that is not called control, healthy, untreated or the
    like, else the second in alphabetical order."""
    control: str = ""
    """The condition that it is compared with; empty: all others."""
    cell_type: str = ""
    """Compare within this cell type alone; empty: in all cells."""
    cells: int = 10
    """Fewest cells of a donor in a condition; a donor with fewer is left out."""
    alpha: float = 0.05
    """A feature differs at a q-value below this, corrected over all features."""
    permutations: int = 999
    """Most ways of dealing the donors to the conditions; all of them where there are fewer."""

    def __post_init__(self):
        check(self.cells >= 1, "cells", self.cells, "a whole number of at least 1")
        check(0 < self.alpha < 1, "alpha", self.alpha, "a number between 0 and 1, such as 0.05")
        check(self.permutations >= 1, "permutations", self.permutations, "a whole number of at least 1")
        check(bool(self.donor.strip()), "donor", self.donor, "the name of an obs column")
