"""What is measured of directions, all in the same way: programs matched, coherence, recall of programs, cell types,
proteins.

Notable choices

- Whatever is chosen, lists and best features, is chosen on the first half of the cells and judged on the second.
- Sources are compared at one number of lists or features. What as many would show is known exactly, on average over all
  choices (``equations.subsets``), so that nothing is drawn for it.
- Terms that share more than half of their genes count as one (``enrich.distinct``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.raw import suggestion
from cellprism.enrich.coherence import coherence
from cellprism.enrich.column_blocks import column_blocks
from cellprism.enrich.correlated import gene_correlations
from cellprism.enrich.distinct import representatives
from cellprism.enrich.labels import UNLABELLED
from cellprism.enrich.membership import Terms, information_in, list_table, term_table
from cellprism.enrich.nulls import matches
from cellprism.enrich.over_representation import Tails
from cellprism.equations.ratio import varies
from cellprism.equations.recovery import auroc, auroc_of_sets, correlations
from cellprism.equations.subsets import expected_best, expected_distinct
from cellprism.errors import ConfigError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.adds.halves import Halves
from cellprism.studies.adds.labels import AGAIN, COHERENCE, PROTEINS, RAISES, RECALL, TERMS, TYPES
from cellprism.studies.adds.pushes import agreement
from cellprism.studies.adds.reading import Reading
from cellprism.studies.programs.gene_lists import BY_CELL, BY_TOKEN, Lists, fixed_lists

SIZE = 20  # genes a list
RULES = (BY_TOKEN.format(SIZE), BY_CELL.format(SIZE))
COLUMNS = (
    *(f"{measure}, {rule}" for measure in (TERMS, COHERENCE, RAISES) for rule in RULES), RECALL, TYPES, PROTEINS, AGAIN,
)  # fmt: skip
FEWEST = 5  # cells of a type, and other labelled cells, in each half


@dataclass(frozen=True, eq=False)
class Distinct:
    """How many of a source's lists match each group of like terms."""

    counts: Int[np.ndarray, " group"]
    total: int

    def at(self, n: int) -> float:
        """Groups that n lists match on average."""
        return expected_distinct(self.counts, self.total, n)


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean over a source's lists, which is that of as many of them too."""

    value: float
    total: int

    def at(self, n: int) -> float:
        """The mean, whatever n."""
        return self.value


@dataclass(frozen=True, eq=False)
class Best:
    """Scores of a source's features on the second half by their rank on the first, a mean over terms or types."""

    ranked: Float[np.ndarray, " feature"]

    @property
    def total(self) -> int:
        """Features."""
        return len(self.ranked)

    def at(self, n: int) -> float:
        """Score of the best of n features on average."""
        return expected_best(self.ranked, n)


Measured = Distinct | Mean | Best
Levels = tuple[Float[np.ndarray, "cell protein"], Float[np.ndarray, "cell protein"]]
"""Of proteins, in both halves."""


