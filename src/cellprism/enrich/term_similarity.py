"""How alike gene lists are in what they mean: their terms held against each other.

Notable choices

- A list's terms are the few that it is most enriched in, whatever their p: so every list that shares a gene with a term
  has some, and lists whose genes were given other names have as many.
- Terms are alike as far as they share genes (Jaccard). Lists are alike by the best match of each term of one among the
  terms of the other, both ways.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cellprism.enrich.over_representation import Hits

TOP = 3
"""Terms of a list."""


def term_jaccard(member: Any) -> Float[np.ndarray, "term term"]:
    """Shared genes of two terms over the genes of either.

    Args:
        member: sparse [term gene], 1 where the gene is in the term.
    """
    member = csr_array(member, dtype=np.float32)
    shared = (member @ member.T).toarray()
    size = shared.diagonal()
    return shared / np.maximum(size[:, None] + size[None, :] - shared, 1)


def top_terms(hits: Hits, lists: int, terms: int) -> csr_array:
    """The terms in which each list is most enriched [list term]: at most ``TOP``, each row adding up to 1; no entry for
    a list that shares no gene with any term. Of equal p-values the term that comes first is taken."""
    order = np.lexsort((hits.term, hits.pvalue, hits.row))
    row, term = hits.row[order], hits.term[order]
    first = np.searchsorted(row, np.arange(lists))
    kept = np.arange(len(row)) - first[row] < TOP
    counts = np.bincount(row[kept], minlength=lists)
    return csr_array((1 / counts[row[kept]], (row[kept], term[kept])), shape=(lists, terms))


def best_match(profile: csr_array, similarity: Float[np.ndarray, "term term"]) -> Float[np.ndarray, "list list"]:
    """How alike lists are by their terms, from 0 to 1; 0 for a list without any.

    Formula: (mean over terms t of a of max over terms u of b of s_tu, plus the same the other way) / 2.

    Args:
        profile: from ``top_terms``.
        similarity: s, of terms.
    """
    lists = len(profile.indptr) - 1
    term, row = profile.indices, np.repeat(np.arange(lists), np.diff(profile.indptr))
    place = np.arange(len(term)) - profile.indptr[row]
    best = np.zeros((len(similarity), lists), dtype=np.float32)  # of each term in each list
    for number in range(TOP):
        some = place == number
        best[:, row[some]] = np.maximum(best[:, row[some]], similarity[:, term[some]])
    one_way = profile @ best
    return (one_way + one_way.T) / 2


def within_and_between(alike: Float[np.ndarray, "list list"], group: Int[np.ndarray, " list"]) -> tuple[float, float]:
    """Mean similarity of pairs of lists of one group, and of pairs that are not of one; NaN where there are none.

    Args:
        alike: symmetric similarities.
        group: number of each list's group; -1: a group of its own.
    """
    n, grouped = len(group), np.flatnonzero(group >= 0)
    ones = np.ones(len(grouped), dtype=np.float32)
    member = csr_array((ones, (group[grouped], grouped)), shape=(group.max(initial=-1) + 1, n))
    own = alike.diagonal()
    within = float((member @ alike)[group[grouped], grouped].sum(dtype=np.float64) - own[grouped].sum())
    size = np.bincount(group[grouped])
    pairs = int((size * (size - 1)).sum())
    others = n * (n - 1) - pairs
    between = float(alike.sum(dtype=np.float64) - own.sum()) - within
    return within / pairs if pairs else np.nan, between / others if others else np.nan
