"""Settings of the study: the section ``[screen]``."""

from dataclasses import dataclass, field

import numpy as np

from cellprism.steering.settings import check_read
from cellprism.studies.common import check


@dataclass(frozen=True)
class ScreenSettings:
    """What every feature is screened for, and how many are passed exactly."""

    cells: int = 200
    """Most cells, as many of each type as there are."""
    source: str = field(default="", metadata={"cell_type": True})
    """Type from which the axis of type means leads; empty: the commonest."""
    target: str = field(default="", metadata={"cell_type": True})
    """Type to which it leads; empty: the second commonest."""
    programs: tuple[str, ...] = ("Cytotoxic",)
    """Programs, by words of the terms' names, whose scores features are screened for."""
    judge: str = field(default="", metadata={"source": "path"})
    """A linear model of expression made by others, as parquet: a row a gene, columns ``mean``, ``scale`` and one a
    class; empty: none."""
    toward: str = "CD8"
    """How the names of the judge's classes begin that raise its score."""
    against: str = "CD4"
    """How the names of those begin that lower it."""
    exact: float = 0.05
    """Share of the firing features that are passed exactly: the strongest by the screen, and as many others at
    random."""
    strengths: tuple[float, ...] = (0.0, 2.0, 5.0)
    """Strengths of the exact passes; 0 and 2 are the mirror pair."""
    reach_from: float = 1e-3
    """Change of a gene, at strength 5, from which a feature reaches it."""
    dictionaries: int = 5
    """Dictionaries that nobody trained, of each kind, beside the autoencoder; fewer than 5 allow no verdict."""
    controls: int = 99
    """Features of such dictionaries beside each feature: those most like it in firing, edit and list."""
    range: tuple[float, ...] = (-10.0, -5.0, -3.0, -1.0, 0.0, 2.0, 3.0, 5.0, 10.0, 20.0)
    """Strengths tried for how far is too far."""
    batch_size: int = 16
    """Rows per forward pass; where genes are read hidden a cell has four."""
    read: str = ""
    """Where genes are read: ``hidden``, ``visible``, or empty for where the model was trained."""

    def __post_init__(self):
        check(self.cells >= 8, "cells", self.cells, "a whole number of at least 8")
        check(0 < self.exact <= 0.5, "exact", self.exact, "a share above 0, of at most 0.5")
        check({0.0, 2.0, 5.0} <= set(self.strengths), "strengths", self.strengths, "0, 2 and 5 among them")
        check(bool(np.isfinite(self.strengths).all()), "strengths", self.strengths, "finite numbers")
        check(bool(np.isfinite(self.range).all()), "range", self.range, "finite numbers")
        check(self.dictionaries >= 0, "dictionaries", self.dictionaries, "a whole number of at least 0")
        check(self.controls >= 1, "controls", self.controls, "a whole number of at least 1")
        check(self.batch_size >= 1, "batch_size", self.batch_size, "a whole number of at least 1")
        check(self.reach_from > 0, "reach_from", self.reach_from, "a number above 0")
        check_read(self.read)
