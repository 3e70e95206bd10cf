"""Settings of the study: the section ``[steer]``."""

from dataclasses import dataclass, field

from cellprism.steering.settings import DoseSettings
from cellprism.studies.common import check


@dataclass(frozen=True)
class SteerSettings:
    """Which features to turn up and down, on how many cells."""

    programs: tuple[str, ...] = ("Interferon", "Cytotoxic", "B cell")
    """Programs looked for in the terms' names; the feature that fits each best is steered."""
    cells: int = 64
    """Cells steered, as many of each cell type as there are, since a feature of rare cells fires in few others."""
    doses: DoseSettings = field(default_factory=DoseSettings)
    """Strengths and controls."""

    def __post_init__(self):
        check(self.cells >= 1, "cells", self.cells, "a whole number of at least 1")
