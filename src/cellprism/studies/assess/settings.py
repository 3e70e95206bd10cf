"""Settings of the study: the section ``[assess]``."""

from dataclasses import dataclass

from cellprism.studies.common import check


@dataclass(frozen=True)
class AssessSettings:
    """How good the model is on the run's own cells, beside simpler methods that are fitted on a part of them."""

    test: float = 0.4
    """Share of the cells, of each type, on which everything is judged; simpler methods are fitted on the others."""
    cells: int = 120
    """Most cells that are judged, and most of the others on which the model's own mean of each gene is taken."""
    fit_cells: int = 2000
    """Most cells that simpler methods are fitted on."""
    hidden: float = 0.3
    """Share of the genes that are hidden at a time, the same in all cells; of a model that reads a cell as a whole
    half of each cell's counts are hidden."""
    masks: int = 2
    """Times that other genes are hidden."""

    def __post_init__(self):
        for name, share in (("test", self.test), ("hidden", self.hidden)):
            check(0 < share < 1, name, share, "a number between 0 and 1, such as 0.3")
        for name, count in (("cells", self.cells), ("fit_cells", self.fit_cells)):
            check(count >= 10, name, count, "a whole number of at least 10")
        check(self.masks >= 1, "masks", self.masks, "a whole number of at least 1")
