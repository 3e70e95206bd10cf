"""Programs looked for by name: the feature that matches each best, and whether lists made by chance match as well.

- Several terms may bear a name, and the best pair of a feature and a term is told: lists made by chance are as many, as
  long, and choose their best pair in the same way.
- What is not found is told too: a name that no term bears, and one that no list shares a gene with.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.enrich.membership import Lists as Sets
from cellprism.enrich.membership import Terms, list_table, term_table
from cellprism.enrich.nulls import drawers
from cellprism.enrich.over_representation import Tails, find_hits
from cellprism.enrich.random_lists import MakesModules, Seed, coexpression_modules
from cellprism.report.frames import ordered, records, texts, where
from cellprism.studies.programs.gene_lists import Lists
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.programs.tables import SOUGHT_NULLS, Sought


def sought(
    lists: Lists,
    table: pd.DataFrame,
    collection: Mapping[str, Iterable[str]],
    background: tuple[str, ...],
    cells: AnnData,
    settings: ProgramsSettings,
    seed: int,
    modules: MakesModules = coexpression_modules,
) -> list[Sought]:
    """What each of ``settings.sought`` finds.

    Args:
        lists: the features' lists.
        table: what they match (``over_representation``).
        collection: term -> genes.
        background: genes that may be in a list.
        cells: their counts.
        settings: which names, and how many families of lists are drawn for each null.
        seed: of the draws.
        modules: makes co-expression modules, or has them.
    """
    terms = term_table(collection, background, settings.min_term_size)
    borne = {words: named(words, terms) for words in settings.sought}
    wanted = {words: columns for words, columns in borne.items() if len(columns)}
    ours, drawn = {}, {}
    if wanted and lists:
        best = Best(terms, wanted)
        ours = best.of(list_table(lists.values(), terms))
        draws = drawers(lists, terms, cells, SOUGHT_NULLS, modules)
        drawn = _drawn(draws, best, settings.replicates, seed)
    found = []
    for words, columns in borne.items():
        row = _best_row(table, {terms.names[i] for i in columns})
        if row is None:
            found.append(Sought(words, len(columns)))
            continue
        members = set(collection[row.term])
        found.append(Sought(
            words, len(columns), row.term, int(row.feature), tuple(g for g in lists[row.feature] if g in members),
            int(row.set_size), int(row.term_size), float(row.pvalue), float(row.padj),
            {null: as_good(ours[words], values[words]) for null, values in drawn.items()}, settings.replicates,
        ))  # fmt: skip
    return found


def as_good(value: float, drawn: np.ndarray) -> float:
    """One-sided p-value (1 + b) / (1 + n), with b of n families of lists made by chance that match as well."""
    return float((1 + (drawn >= value).sum()) / (1 + len(drawn)))


def named(words: str, terms: Terms) -> np.ndarray:
    """Places of the terms whose name holds the words."""
    return np.flatnonzero([words.strip().casefold() in name.casefold() for name in terms.names])


class Best:
    """The best match of families of lists with some terms.

    Args:
        terms: all of them.
        wanted: words -> places of the terms that bear them; at least one.
    """

    def __init__(self, terms: Terms, wanted: Mapping[str, np.ndarray]):
        columns = np.unique(np.concatenate(list(wanted.values())))
        self.places = {words: np.searchsorted(columns, at) for words, at in wanted.items()}
        self.terms = terms._replace(
            names=tuple(terms.names[i] for i in columns), member=terms.member[columns], size=terms.size[columns]
        )
        self.tails = Tails(terms.background_size)

    def of(self, lists: Sets) -> dict[str, float]:
        """-log10 of the least p-value of any list with any of the terms, by what is wanted."""
        hits = find_hits(lists, self.terms, self.tails)
        least = np.ones(len(self.terms.names))
        np.minimum.at(least, hits.term, hits.pvalue)
        return {words: float(-np.log10(least[at].min())) for words, at in self.places.items()}


def _drawn(
    draws: Mapping[str, Callable[[Seed], Sets]], best: Best, replicates: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Null -> what is wanted -> the best of every family of lists."""
    found = {}
    for number, (null, draw) in enumerate(draws.items()):
        many = [best.of(draw([seed, 83, number, i])) for i in range(replicates)]
        found[null] = {words: np.array([one[words] for one in many]) for words in best.places}
    return found


def _best_row(table: pd.DataFrame, names: set[str]) -> Any:
    """The row of the least p-value of a term of these names, or None."""
    rows = where(table, np.isin(texts(table, "term"), list(names)))
    return next(records(ordered(rows, "pvalue")), None)
