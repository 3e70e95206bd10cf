"""Terms that say nearly the same, counted once: which term stands for which, and what enriched lists cover.

Notable choices

- Two terms say nearly the same when they share more than half of their genes (Jaccard index above the threshold), in
  the background that is tested.
- The rule: terms are gone through from the most to the least informative (information content; of equal ones the larger
  first, then in their order). A term becomes the representative of its own group unless it is nearly the same as an
  earlier representative; then it joins the one that it is most like. So every term is nearly the same as the one that
  stands for it, and no two representatives are. Chains of like terms, which in an ontology lead from a leaf to the
  root, do not make one group.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cellprism.enrich.dependence import ALIKE
from cellprism.enrich.membership import Terms, list_table

ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Coverage:
    """What some lists of genes, taken together, are enriched for."""

    lists: int
    """Lists with a significant term."""
    terms: int
    """Terms that are significant for at least one list."""
    distinct: int
    """The same with terms that say nearly the same counted once."""
    genes: int
    """Genes that a list shares with a term significant for it, counted once over all lists."""
    share: float
    """Of the genes of all terms tested."""


def representatives(
    member: Any, information: Float[np.ndarray, " term"], threshold: float = ALIKE
) -> Int[np.ndarray, " term"]:
    """The place of the term that stands for each term; a representative stands for itself.

    Args:
        member: sparse [term gene], 1 where the gene is in the term; each term has a gene.
        information: information content of each term.
        threshold: terms with a larger Jaccard index say nearly the same.
    """
    member = csr_array(member, dtype=np.int32)
    size = np.diff(member.indptr)
    near = _near(member, size, threshold)
    found = np.full(len(size), -1, dtype=np.int64)
    for term in np.lexsort((-size, -information)):
        row = slice(near.indptr[term], near.indptr[term + 1])
        other, likeness = near.indices[row], near.data[row]
        leads = found[other] == other
        found[term] = other[leads][np.argmax(likeness[leads])] if leads.any() else term
    return found


def coverage(
    table: pd.DataFrame,
    lists: Mapping[Any, Iterable[str]],
    terms: Terms,
    standing: Int[np.ndarray, " term"],
    alpha: float = 0.05,
) -> Coverage:
    """Distinct terms behind some lists, and the genes that lists and terms cover together.

    Args:
        table: from ``over_representation`` of the lists.
        lists: name of the list -> genes.
        terms: the terms that were tested, over the same background.
        standing: from ``representatives`` of these terms.
        alpha: a term is significant at padj < alpha.
    """
    rows = table[table["padj"] < alpha]
    member = list_table(lists.values(), terms).member
    row = pd.Index(list(lists)).get_indexer(rows["feature"])
    term = pd.Index(terms.names).get_indexer(rows["term"])
    shared = member[row].multiply(terms.member[term]).tocoo()
    genes, tested = len(np.unique(shared.col)), len(np.unique(terms.member.indices))
    return Coverage(len(set(row)), len(set(term)), len(set(standing[term])), genes, genes / tested)


def highest_information(table: pd.DataFrame, features: Sequence, alpha: float = 0.05) -> Float[np.ndarray, " feature"]:
    """Information content of the most specific term that each list is enriched for; NaN where it is for none.

    The more lists and terms are tried, and the smaller terms may be, the higher it is by chance: compare lists of one
    size, as many of each, and with what lists made by chance give.

    Args:
        table: from ``over_representation``.
        features: which lists, in this order.
        alpha: a term counts at padj < alpha.
    """
    best = table.loc[table["padj"] < alpha].groupby("feature")["information_content"].max()
    return best.reindex(list(features)).to_numpy(dtype=np.float64)


def _near(member: csr_array, size: Int[np.ndarray, " term"], threshold: float) -> csr_array:
    """[term term], the Jaccard index of each pair of different terms that lies above the threshold."""
    genes = csr_array(member.T)
    blocks = []
    for first in range(0, len(size), ROWS_AT_ONCE):
        shared = (member[first : first + ROWS_AT_ONCE] @ genes).tocoo()
        row, other = shared.row + first, shared.col
        likeness = shared.data / (size[row] + size[other] - shared.data)
        close = (likeness > threshold) & (row != other)
        blocks.append((likeness[close], row[close], other[close]))
    likeness, row, other = map(np.concatenate, zip(*blocks, strict=True))
    return csr_array((likeness, (row, other)), shape=(len(size), len(size)))
