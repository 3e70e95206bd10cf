"""Features that share genes, and whether features of one group mean the same beyond that.

Notable choices

- Features of a group share genes, so they share terms too, whatever genes mean. So genes also get each other's names,
  among genes that are in about as many terms: lists overlap as before, and what is alike then is alike by that alone.
- Beside the components stand lists that use each gene as often: the same popular genes join lists by themselves.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cellprism.enrich.membership import Lists, Terms, list_table
from cellprism.enrich.over_representation import Tails, find_hits
from cellprism.enrich.overlap_graph import Overlaps, overlaps
from cellprism.enrich.random_lists import GeneTable, gene_table, gene_use_table, popularity_table
from cellprism.enrich.term_similarity import best_match, term_jaccard, top_terms, within_and_between
from cellprism.equations.effects import permutation_p
from cellprism.studies.map.tables import Alike, Graph

DRAWS = 20  # of lists that use each gene as often
EDGES = np.round(np.linspace(0, 1.0001, 21), 2)
"""Of the histogram of overlaps."""


def graph_of(found: Overlaps, component: Int[np.ndarray, " list"]) -> Graph:
    """Size and components of a graph whose pairs are those above the limit."""
    counts = np.bincount(component[component >= 0])
    return Graph(
        found.lists, len(found.value), len(counts), int(counts.max(initial=1)) if found.lists else 0,
        int((component < 0).sum()),
    )  # fmt: skip


def random_graphs(
    lists: Mapping[str, tuple[str, ...]], terms: Terms, limit: float, seed: int
) -> tuple[Graph, Float[np.ndarray, " bin"]]:
    """The same of lists that use each gene as often, the mean over draws; and the histogram of their overlaps."""
    table = gene_table(lists.values(), terms.gene)
    graphs, counts = [], []
    for number in range(DRAWS):
        drawn = overlaps(_lists(gene_use_table(table, terms.background_size, [seed, 67, number]), terms).member)
        joined = drawn.above(limit)
        graphs.append(graph_of(joined, joined.components()))
        counts.append(drawn.histogram(EDGES))
    means = {name: round(np.mean([getattr(g, name) for g in graphs])) for name in Graph.__dataclass_fields__}
    return Graph(**means), np.mean(counts, axis=0)


def histogram_table(found: Overlaps, random: Float[np.ndarray, " bin"]) -> pd.DataFrame:
    """low, high, pairs, random."""
    return pd.DataFrame({"low": EDGES[:-1], "high": EDGES[1:], "pairs": found.histogram(EDGES), "random": random})


class Meaning:
    """What lists mean, by the terms that they are most enriched in.

    Args:
        lists: genes of each feature.
        terms: those tested.
    """

    def __init__(self, lists: Mapping[str, tuple[str, ...]], terms: Terms):
        self.terms, self.tails = terms, Tails(terms.background_size)
        self.similarity = term_jaccard(terms.member)
        self.table = gene_table(lists.values(), terms.gene)
        self.own = list_table(lists.values(), terms)

    def difference(self, sets: Lists, group: Int[np.ndarray, " list"]) -> float:
        """Mean similarity within groups minus that between them."""
        profile = self.profile(sets)
        has = np.diff(profile.indptr) > 0
        within, between = within_and_between(best_match(profile[has], self.similarity), group[has])
        return within - between

    def profile(self, sets: Lists) -> csr_array:
        """The terms of each list."""
        return top_terms(find_hits(sets, self.terms, self.tails), len(sets.size), len(self.terms.names))

    def renamed(self, seed: list[int]) -> Lists:
        """The lists with genes named as others that are in about as many terms."""
        return _lists(popularity_table(self.table, self.terms, seed), self.terms)


def alike(
    meaning: Meaning, groups: str, group: Int[np.ndarray, " list"], permutations: int, renamings: int, seed: int
) -> Alike | str:
    """Whether lists of one group mean the same; the reason where that cannot be asked.

    Args:
        meaning: of the lists.
        groups: what the groups are.
        group: number of each list's group; -1: a group of its own.
        permutations: times that lists are dealt out among the groups.
        renamings: times that genes get each other's names.
        seed: of both.
    """
    profile = meaning.profile(meaning.own)
    has = np.diff(profile.indptr) > 0
    its, similar = group[has], best_match(profile[has], meaning.similarity)
    within, between = within_and_between(similar, its)
    value = within - between
    if np.isnan(value):
        return "all features with a program are of one group, or each is of its own"
    rng = np.random.default_rng([seed, 71])
    dealt = [np.subtract(*within_and_between(similar, rng.permutation(its))) for _ in range(permutations)]
    renamed = [meaning.difference(meaning.renamed([seed, 73, i]), group) for i in range(renamings)]
    if np.isnan(renamed).any():
        return "too few features share genes with programs once genes have each other's names"
    (low, high), (least, most) = (np.quantile(some, [0.025, 0.975]) for some in (dealt, renamed))
    return Alike(
        groups, int(has.sum()), within, between, value,
        float(np.mean(dealt)), (float(low), float(high)), permutation_p(value, dealt), permutations,
        float(np.mean(renamed)), (float(least), float(most)), permutation_p(value, renamed), renamings,
    )  # fmt: skip


def _lists(table: GeneTable, terms: Terms) -> Lists:
    """Lists in numbers over the background of the terms."""
    row, column = np.repeat(np.arange(len(table.size)), table.size), table.gene[table.inside]
    shape: Any = (len(table.size), terms.background_size)
    return Lists(csr_array((np.ones(len(row), dtype=np.int32), (row, column)), shape=shape), table.size, 0)
