"""Settings of the study: the section ``[regulation]``."""

from dataclasses import dataclass, field

from cellprism.studies.common import check


@dataclass(frozen=True)
class RegulationSettings:
    """Does the model know who regulates whom, or only who goes with whom?"""

    edges: str = field(default="", metadata={"source": "path"})
    """Literature edges: a CSV, TSV or parquet file with columns ``source``, ``target`` and, where known, ``weight``,
    such as CollecTRI; without one nothing is asked."""
    screen: str = field(default="", metadata={"source": "path"})
    """A screen: a table with ``gene``, ``screen`` (its last word is the gene that was read), ``log2_fold_change`` of
    the knock-down; empty: none."""
    perturbations: str = field(default="", metadata={"source": "path"})
    """Measured edges: a table with ``perturbed_gene``, ``measured_gene``, ``log_fc`` of the knock-down; empty: none."""
    signature: str = field(default="", metadata={"source": "path"})
    """Genes that differ between two states, beside which the response to one gene is put: a table with ``gene`` and
    ``log2_fold_change``; empty: none."""
    raised: str = "TBX21"
    """The gene that is raised beside the signature."""
    factors: tuple[str, ...] = ()
    """Factors to ask about; empty: all that have enough targets, those with most first."""
    types: tuple[str, ...] = ()
    """Cell types to ask in; empty: the three most frequent."""
    cells: int = 2
    """Cells of each type, drawn at random; the cost grows with them."""
    genes: int = 300
    """Most genes whose input is set and whose prediction is read: at most a quarter factors and half targets, the rest
    like the targets; the cost grows with the cube."""
    context: int = 150
    """Further genes that are shown, the best expressed ones."""
    detected: float = 0.01
    """Share of cells that must express a gene."""
    min_targets: int = 10
    """Targets that a factor must have on the panel."""
    matches: int = 3
    """Genes that are matched to each target."""
    doses: tuple[float, ...] = (0.9,)
    """Doses: quantiles of a gene's input over the cells that express it, set beside 0; the last one is judged."""
    strength: float = 2.0
    """How far features are turned at a token: to 1 plus and 1 minus this."""
    untrained: int = 6
    """Networks with fresh random weights, each read in one cell, that must have no direction; 0 for none."""
    committees: int = 20
    """Targets whose regulators are raised together; 0 for none."""
    draws: int = 99
    """Relabelled regulons, and exchanges of measured values, that say what chance gives."""

    def __post_init__(self):
        check(self.cells >= 1, "cells", self.cells, "a whole number of at least 1")
        check(self.genes >= 8, "genes", self.genes, "a whole number of at least 8")
        check(self.context >= 0, "context", self.context, "a whole number of at least 0")
        check(0 <= self.detected < 1, "detected", self.detected, "a share, such as 0.01")
        check(self.min_targets >= 2, "min_targets", self.min_targets, "a whole number of at least 2")
        check(self.matches >= 1, "matches", self.matches, "a whole number of at least 1")
        check(bool(self.doses) and all(0 < q <= 1 for q in self.doses), "doses", self.doses, "quantiles, such as 0.9")
        check(self.strength > 0, "strength", self.strength, "a number above 0")
        check(self.untrained >= 0, "untrained", self.untrained, "a whole number of at least 0")
        check(self.committees >= 0, "committees", self.committees, "a whole number of at least 0")
        check(self.draws >= 1, "draws", self.draws, "a whole number of at least 1")
