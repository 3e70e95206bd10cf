"""Settings of the study: the section ``[fit]``."""

from dataclasses import dataclass, field

from cellprism.studies.common import check


@dataclass(frozen=True)
class FitSettings:
    """How well the autoencoder stands for the model."""

    cells: int = 200
    """Cells, drawn at random, whose hidden genes the model predicts with the autoencoder spliced in."""
    hidden: float = 0.3
    """Share of each cell's genes that are hidden."""
    draws: int = 39
    """Dictionaries of each fair kind that are drawn; fewer than 39 allow no verdict."""
    other: str = field(default="", metadata={"source": "cells"})
    """Cells of another data set to measure the fit on: a file or the name of a data set; empty: none."""

    def __post_init__(self):
        check(self.cells >= 1, "cells", self.cells, "a whole number of at least 1")
        check(self.draws >= 1, "draws", self.draws, "a whole number of at least 1")
        check(0 < self.hidden < 1, "hidden", self.hidden, "a number between 0 and 1, such as 0.3")
