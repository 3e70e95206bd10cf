"""Settings of the study: the section ``[lens]``."""

from dataclasses import dataclass

from cellprism.enrich.term_tests import TERM_TESTS
from cellprism.studies.common import check

LOW, REST = "low", "rest"
DIFFERENTIAL = ("mannwhitney", "welch")


@dataclass(frozen=True)
class LensSettings:
    """Cells in which a feature is high, their genes and terms."""

    high: float = 0.99
    """Quantile of a feature's activation over cells above which it is high."""
    low: float = 0.01
    """Quantile at or below which it is low; a cell in which it does not fire is low too."""
    against: str = LOW
    """Cells that the high ones are compared with: those where the feature is ``low``, or all the ``rest``."""
    fewest: int = 5
    """Cells that must be high, and as many low; other features are not read."""
    test: str = "mannwhitney"
    """Test of differential genes: ``mannwhitney`` or ``welch``."""
    alpha: float = 0.05
    """Genes, terms and rare cells count at a corrected p-value below this."""
    genes: int = 100
    """Most differential genes of a feature in each direction, those with the smallest p first."""
    terms: str = "hypergeometric"
    """Test of terms, corrected over all terms and features: ``hypergeometric``, ``binomial`` or ``rank``."""
    term_sizes: tuple[int, ...] = (3, 500)
    """Fewest and most genes of a term, among the genes tested."""
    neighbours: int = 15
    """Neighbours of a cell in the graph of the counts' principal components."""
    components: int = 30
    """Principal components."""
    draws: int = 999
    """Draws of random cells of the same types, for rare cells."""
    set_high: int = 4
    """Features that are set high in all cells to see what the model predicts then, each the best for a term that is
    drawn at random; 0 for none."""
    features: tuple[int, ...] = ()
    """Features by number that are set high instead."""
    cells: int = 64
    """Cells in which features are set high, drawn at random."""
    controls: int = 39
    """Features of random dictionaries beside each; fewer than 39 allow no verdict."""

    def __post_init__(self):
        check(0.5 < self.high < 1, "high", self.high, "a number between 0.5 and 1, such as 0.99")
        check(0 <= self.low < 0.5, "low", self.low, "a number from 0 to 0.5, such as 0.01")
        check(self.against in (LOW, REST), "against", self.against, f"{LOW!r} or {REST!r}")
        check(self.test in DIFFERENTIAL, "test", self.test, f"one of {', '.join(DIFFERENTIAL)}")
        check(self.terms in TERM_TESTS, "terms", self.terms, f"one of {', '.join(TERM_TESTS)}")
        check(0 < self.alpha < 1, "alpha", self.alpha, "a number between 0 and 1, such as 0.05")
        for name, least in {"fewest": 2, "genes": 1, "neighbours": 1, "components": 2, "draws": 1, "cells": 1}.items():
            check(getattr(self, name) >= least, name, getattr(self, name), f"a whole number of at least {least}")
        for name in ("set_high", "controls"):
            check(getattr(self, name) >= 0, name, getattr(self, name), "a whole number of 0 or more")
        ends = self.term_sizes
        check(len(ends) == 2 and 1 <= ends[0] <= ends[1], "term_sizes", ends, "two numbers, such as [3, 500]")
