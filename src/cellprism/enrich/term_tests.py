"""Terms of differential genes, corrected over all terms and features together, by one of three tests.

Notable choices

- ``hypergeometric``: do a feature's differential genes, up and down apart, hold more of a term than a draw of as many
  genes would? ``binomial``: does a term hold more or fewer differential genes than their share of all genes would give?
  ``rank``: do a term's genes lie higher or lower than others among all genes ordered by the difference?
- Binomial and rank are the tests of Schuster 2025 (scFeatureLens).
  Departs from Schuster 2025: there the rank test's p is half the two-sided one, what is called an FDR is none, and
  nothing is corrected across terms or features.
- The rank test takes genes for independent. Genes that go together over cells move together, so a term of such genes
  reaches small p-values under any split of the cells; controls say how often.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import false_discovery_control, rankdata

from cellprism.enrich.membership import Terms, list_table, term_table
from cellprism.enrich.over_representation import over_representation
from cellprism.equations.group_tests import rank_sum_p, rank_sums
from cellprism.equations.two_sided import binomial_p
from cellprism.errors import ConfigError

HYPERGEOMETRIC, BINOMIAL, RANK = "hypergeometric", "binomial", "rank"
TERM_TESTS = (HYPERGEOMETRIC, BINOMIAL, RANK)
UP, DOWN = "up", "down"
COLUMNS = ("feature", "direction", "term", "genes", "term_size", "pvalue", "padj")


def sized(
    collection: Mapping[str, Iterable[str]], background: Sequence[str], least: int, most: int
) -> dict[str, tuple[str, ...]]:
    """Terms with ``least`` to ``most`` genes in the background.

    Raises:
        ConfigError: there are none.
    """
    inside = set(background)
    kept = {term: tuple(g for g in dict.fromkeys(genes) if g in inside) for term, genes in collection.items()}
    kept = {term: genes for term, genes in kept.items() if least <= len(genes) <= most}
    if not kept:
        raise ConfigError(
            f"no term has {least} to {most} of its genes among the {len(inside)} that are tested; "
            "choose other term sizes or another collection"
        )
    return kept


def term_tests(
    lists: Mapping[tuple[int, str], Sequence[str]],
    difference: Float[np.ndarray, "feature gene"],
    features: Sequence[int],
    background: Sequence[str],
    collection: Mapping[str, Iterable[str]],
    test: str,
    alpha: float,
) -> pd.DataFrame:
    """Terms that go with features at a q-value below ``alpha``, corrected over all terms and features.

    Args:
        lists: (feature, ``up`` or ``down``) -> its differential genes.
        difference: of every feature and gene of the background.
        features: their numbers.
        background: the genes tested.
        collection: term -> genes.
        test: ``hypergeometric``, ``binomial`` or ``rank``.
        alpha: level.

    Returns:
        feature, direction (``up``: the term's genes are high where the feature is), term, genes (of the list in the
        term; of the term by the rank test), term_size, pvalue, padj.

    Raises:
        ConfigError: there is no such test.
    """
    if test not in TERM_TESTS:
        raise ConfigError(f"there is no test {test!r} of terms; choose one of {', '.join(TERM_TESTS)}")
    if test == HYPERGEOMETRIC:
        table = _over_represented(lists, background, collection)
    else:
        terms = term_table(collection, background)
        found = _binomial(lists, terms) if test == BINOMIAL else _ranked(difference, features, terms)
        table = _corrected(*found, terms)
    sure = cast(pd.DataFrame, table[table["padj"] < alpha])
    by = ["feature", "padj", "pvalue"]
    return sure.sort_values(by, ascending=[True, True, True], kind="stable", ignore_index=True)


def _over_represented(
    lists: Mapping[tuple[int, str], Sequence[str]],
    background: Sequence[str],
    collection: Mapping[str, Iterable[str]],
) -> pd.DataFrame:
    names = list(lists)
    numbered = {str(number): lists[name] for number, name in enumerate(names)}
    found = over_representation(numbered, collection, background, "all-tests")
    place = found["feature"].astype(int)
    rows = pd.DataFrame({
        "feature": [names[i][0] for i in place], "direction": [names[i][1] for i in place], "term": found["term"],
        "genes": found["overlap"], "term_size": found["term_size"], "pvalue": found["pvalue"], "padj": found["padj"],
    })  # fmt: skip
    return rows.astype({"feature": int, "direction": str, "term": str})


Found = tuple[list[tuple[int, str]], Float[np.ndarray, "row term"], Int[np.ndarray, "row term"], np.ndarray]


def _binomial(lists: Mapping[tuple[int, str], Sequence[str]], terms: Terms) -> Found:
    """p and hits of every list and term, and whether there are more than expected."""
    sets = list_table(lists.values(), terms)
    hits = (sets.member @ terms.member.T).toarray().astype(np.int64)
    share = sets.size / terms.background_size
    p = np.ones(hits.shape)
    for size in np.unique(terms.size):
        columns = np.flatnonzero(terms.size == size)
        for drawn in np.unique(sets.size):
            rows = np.flatnonzero(sets.size == drawn)
            at = np.ix_(rows, columns)
            p[at] = binomial_p(int(size), float(drawn / terms.background_size))[hits[at]]
    return list(lists), p, hits, hits > share[:, None] * terms.size


def _ranked(difference: Float[np.ndarray, "feature gene"], features: Sequence[int], terms: Terms) -> Found:
    """p of every feature and term, one ranking of the genes and one product; and whether the term lies higher."""
    ranks = rankdata(difference, axis=1)
    ties = np.array([_ties(row) for row in ranks])
    size = terms.size.astype(np.float64)
    u = rank_sums(ranks, terms.member.T.toarray().astype(np.float64))
    others = terms.background_size - size
    p = rank_sum_p(u, size, others, ties[:, None])
    names = [(feature, "") for feature in features]
    return names, p, np.broadcast_to(terms.size, p.shape), u > size * others / 2


def _ties(ranks: Float[np.ndarray, " gene"]) -> float:
    """sum (t^3 - t) over groups of t equal ranks."""
    t = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    return float((t**3 - t).sum())


def _corrected(
    names: list[tuple[int, str]],
    p: Float[np.ndarray, "row term"],
    genes: Int[np.ndarray, "row term"],
    more: np.ndarray,
    terms: Terms,
) -> pd.DataFrame:
    """One row a pair, the p-values corrected over all. A list with fewer hits than expected says nothing of what it
    holds, and is left out of the table, not of the correction; a term that lies low belongs to ``down``."""
    padj = false_discovery_control(p.ravel()).reshape(p.shape) if p.size else p
    row, column = np.nonzero(padj < 1)
    directions = [names[i][1] or (UP if more[i, j] else DOWN) for i, j in zip(row, column, strict=True)]
    table = pd.DataFrame({
        "feature": [names[i][0] for i in row], "direction": directions, "term": [terms.names[j] for j in column],
        "genes": genes[row, column], "term_size": terms.size[column], "pvalue": p[row, column],
        "padj": padj[row, column],
    })  # fmt: skip
    listed = np.array([bool(name[1]) for name in names], dtype=bool)
    kept = more[row, column] | ~listed[row] if len(row) else np.zeros(0, dtype=bool)
    return cast(pd.DataFrame, table[kept]).astype({"feature": int, "direction": str, "term": str})
