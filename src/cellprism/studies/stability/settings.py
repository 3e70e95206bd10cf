"""Settings of the study: the section ``[stability]``."""

from dataclasses import dataclass, field

from cellprism.studies.common import check


@dataclass(frozen=True)
class StabilitySettings:
    """Which features another training finds again."""

    seeds: int = 10
    """Autoencoders that are compared, the run's own and further ones of other seeds, which are trained for it on the
    same tokens."""
    cells: int = 200
    """Most cells, drawn at random, on which gene profiles are compared."""
    draws: int = 39
    """Dictionaries with the covariance of the tokens that are drawn; fewer than 39 allow no verdict."""
    other: str = field(default="", metadata={"source": "cells"})
    """Cells of another donor: as many autoencoders are trained on them and compared as well; a file or the name of a
    data set; empty: none. A strict test takes a model that was not trained on them."""

    def __post_init__(self):
        check(self.seeds >= 2, "seeds", self.seeds, "a whole number of at least 2")
        check(self.cells >= 5, "cells", self.cells, "a whole number of at least 5")
        check(self.draws >= 1, "draws", self.draws, "a whole number of at least 1")
