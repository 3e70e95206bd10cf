"""Settings of the study: the section ``[map]``."""

from dataclasses import dataclass

from cellprism.studies.common import check


@dataclass(frozen=True)
class MapSettings:
    """The map of features; needs the extra ``graph``."""

    overlap: float = 0.2
    """Features are joined where their gene lists overlap by more than this: |A n B| / sqrt(|A| |B|)."""
    resolution: float = 1.0
    """Of modules of features that are active together; larger makes more and smaller ones."""
    cells: int = 2000
    """Most cells, drawn at random, that are put on a map by their features."""
    permutations: int = 999
    """Times that features are dealt out among the components at random."""
    renamed: int = 99
    """Times that genes get each other's names, to see how alike features of a component are by sharing genes alone;
    fewer than 39 allow no verdict."""

    def __post_init__(self):
        check(0 <= self.overlap < 1, "overlap", self.overlap, "a number from 0 to below 1, such as 0.2")
        check(self.resolution > 0, "resolution", self.resolution, "a number above 0, such as 1")
        check(self.cells >= 8, "cells", self.cells, "a whole number of at least 8")
        check(self.permutations >= 1, "permutations", self.permutations, "a whole number of at least 1")
        check(self.renamed >= 1, "renamed", self.renamed, "a whole number of at least 1")
