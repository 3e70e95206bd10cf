"""Genes to compare a factor's targets with: expressed as much and as often, and going with the factor as much.

Notable choices

- Each gene matches at most one target of a factor, so that targets and matches are exchangeable within their sets, and
  sets are independent.
- Genes are matched by rank: mean expression, share of cells that express the gene, and co-expression with the factor.
  Without the last, a factor's targets would win by co-expression alone.
- Co-expression is matched as effects are compared: balanced, by size, and by sign where it is large. At equal
  correlation targets, many of which go with everything, would go with their factor less than what is usual for them.
- The factor itself, all of its targets, and genes that regulate it are never matches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.recovery import correlations
from cellprism.equations.regulation import balanced
from cellprism.regulation.edges import Edges

BIN = 12  # genes whose names are exchanged among each other


@dataclass(frozen=True)
class GeneFacts:
    """What genes are matched by, over the cells of a run."""

    genes: pd.Index
    expression: sp.csc_matrix
    """log1p of counts per ten thousand [cell gene]."""

    @classmethod
    def of(cls, cells: AnnData) -> "GeneFacts":
        """Of all genes of some cells."""
        return cls(cells.var_names, sp.csc_matrix(log1p_cp10k(cells)))

    @cached_property
    def level(self) -> Float[np.ndarray, " gene"]:
        """Mean expression."""
        return np.asarray(self.expression.mean(axis=0)).ravel()

    @cached_property
    def detected(self) -> Float[np.ndarray, " gene"]:
        """Share of cells that express a gene."""
        return self.expression.getnnz(axis=0) / self.expression.get_shape()[0]

    def of_genes(self, names: Sequence[str]) -> "GeneFacts":
        """The same of some genes, in their order."""
        place = self.genes.get_indexer(pd.Index(names))
        return GeneFacts(self.genes[place], sp.csc_matrix(self.expression[:, place]))

    @cached_property
    def correlation(self) -> Float[np.ndarray, "gene gene"]:
        """Pearson correlation of every pair over cells; of a panel, whose square fits into memory."""
        dense = self.expression.toarray()
        return correlations(dense, dense)

    @cached_property
    def coexpression(self) -> Float[np.ndarray, "gene gene"]:
        """The correlations, balanced as effects are (``equations.regulation.balanced``); NaN on the diagonal."""
        others = self.correlation.copy()
        np.fill_diagonal(others, np.nan)
        return balanced(others)

    def described(self, beside: int | None = None) -> Float[np.ndarray, "gene fact"]:
        """What genes are matched by: ranks of level and detection; and where a gene is given to go with, of the size
        of the co-expression with it, once as it is and once with its sign."""
        facts = [rankdata(self.level), rankdata(self.detected)]
        if beside is not None:
            with_it = np.nan_to_num(self.coexpression[beside])
            size = rankdata(np.abs(with_it))
            facts += [size, np.sign(with_it) * size]
        return np.stack(facts, axis=1) / len(self.genes)


@dataclass(frozen=True)
class Regulon:
    """A factor with its targets on a panel, and the genes beside them; numbers are places on the panel."""

    factor: int
    targets: Int[np.ndarray, " target"]
    sign: Float[np.ndarray, " target"]
    """1 or -1, 0 where it is not known."""
    matched: Int[np.ndarray, "target match"]
    """Matched on expression, detection and co-expression with the factor."""
    alike: Int[np.ndarray, "target match"]
    """Matched on expression and detection alone: what co-expression alone reaches is told beside these."""


def matches(
    described: Float[np.ndarray, "gene fact"],
    chosen: Int[np.ndarray, " target"],
    open_to: Bool[np.ndarray, " gene"],
    most: int,
) -> Int[np.ndarray, "target match"]:
    """Matches of each chosen gene, none used twice, with the smallest summed distance; fewer than ``most`` each, down
    to none, where genes are few.

    Args:
        described: what genes are matched by.
        chosen: places of the genes to match.
        open_to: genes that may be a match.
        most: matches each.
    """
    others = np.flatnonzero(open_to)
    each = min(most, len(others) // len(chosen)) if len(chosen) else 0
    if not each:
        return np.empty((len(chosen), 0), dtype=np.int64)
    distance = np.linalg.norm(described[chosen][:, None] - described[others][None], axis=2)
    row, column = linear_sum_assignment(np.repeat(distance, each, axis=0))
    return others[column[np.argsort(row)]].reshape(len(chosen), each)


def regulons_on(
    facts: GeneFacts, edges: Edges, factors: Sequence[str], fewest: int, most: int
) -> tuple[list[Regulon], dict[str, str]]:
    """Factors with enough targets on a panel, matched there; and why the others have none.

    Args:
        facts: of the panel's genes.
        edges: literature.
        factors: who is asked for.
        fewest: targets that a factor must have.
        most: matches a target.
    """
    found, missing, place = [], {}, {gene: i for i, gene in enumerate(facts.genes)}
    for factor in factors:
        own = edges.targets(factor)
        own = own[[gene in place for gene in own["target"]]]
        regulators = [*edges.table.loc[edges.table["target"] == factor, "source"]]
        regulators += [target for source, target in edges.feedback if source == factor]
        if len(own) < fewest:
            missing[factor] = f"{len(own)} targets on the panel, {fewest} are needed"
            continue
        targets = np.array([place[gene] for gene in own["target"]])
        open_to = np.ones(len(facts.genes), dtype=bool)
        open_to[[place[factor], *targets, *(place[g] for g in regulators if g in place)]] = False
        one = regulon(facts, place[factor], targets, np.sign(np.asarray(own["effect"], dtype=float)), open_to, most)
        if one.matched.shape[1]:
            found.append(one)
        else:
            missing[factor] = f"no genes are left beside its {len(own)} targets; ask for a wider panel"
    return found, missing


def regulon(
    facts: GeneFacts,
    factor: int,
    targets: Int[np.ndarray, " target"],
    sign: Float[np.ndarray, " target"],
    open_to: Bool[np.ndarray, " gene"],
    most: int,
) -> Regulon:
    """A factor's targets with their matches."""
    matched = matches(facts.described(factor), targets, open_to, most)
    return Regulon(factor, targets, sign, matched, matches(facts.described(), targets, open_to, most))


