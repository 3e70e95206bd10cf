"""How often lists match a program, how many programs, and how informative these are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cellprism.enrich.list_rules import Lists
from cellprism.enrich.membership import information_in, list_table, term_table
from cellprism.enrich.nulls import matches
from cellprism.enrich.over_representation import Tails
from cellprism.equations.subsets import expected_distinct
from cellprism.studies.programs.gene_lists import as_many

EVERY_TEST = "all-tests"
"""The correction under which a list's matches depend on how many lists there are."""


@dataclass(frozen=True, eq=False)
class Matched:
    """What some lists match."""

    rate: float
    """Share of the lists that match a program."""
    counts: Int[np.ndarray, " term"]
    """Lists that match each."""
    total: int
    """Lists."""
    best: Float[np.ndarray, " list"]
    """The information of the most informative program that each list matches; NaN where it matches none."""

    def distinct(self, n: int) -> float:
        """Programs that n of the lists match on average."""
        return expected_distinct(self.counts, self.total, n)


class Scorer:
    """Tests lists against a collection.

    Args:
        collection: term -> genes.
        background: genes that may be in a list.
        min_term_size: terms with fewer genes in the background are not tested.
        family: tests corrected together.
        alpha: a list matches a term at a q-value below this.

    Raises:
        ConfigError: no term has enough genes in the background.
    """

    def __init__(
        self,
        collection: Mapping[str, Any],
        background: tuple[str, ...],
        min_term_size: int,
        family: str,
        alpha: float,
    ):
        self.terms, self.family, self.alpha = term_table(collection, background, min_term_size), family, alpha
        self.tails = Tails(self.terms.background_size)
        self.information = information_in(self.terms, collection)

    def matched(self, lists: Lists) -> Matched:
        """What some lists match; there must be at least one."""
        row, term = matches(list_table(lists.values(), self.terms), self.terms, self.tails, self.family, self.alpha)
        best = np.full(len(lists), np.nan)
        np.fmax.at(best, row, self.information[term])
        counts = np.bincount(term, minlength=len(self.terms.names))
        return Matched(len(np.unique(row)) / len(lists), counts, len(lists), best)

    def beside(self, ours: Lists, theirs: Lists, rng: np.random.Generator) -> tuple[Matched, Matched]:
        """What both match. Where a list's matches depend on how many there are, as many of each, drawn at random."""
        if self.family == EVERY_TEST:
            ours, theirs = as_many(ours, theirs, rng)
        return self.matched(ours), self.matched(theirs)
