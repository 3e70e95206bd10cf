"""Over-representation of gene lists in terms: hypergeometric tests for thousands of lists at once.

Notable choices

- All overlaps come from one sparse product, lists x genes times genes x terms. Lists and terms that share no
  gene have p = 1 exactly; they count as tests but are no rows of the table.
- Many pairs have the same overlap and sizes: each distinct tail probability is computed once, by scipy.
- The family of tests is a choice that decides the result. ``all-terms``: one correction per list over all
  terms tested. ``all-tests``: one correction over all lists and terms. ``hit-terms``: per list, over the
  terms with a shared gene only. The last is what public work does and what random lists pass far too often;
  it is here to stand beside it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import false_discovery_control, hypergeom

from cellprism.enrich.membership import Lists, Terms, information_in, list_table, term_table
from cellprism.errors import ConfigError
from cellprism.ontology.collection import record_of

FAMILIES = ("all-terms", "hit-terms", "all-tests")
LISTS_AT_ONCE = 256


class Hits(NamedTuple):
    """Pairs of a list and a term that share a gene, ordered by list."""

    row: Int[np.ndarray, " hit"]
    term: Int[np.ndarray, " hit"]
    overlap: Int[np.ndarray, " hit"]
    pvalue: Float[np.ndarray, " hit"]


def over_representation(
    lists: Mapping[Any, Iterable[str]],
    collection: Mapping[str, Iterable[str]],
    background: Iterable[str],
    family: str = "all-terms",
    *,
    min_term_size: int = 1,
    background_name: str = "given",
) -> pd.DataFrame:
    """Which terms hold more of a list's genes than a random list of its size would.

    Formula: P(X >= overlap) for X hypergeometric with a background of N genes, ``term_size`` of them in the
    term and ``set_size`` drawn; Benjamini and Hochberg 1995 within the family.

    Args:
        lists: name of the list (here: of the feature) -> genes.
        collection: term -> genes.
        background: the genes that could have been in a list. Others are dropped from lists and terms, and
            counted.
        family: ``all-terms``, ``all-tests`` or ``hit-terms``.
        min_term_size: terms with fewer genes in the background are not tested.
        background_name: what to call the background in the table.

    Returns:
        One row for each list and term that share a gene, lists in the order given, smallest p first;
        ``information_content`` is the term's, in nats. ``attrs["cellprism"]`` counts lists, empty lists, terms tested
        and genes dropped, and says where the gene sets come from.

    Raises:
        ConfigError: unknown family, empty background, or gene names that do not match.

    >>> import cellprism as cp
    >>> blood = cp.read_gmt("blood")
    >>> genes = {gene for members in blood.terms.values() for gene in members}
    >>> terms = cp.over_representation({"mine": ["CD3D", "CD3E", "CD2", "CD79A"]}, blood, background=genes)
    >>> int(terms["overlap"].max()), bool((terms["padj"] >= terms["pvalue"]).all())
    (3, True)
    """
    check_family(family)
    terms = term_table(collection, background, min_term_size)
    names = list(lists)
    sets = list_table(lists.values(), terms)
    hits = find_hits(sets, terms, Tails(terms.background_size))
    padj = adjusted(hits.pvalue, hits.row, number_of_tests(hits, sets, terms, family), family)
    order = np.lexsort((hits.pvalue, hits.row))
    row, term = hits.row[order], hits.term[order]
    table = pd.DataFrame(
        {
            "feature": pd.Series([names[i] for i in row], dtype=None if len(row) else "str"),
            "term": pd.Series([terms.names[i] for i in term], dtype="str"),
            "overlap": hits.overlap[order],
            "set_size": sets.size[row],
            "term_size": terms.size[term],
            "information_content": information_in(terms, collection)[term],
            "background_size": terms.background_size,
            "pvalue": hits.pvalue[order],
            "padj": padj[order],
            "family": family,
            "background": background_name,
        }
    )
    table.attrs["cellprism"] = {
        "lists": len(names),
        "empty_lists": int((sets.size == 0).sum()),
        "terms_tested": len(terms.names),
        "list_genes_outside": sets.outside,
        "term_genes_outside": terms.outside,
        "gene_sets": record_of(collection),
    }
    return table


def annotated_rate(table: pd.DataFrame, n_lists: int, alpha: float = 0.05) -> float:
    """Share of lists with at least one term at padj < alpha; lists without any row count as not annotated.

    Raises:
        ConfigError: fewer lists than the table has.
    """
    present = table["feature"].nunique()
    if n_lists < max(present, 1):
        raise ConfigError(f"n_lists is {n_lists}, but the table has {present} lists; give the number that were tested")
    return table.loc[table["padj"] < alpha, "feature"].nunique() / n_lists


class Tails:
    """Upper tails of the hypergeometric distribution, each (overlap, set size, term size) computed once."""

    def __init__(self, background_size: int):
        self.background_size = background_size
        self._base = background_size + 1
        self._key = np.empty(0, dtype=np.int64)
        self._tail = np.empty(0)

    def at(
        self,
        overlap: Int[np.ndarray, " hit"],
        set_size: Int[np.ndarray, " hit"],
        term_size: Int[np.ndarray, " hit"],
    ) -> Float[np.ndarray, " hit"]:
        """P(X >= overlap) for every hit."""
        key, inverse = np.unique((overlap * self._base + set_size) * self._base + term_size, return_inverse=True)
        new = np.setdiff1d(key, self._key, assume_unique=True)
        rest, term = np.divmod(new, self._base)
        shared, drawn = np.divmod(rest, self._base)
        tail = np.minimum(hypergeom.sf(shared - 1, self.background_size, term, drawn), 1.0)
        place = np.searchsorted(self._key, new)
        self._key, self._tail = np.insert(self._key, place, new), np.insert(self._tail, place, tail)
        return self._tail[np.searchsorted(self._key, key)][inverse]


def find_hits(lists: Lists, terms: Terms, tails: Tails) -> Hits:
    """All pairs that share a gene, with their uncorrected p-values."""
    shared = (lists.member @ terms.member.T).tocoo()
    order = np.argsort(shared.row, kind="stable")
    row, term, overlap = (a[order].astype(np.int64) for a in (shared.row, shared.col, shared.data))
    return Hits(row, term, overlap, tails.at(overlap, lists.size[row], terms.size[term]))


def number_of_tests(hits: Hits, lists: Lists, terms: Terms, family: str) -> Int[np.ndarray, " list"]:
    """Tests in each list's family."""
    n_lists = len(lists.size)
    if family == "hit-terms":
        return np.bincount(hits.row, minlength=n_lists)
    return np.full(n_lists, len(terms.names) * (n_lists if family == "all-tests" else 1))