class Yardstick:
    """What all directions are measured by: cells in halves, the terms, the labels.

    Args:
        halves: the cells.
        background: genes that may be in a list.
        collection: term -> genes.
        min_term_size: terms with fewer genes in the background are left out.
        alpha: a list matches a term at a q-value below this, corrected for all terms.
        response: of the background's genes to pushes, see ``gene_response``; None where the model says nothing of
            genes.
        proteins: their levels in both halves, see ``protein_levels``; None where none was measured.

    Raises:
        ConfigError: no term has enough genes in the background.
    """

    def __init__(
        self,
        halves: Halves,
        background: tuple[str, ...],
        collection: Mapping[str, Any],
        min_term_size: int,
        alpha: float,
        response: Float[np.ndarray, "gene d_model"] | None = None,
        proteins: Levels | None = None,
    ):
        self.halves, self.alpha, self.response, first = halves, alpha, response, halves.first
        self.terms: Terms = term_table(collection, background, min_term_size)
        standing = representatives(self.terms.member, information_in(self.terms, collection))
        self.group = np.unique(standing, return_inverse=True)[1]
        self.partial = self.terms.size < self.terms.background_size  # a term of all genes has none beside it
        self.tails = Tails(self.terms.background_size)
        self.lists_from: AnnData = halves.cells[first].copy()
        names = pd.Index(list(self.terms.gene))
        expression: Any = log1p_cp10k(halves.cells)[:, halves.cells.var_names.get_indexer(names)]
        self.expression = tuple(sp.csr_matrix(expression[half]) for half in (first, ~first))
        self.level = np.asarray(self.expression[0].mean(axis=0)).ravel()
        self.types, self.proteins = _types(halves), proteins

    def measure(self, reading: Reading, dictionary: SparseAutoencoder | None = None) -> dict[str, Measured]:
        """Every column in which some directions have a value; ``dictionary`` holds them where they lie in the inner
        state."""
        found: dict[str, Measured] = {}
        for rule, lists in self._lists(reading).items():
            if lists:
                found[f"{TERMS}, {rule}"] = self.distinct(lists)
                found[f"{COHERENCE}, {rule}"] = self.coherent(lists)
                if dictionary is not None and self.response is not None:
                    raised = agreement(dictionary, self.response, lists, self.terms, SIZE)
                    found[f"{RAISES}, {rule}"] = Mean(raised, len(lists))
        live = self._live(reading.cells)
        if live.any() and self.partial.any():
            found[RECALL] = Best(self.recall(reading.cells[:, live]))
        if live.any() and self.types is not None:
            found[TYPES] = Best(self.probed(reading.cells[:, live]))
        if live.any() and self.proteins is not None:
            found[PROTEINS] = Best(self.followed(reading.cells[:, live]))
        return found

    def _lists(self, reading: Reading) -> dict[str, Lists]:
        """Lists of one length by both rules, made from the first half."""
        rows: Any = sp.csr_matrix(reading.cells)[self.halves.first]
        cells = AnnData(rows, var=pd.DataFrame(index=pd.Index([str(i) for i in range(rows.shape[1])])))
        tables = {} if reading.genes is None else {"": reading.genes}
        made = fixed_lists(tables, {"": cells}, self.lists_from, tuple(self.terms.gene))
        return {rule: made[rule].get("", {}) for rule in RULES}

    def distinct(self, lists: Lists) -> Distinct:
        """Groups of like terms that lists match."""
        row, term = matches(list_table(lists.values(), self.terms), self.terms, self.tails, alpha=self.alpha)
        pairs = np.unique(np.stack([row, self.group[term]]), axis=1)
        return Distinct(np.bincount(pairs[1], minlength=self.group.max() + 1), len(lists))

    def coherent(self, lists: Lists) -> Mean:
        """Mean correlation within lists over the second half, less that of random lists of like expression."""
        found = coherence(list_table(lists.values(), self.terms).member, self.expression[1], self.level)
        return Mean(float((found.own - found.matched).mean()), len(lists))

    def recall(self, activations: sp.csc_matrix) -> Float[np.ndarray, " feature"]:
        """AUROC of each term's genes in the gene profiles over the second half, by rank over the first."""
        scores = []
        for cells, y in zip(self._in_halves(activations), self.expression, strict=True):
            parts = [auroc_of_sets(r, self.terms.member).astype(np.float32) for _, r in gene_correlations(cells, y)]
            scores.append(np.concatenate(parts))
        return ranked_scores(*(some[:, self.partial] for some in scores))

    def probed(self, activations: sp.csc_matrix) -> Float[np.ndarray, " feature"]:
        """AUROC of each cell type over the second half, by rank over the first."""
        assert self.types is not None, "there are types"
        halves = zip(self._in_halves(activations), self.types, strict=True)
        return ranked_scores(*(_aurocs(sp.csc_matrix(cells[known]), member) for cells, (known, member) in halves))

    def followed(self, activations: sp.csc_matrix) -> Float[np.ndarray, " feature"]:
        """Rank correlation with each protein over the second half, by rank of its size over the first, which says the
        sign too."""
        assert self.proteins is not None, "there are proteins"
        halves = zip(self._in_halves(activations), self.proteins, strict=True)
        one, other = (_rank_correlations(cells, levels) for cells, levels in halves)
        return ranked_scores(np.abs(one), np.sign(one) * other)

    def _in_halves(self, activations: sp.csc_matrix) -> tuple[sp.csc_matrix, sp.csc_matrix]:
        rows, first = sp.csr_matrix(activations), self.halves.first
        return sp.csc_matrix(rows[first]), sp.csc_matrix(rows[~first])

    def _live(self, activations: sp.csc_matrix) -> Bool[np.ndarray, " feature"]:
        """Features that differ between cells of the first half."""
        first, _ = self._in_halves(activations)
        return np.concatenate([varies(first[:, some].toarray()) for some in column_blocks(*first.get_shape())])


