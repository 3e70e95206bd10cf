"""Settings of the study: the section ``[naming]``."""

from dataclasses import dataclass, field

from cellprism.studies.common import check


@dataclass(frozen=True)
class NamingSettings:
    """A short label for every feature, from cell types, programs and genes."""

    cells: int = 2000
    """Most cells, drawn at random; labels are chosen on one half, of donors where there are some, and judged on the
    other."""
    draws: int = 199
    """Labels like each feature's own, of other genes or other cells, that it is judged beside."""
    other: str = field(default="", metadata={"source": "cells"})
    """Cells of another donor to judge labels on instead; a file or the name of a data set, and then all cells of the
    run choose."""

    def __post_init__(self):
        check(self.cells >= 20, "cells", self.cells, "a whole number of at least 20")
        check(self.draws >= 39, "draws", self.draws, "a whole number of at least 39, with which p can be below .05")