def adjusted(
    pvalue: Float[np.ndarray, " hit"],
    row: Int[np.ndarray, " hit"],
    tests: Int[np.ndarray, " list"],
    family: str,
) -> Float[np.ndarray, " hit"]:
    """Benjamini-Hochberg adjusted p-values, each family having ``tests`` of which those not given are 1.

    scipy corrects a row of w p-values by p_i w / i. The lists are laid side by side in rows of one width w,
    filled up with ones, and p m / w is what goes in, so that p_i m / i comes out: the correction over all m.
    ``row`` must be sorted.
    """
    if family == "all-tests":
        row, tests = np.zeros_like(row), tests[:1]
    start = np.searchsorted(row, np.arange(len(tests) + 1))
    padj = np.ones(len(pvalue))
    for first in range(0, len(tests), LISTS_AT_ONCE):
        last = min(first + LISTS_AT_ONCE, len(tests))
        width = np.diff(start[first : last + 1]).max()
        hit = np.arange(start[first], start[last])
        place = row[hit] - first, hit - start[row[hit]]
        laid = np.ones((last - first, width))
        laid[place] = np.minimum(pvalue[hit] * tests[row[hit]] / max(width, 1), 1.0)
        padj[hit] = false_discovery_control(laid, axis=1)[place]
    return np.maximum(padj, pvalue)  # where p_i m / i rounds below p_i


def check_family(family: str) -> None:
    """Refuse a family of tests that does not exist."""
    if family not in FAMILIES:
        raise ConfigError(f"unknown family of tests {family!r}; choose one of {', '.join(FAMILIES)}")