def coexpressed(facts: GeneFacts, own: Regulon, most: int) -> Regulon:
    """Genes that go with a factor most without being its targets, in their place: as many, matched alike. Of those that
    go with it most every ``most + 1``-th is taken, so that others that go with it as much are left to match."""
    size = np.abs(facts.coexpression[own.factor])
    size[[own.factor, *own.targets]] = -1
    chosen = np.argsort(-size, kind="stable")[: (size >= 0).sum()][:: most + 1][: len(own.targets)]
    open_to = np.ones(len(facts.genes), dtype=bool)
    open_to[[own.factor, *own.targets, *chosen]] = False
    return regulon(facts, own.factor, chosen, np.zeros(len(chosen)), open_to, most)


def relabelled(facts: GeneFacts, own: Sequence[Regulon], most: int, rng: np.random.Generator) -> list[Regulon]:
    """The same regulons with genes' names exchanged among genes of like expression and detection, alike for all
    factors: regulons overlap as they did, and mean nothing.

    Factors keep their places; a target that would become its own factor is left out. ``alike`` is not matched anew.
    """
    order = np.argsort(facts.level + facts.detected, kind="stable")
    name = np.arange(len(order))
    for some in np.array_split(order, max(1, len(order) // BIN)):
        name[some] = rng.permutation(some)
    found = []
    for one in own:
        targets, first = np.unique(name[one.targets], return_index=True)
        kept = targets != one.factor
        targets, sign = targets[kept], one.sign[first][kept]
        open_to = np.ones(len(order), dtype=bool)
        open_to[[one.factor, *targets]] = False
        matched = matches(facts.described(one.factor), targets, open_to, most)
        found.append(Regulon(one.factor, targets, sign, matched, matched))
    return found


def imbalance(facts: GeneFacts, regulons: Sequence[Regulon], dose: Float[np.ndarray, " gene"]) -> dict[str, float]:
    """How much higher targets rank than their matches, as a share of all genes; a mean over factors.

    Args:
        facts: what genes were matched by.
        regulons: with their matches.
        dose: input that is set, which genes are not matched by; NaN where there is none.
    """

    def higher(fact: Float[np.ndarray, " gene"], own: Regulon) -> float:
        rank = rankdata(fact) / len(fact)
        return float(rank[own.targets].mean() - rank[own.matched].mean())

    known = {"expression": facts.level, "detection": facts.detected, "dose": np.nan_to_num(dose)}
    found = {name: float(np.mean([higher(fact, own) for own in regulons])) for name, fact in known.items()}
    by_factor = {"size of co-expression": np.abs(facts.coexpression), "signed co-expression": facts.coexpression}
    return found | {
        name: float(np.mean([higher(np.nan_to_num(table[r.factor]), r) for r in regulons]))
        for name, table in by_factor.items()
    }


@dataclass(frozen=True)
class Panel:
    """Which genes are probed, and which are shown beside them."""

    factors: tuple[str, ...]
    genes: tuple[str, ...]
    """Everyone's input is set and everyone's prediction read: factors, targets, genes to match them."""
    context: tuple[str, ...]
    """Always shown, never set or read."""


def panel_of(
    facts: GeneFacts, edges: Edges, factors: Sequence[str], size: int, context: int, most: int, expressed: pd.Index
) -> Panel:
    """The panel of some factors: at most a quarter of it factors, half of it targets, the rest genes like the targets.

    Args:
        facts: of all genes.
        edges: those in the cells.
        factors: most important first.
        size: genes of the panel.
        context: genes beside it.
        most: matches that a target is to have.
        expressed: genes that may be on it.
    """
    taken = list(dict.fromkeys(factors))[: max(1, size // 4)]
    popular = edges.table.loc[edges.table["source"].isin(taken), "target"].value_counts()
    popular = popular.sort_index().sort_values(ascending=False, kind="stable")
    genes = list(dict.fromkeys([*taken, *popular.index]))[: len(taken) + max(1, size // 2)]
    some = facts.of_genes(list(expressed))
    place = {gene: i for i, gene in enumerate(expressed)}
    described = some.described()
    open_to = np.array([gene not in set(genes) for gene in expressed])
    targets = np.array([place[gene] for gene in genes[len(taken) :] if gene in place], dtype=np.int64)
    beside = matches(described, targets, open_to, most).T.ravel()  # everyone's first match before anyone's second
    genes = list(dict.fromkeys([*genes, *expressed[beside]]))[:size]
    left = np.argsort(-np.where(facts.genes.isin(genes), -1.0, facts.level), kind="stable")[:context]
    return Panel(tuple(taken), tuple(genes), tuple(g for g in facts.genes[left] if g not in set(genes)))
