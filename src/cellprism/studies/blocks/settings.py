"""Settings of the study: the section ``[blocks]``."""

from dataclasses import dataclass

from cellprism.studies.common import check


@dataclass(frozen=True)
class BlocksSettings:
    """How much there is to find in each block."""

    k: int = 4
    """Directions that a token is rebuilt from."""
    expansion: int = 8
    """Directions of a dictionary, per dimension of the inner state."""
    cells: int = 200
    """Cells, drawn at random; half of them give directions and train a dictionary, the other half judge."""
    draws: int = 3
    """Dictionaries of each fair kind that are drawn beside a trained one."""
    epochs: int = 2
    """Passes over the tokens of the training half."""

    def __post_init__(self):
        check(self.cells >= 20, "cells", self.cells, "a whole number of at least 20")
        check(self.k >= 1, "k", self.k, "a whole number of at least 1")
        check(self.expansion >= 1, "expansion", self.expansion, "a whole number of at least 1")
        check(self.draws >= 1, "draws", self.draws, "a whole number of at least 1")
        check(self.epochs >= 1, "epochs", self.epochs, "a whole number of at least 1")