def ranked_scores(
    chosen: Float[np.ndarray, "feature group"], scored: Float[np.ndarray, "feature group"]
) -> Float[np.ndarray, " feature"]:
    """Scores by rank, a mean over groups: first those of the features that are chosen first."""
    order = np.argsort(-chosen, axis=0, kind="stable")
    return np.take_along_axis(scored, order, axis=0).mean(axis=1, dtype=np.float64)


Labels = tuple[Bool[np.ndarray, " cell"], Bool[np.ndarray, "known type"]]
"""Of one half: which cells have a label, and of which type these are."""


def _types(halves: Halves) -> tuple[Labels, Labels] | None:
    """Types with ``FEWEST`` cells, and as many others, in both halves; None where fewer than two types have."""
    obs = cast(pd.DataFrame, halves.cells.obs)
    if "cell_type" not in obs:
        return None
    labels = obs["cell_type"].astype(str).to_numpy()
    known = labels != UNLABELLED
    member = labels[:, None] == np.unique(labels[known])[None, :]
    sides = [(known & side, member[known & side]) for side in (halves.first, ~halves.first)]
    enough = np.all([(m.sum(axis=0) >= FEWEST) & ((~m).sum(axis=0) >= FEWEST) for _, m in sides], axis=0)
    if enough.sum() < 2:
        return None
    one, other = ((k[side], m[:, enough]) for (k, m), side in zip(sides, (halves.first, ~halves.first), strict=True))
    return one, other


def protein_levels(halves: Halves, columns: Sequence[str]) -> Levels | None:
    """Levels in both halves of the proteins, columns of ``obs``, that vary in both; None where none does.

    Raises:
        ConfigError: a column is not there, or holds something else than finite numbers.
    """
    obs = cast(pd.DataFrame, halves.cells.obs)
    if absent := [name for name in columns if name not in obs]:
        raise ConfigError(f"adds.proteins names {absent[0]!r}: obs has no such column; {suggestion(absent[0], [*obs])}")
    levels = obs[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(levels).all():
        odd = columns[int(np.flatnonzero(~np.isfinite(levels).all(axis=0))[0])]
        raise ConfigError(f"adds.proteins names {odd!r}: this column of obs holds something else than finite numbers")
    one, other = levels[halves.first], levels[~halves.first]
    told = varies(one) & varies(other)
    return (one[:, told], other[:, told]) if told.any() else None


def _rank_correlations(
    activations: sp.csc_matrix, levels: Float[np.ndarray, "cell protein"]
) -> Float[np.ndarray, "feature protein"]:
    """Of each feature and protein (Spearman), some features at a time."""
    ranks, blocks = rankdata(levels, axis=0), column_blocks(*activations.get_shape())
    return np.concatenate([correlations(rankdata(activations[:, some].toarray(), axis=0), ranks) for some in blocks])


def _aurocs(activations: sp.csc_matrix, member: Bool[np.ndarray, "cell type"]) -> Float[np.ndarray, "feature type"]:
    """Of each feature and type, some features at a time."""
    blocks = column_blocks(*activations.get_shape())
    return np.concatenate([auroc(activations[:, some].toarray(), member) for some in blocks])
