"""How much enrichment chance would give too: the same score for lists made without the features.

Notable choices

- The raw rate says little; the excess over each null is the result. Its interval resamples lists and draws
  replicates together (a list stays with its own null counterpart), so it holds the spread of both.
- Rates are not the whole of it: ten features with one term each differ from ten features with the same term.
  Distinct terms, and genes seen in a significant overlap, stand beside the rate under the same nulls.
- p = (1 + replicates at least as high) / (1 + replicates): 20 replicates cannot give less than 0.048.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from cellprism.enrich.matched_lists import gene_levels, matched_groups, matched_table
from cellprism.enrich.membership import Lists, Terms, list_table, term_table
from cellprism.enrich.over_representation import Tails, adjusted, check_family, find_hits, number_of_tests
from cellprism.enrich.random_lists import (
    GeneTable,
    MakesModules,
    Modules,
    Seed,
    coexpression_modules,
    coexpression_table,
    gene_table,
    gene_use_table,
    popularity_table,
    uniform_table,
)
from cellprism.errors import ConfigError
from cellprism.ontology.collection import record_of

NULLS = ("uniform", "popularity", "gene_use", "coexpression")
ALL_NULLS = (*NULLS, "matched")
OF_CELLS = {"coexpression": "co-expression null correlates genes", "matched": "matched null takes means of genes"}
MEASURES = ("annotated_rate", "distinct_terms", "covered_genes")
RESAMPLES = 2000


class Score(NamedTuple):
    """What a family of lists hits."""

    annotated: Bool[np.ndarray, " list"]
    """Whether the list has a significant term."""
    distinct_terms: int
    """Terms that are significant for at least one list."""
    covered_genes: int
    """Genes that a list shares with a term significant for it, counted once over all lists."""


class NullRates(NamedTuple):
    """Observed lists beside lists made by chance."""

    summary: pd.DataFrame
    """One row per null and measure: null, measure, observed, mean, low, high (95 % of replicates), excess,
    excess_low, excess_high, p_value, replicates, n_lists, mean_set_size."""
    replicates: pd.DataFrame
    """One row per null and replicate: null, replicate, annotated_rate, distinct_terms, covered_genes."""


def null_rates(
    lists: Mapping[Any, Iterable[str]],
    collection: Mapping[str, Iterable[str]],
    background: Iterable[str],
    cells: AnnData | None = None,
    *,
    nulls: Sequence[str] = NULLS,
    replicates: int = 20,
    seed: int = 0,
    family: str = "all-terms",
    alpha: float = 0.05,
    min_term_size: int = 1,
    scores: "Scores | None" = None,
    modules: MakesModules = coexpression_modules,
) -> NullRates:
    """Score the lists and, for each null, ``replicates`` families of chance lists of the same sizes.

    Args:
        lists: feature -> genes.
        collection: term -> genes.
        background: as in ``over_representation``.
        cells: cells x genes with raw counts; co-expression and matched lists need them.
        nulls: which of ``uniform`` (E0), ``popularity`` and ``gene_use`` (E1), ``coexpression`` (E3; see
            ``random_lists``) and ``matched`` (E2, see ``matched_lists``).
        replicates: families of lists per null.
        seed: each replicate of each null has its own stream, the same whichever nulls are asked for.
        family, alpha, min_term_size: as in ``over_representation``; a term is significant at padj < alpha.
        scores: scores the chance lists; others may do it, since each replicate is drawn by itself.
        modules: makes co-expression modules, or has them (``ModulesOnce``).

    Raises:
        ConfigError: no lists, an unknown null or family, no cells for a null that needs them, or as
            ``over_representation``.
    """
    check_family(family)
    if not lists or replicates < 1:
        raise ConfigError(f"{len(lists)} lists and {replicates} replicates; there must be at least 1 of each")
    chance = ChanceLists(lists, collection, background, cells, nulls, seed, family, alpha, min_term_size, modules)
    sets, observed = chance.sets, chance.scored(chance.sets)
    asked = [(null, i) for null in nulls for i in range(replicates)]
    found = list((scores or ChanceLists.scores)(chance, asked))
    scores_of = {null: found[at * replicates : (at + 1) * replicates] for at, null in enumerate(nulls)}
    size = float(sets.size.mean())
    common = {"replicates": replicates, "n_lists": len(lists), "mean_set_size": size}
    rng = np.random.default_rng([seed, len(NULLS)])
    summary = [{**row, **common} for null, many in scores_of.items() for row in _compared(null, observed, many, rng)]
    rows = [
        {"null": null, "replicate": i, **_measures(found)}
        for null, many in scores_of.items()
        for i, found in enumerate(many)
    ]
    rates = NullRates(pd.DataFrame(summary), pd.DataFrame(rows))
    for table in rates:
        table.attrs["cellprism"] = {"gene_sets": record_of(collection)}
    return rates


class ChanceLists:
    """What draws lists by chance beside some lists, and scores them. Arguments and errors are those of
    ``null_rates``."""

    def __init__(
        self, lists: Mapping[Any, Iterable[str]], collection: Mapping[str, Iterable[str]], background: Iterable[str],
        cells: AnnData | None, nulls: Sequence[str], seed: int, family: str, alpha: float, min_term_size: int,
        modules: MakesModules,
    ):  # fmt: skip
        terms = term_table(collection, background, min_term_size)
        self.seed = seed
        self.sets = list_table(lists.values(), terms)
        self.scored = partial(score_of, terms=terms, tails=Tails(terms.background_size), family=family, alpha=alpha)
        self._draw = drawers(lists, terms, cells, nulls, modules)

    def score(self, null: str, replicate: int) -> Score:
        """The score of one family of chance lists."""
        return self.scored(self._draw[null]([self.seed, ALL_NULLS.index(null), replicate]))

    def scores(self, asked: Sequence[tuple[str, int]]) -> Iterable[Score]:
        """The scores of several, each a null and the number of a replicate, in their order."""
        return [self.score(null, replicate) for null, replicate in asked]


Scores = Callable[[ChanceLists, Sequence[tuple[str, int]]], Iterable[Score]]


def null_means(
    families: Sequence[Mapping[Any, Iterable[str]]],
    collection: Mapping[str, Iterable[str]],
    background: Iterable[str],
    cells: AnnData | None = None,
    *,
    nulls: Sequence[str],
    replicates: int,
    seed: int = 0,
    family: str = "all-terms",
    alpha: float = 0.05,
    min_term_size: int = 1,
    modules: MakesModules = coexpression_modules,
) -> dict[str, Float[np.ndarray, " some"]]:
    """The annotated rate of several families of lists (``observed``), and the mean one of lists made by chance beside
    each, by null.

    Arguments and errors are those of ``null_rates``; each family has draws of its own, as many as ``replicates``.
    """
    check_family(family)
    terms = term_table(collection, background, min_term_size)
    tails = Tails(terms.background_size)
    sets = [list_table(lists.values(), terms) for lists in families]
    draws = _draws(families, terms, _modules(sets, terms, cells, nulls, modules), cells, nulls)

    def rate(some: Lists) -> float:
        return float(score_of(some, terms, tails, family, alpha).annotated.mean())

    means = {
        null: [
            float(np.mean([rate(draw[null]([seed, ALL_NULLS.index(null), number, i])) for i in range(replicates)]))
            for number, draw in enumerate(draws)
        ]
        for null in nulls
    }
    return {name: np.array(found) for name, found in {"observed": list(map(rate, sets)), **means}.items()}


def score(
    lists: Iterable[Iterable[str]], terms: Terms, tails: Tails, family: str = "all-terms", alpha: float = 0.05
) -> Score:
    """What a family of lists hits at padj < alpha, without making the whole table."""
    return score_of(list_table(lists, terms), terms, tails, family, alpha)


def score_of(table: Lists, terms: Terms, tails: Tails, family: str = "all-terms", alpha: float = 0.05) -> Score:
    """The same, of lists over the background of the terms."""
    row, term = matches(table, terms, tails, family, alpha)
    annotated = np.zeros(len(table.size), dtype=bool)
    annotated[row] = True
    shared = table.member[row].multiply(terms.member[term]).tocoo()
    return Score(annotated, len(np.unique(term)), len(np.unique(shared.col)))


def matches(
    table: Lists, terms: Terms, tails: Tails, family: str = "all-terms", alpha: float = 0.05
) -> tuple[Int[np.ndarray, " match"], Int[np.ndarray, " match"]]:
    """Pairs of a list and a term at padj < alpha.

    Only p-values below alpha are corrected: by the step-up rule no other can lead to a padj below alpha.
    """
    hits = find_hits(table, terms, tails)
    few = hits.pvalue < alpha
    row, term = hits.row[few], hits.term[few]
    significant = adjusted(hits.pvalue[few], row, number_of_tests(hits, table, terms, family), family) < alpha
    return row[significant], term[significant]


def drawers(
    lists: Mapping[Any, Iterable[str]],
    terms: Terms,
    cells: AnnData | None,
    nulls: Sequence[str],
    modules: MakesModules,
) -> dict[str, Callable[[Seed], Lists]]:
    """What draws lists by chance, as many and as long as these, by the name of the null.

    Raises:
        ConfigError: an unknown null, or no cells for one that needs them.
    """
    sets = list_table(lists.values(), terms)
    return _draws([lists], terms, _modules([sets], terms, cells, nulls, modules), cells, nulls)[0]


def _modules(
    sets: Sequence[Lists], terms: Terms, cells: AnnData | None, nulls: Sequence[str], modules: MakesModules
) -> Modules | None:
    """Co-expression modules as long as the longest list, where they are asked for."""
    unknown = [null for null in nulls if null not in ALL_NULLS]
    if unknown or not nulls:
        raise ConfigError(f"unknown null {', '.join(map(repr, unknown))}; choose from {', '.join(ALL_NULLS)}")
    why = [f"the {words} over cells" for null, words in OF_CELLS.items() if null in nulls]
    if cells is None and why:
        raise ConfigError(f"{why[0]}; pass cells, or leave it out of nulls")
    if cells is None or "coexpression" not in nulls:
        return None
    longest = max(int(some.size.max(initial=1)) for some in sets)
    return modules(cells, tuple(terms.gene), longest)


def _draws(
    families: Sequence[Mapping[Any, Iterable[str]]],
    terms: Terms,
    modules: Modules | None,
    cells: AnnData | None,
    nulls: Sequence[str],
) -> list[dict[str, Callable[[Seed], Lists]]]:
    """For each family and null, what draws lists of the same sizes, over the background of the terms."""
    genes = terms.background_size
    group = None if cells is None or "matched" not in nulls else matched_groups(gene_levels(cells, terms.gene))

    def drawing(observed: GeneTable) -> dict[str, Callable[[Seed], Lists]]:
        draws: dict[str, Callable[[Seed], GeneTable]] = {
            "uniform": lambda seed: uniform_table(observed, genes, seed),
            "popularity": lambda seed: popularity_table(observed, terms, seed),
            "gene_use": lambda seed: gene_use_table(observed, genes, seed),
        }
        if modules is not None:
            draws["coexpression"] = partial(coexpression_table, observed, modules, terms.gene)
        if group is not None:
            draws["matched"] = partial(matched_table, observed, group)
        return {null: _as_sets(draws[null], genes) for null in nulls}

    return [drawing(gene_table(lists.values(), terms.gene)) for lists in families]


def _as_sets(draw: Callable[[Seed], GeneTable], genes: int) -> Callable[[Seed], Lists]:
    def drawn(seed: Seed) -> Lists:
        table = draw(seed)
        column, start = table.gene[table.inside].astype(np.int32), np.concatenate([[0], np.cumsum(table.size)])
        shape = (len(table.size), genes)
        member = csr_array((np.ones(len(column), dtype=np.int32), column, start.astype(np.int32)), shape=shape)
        return Lists(member, table.size, 0)

    return drawn


def _measures(found: Score) -> dict[str, float]:
    return dict(zip(MEASURES, (float(found.annotated.mean()), found.distinct_terms, found.covered_genes), strict=True))


def _compared(null: str, observed: Score, many: list[Score], rng: np.random.Generator) -> list[dict]:
    """One row per measure: observed, the null's spread, and the excess."""
    excess = _resampled_excess(observed.annotated, np.array([s.annotated for s in many]), rng)
    rows = []
    for measure, value in _measures(observed).items():
        drawn = np.array([_measures(s)[measure] for s in many], dtype=np.float64)
        low, high = np.percentile(drawn, [2.5, 97.5])
        spread = excess if measure == "annotated_rate" else value - drawn
        below, above = np.percentile(spread, [2.5, 97.5])
        rows.append(
            {
                "null": null,
                "measure": measure,
                "observed": float(value),
                "mean": float(drawn.mean()),
                "low": float(low),
                "high": float(high),
                "excess": float(value - drawn.mean()),
                "excess_low": float(below),
                "excess_high": float(above),
                "p_value": float((1 + (drawn >= value).sum()) / (1 + len(drawn))),
            }
        )
    return rows


def _resampled_excess(
    observed: Bool[np.ndarray, " list"], drawn: Bool[np.ndarray, "replicate list"], rng: np.random.Generator
) -> Float[np.ndarray, " resample"]:
    """Observed minus null rate with lists and replicate drawn anew, each list beside its null counterpart."""
    n_replicates, n_lists = drawn.shape
    difference = observed.astype(np.int8) - drawn.astype(np.int8)
    replicate = rng.integers(n_replicates, size=(RESAMPLES, 1))
    return difference[replicate, rng.integers(n_lists, size=(RESAMPLES, n_lists))].mean(axis=1)
