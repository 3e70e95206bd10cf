"""Differential genes of features and the terms that they match."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import false_discovery_control

from cellprism.enrich.differential import Differential, differential
from cellprism.enrich.term_tests import DOWN, UP, term_tests
from cellprism.studies.lens.high_cells import HighCells
from cellprism.studies.lens.settings import LensSettings

Lists = dict[tuple[int, str], tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Read:
    """Features read by the cells in which they are high."""

    cells: HighCells
    lists: Lists
    """(feature, ``up`` or ``down``) -> differential genes, smallest p first; only lists that hold any."""
    genes: pd.DataFrame
    """feature, direction, rank, gene, difference, auroc, q: the lists."""
    terms: pd.DataFrame
    """From ``term_tests``."""

    @property
    def annotated(self) -> set[int]:
        """Features with a term."""
        return set(self.terms["feature"])

    @property
    def share(self) -> float:
        """Share of the features read that have a term; 0 where none could be read."""
        return len(self.annotated) / max(len(self.cells.features), 1)

    def term(self, feature: int) -> str:
        """The term that fits a feature best where its genes are high; empty where none does."""
        own = (self.terms["feature"] == feature) & (self.terms["direction"] == UP)
        return next((str(term) for term in self.terms.loc[own.to_numpy(dtype=bool), "term"]), "")

    def best(self) -> dict[str, int]:
        """Term -> the feature that it fits best, where its genes are high; the surest terms first."""
        up = cast(pd.DataFrame, self.terms[self.terms["direction"] == UP])
        up = up.sort_values(["padj", "pvalue"], ascending=[True, True], kind="stable")
        return {str(t): int(f) for t, f in up.drop_duplicates("term")[["term", "feature"]].to_numpy()}


def read_features(
    expression: Any,
    names: Sequence[str],
    cells: HighCells,
    collection: Mapping[str, Iterable[str]],
    settings: LensSettings,
) -> Read:
    """Differential genes of every feature, corrected over all genes and features, and their terms.

    Args:
        expression: log1p counts per ten thousand, sparse [cell gene].
        names: of the genes; all are tested and are the background of the terms.
        cells: where features are high and low.
        collection: terms of a size to be tested.
        settings: tests and levels.
    """
    if not len(cells.features):
        return Read(cells, {}, pd.DataFrame(columns=pd.Index(GENE_COLUMNS)), pd.DataFrame(columns=pd.Index(NO_TERMS)))
    found = differential(expression, cells.high, cells.low, settings.test)
    q = false_discovery_control(found.p.ravel()).reshape(found.p.shape)
    lists, rows = _lists(found, q, cells, np.asarray(names, dtype=object), settings)
    terms = term_tests(
        lists, found.difference, cells.features.tolist(), list(names), collection, settings.terms, settings.alpha
    )  # fmt: skip
    return Read(cells, lists, rows, terms)


GENE_COLUMNS = ["feature", "direction", "rank", "gene", "difference", "auroc", "q"]
NO_TERMS = ["feature", "direction", "term", "genes", "term_size", "pvalue", "padj"]


def _lists(
    found: Differential, q: Float[np.ndarray, "feature gene"], cells: HighCells, names: np.ndarray,
    settings: LensSettings,
) -> tuple[Lists, pd.DataFrame]:  # fmt: skip
    lists: Lists = {}
    parts = []
    for i, feature in enumerate(cells.features.tolist()):
        certain = q[i] < settings.alpha
        for direction, sign in ((UP, 1), (DOWN, -1)):
            chosen = np.flatnonzero(certain & (sign * found.difference[i] > 0))
            order = chosen[np.lexsort((-np.abs(found.difference[i, chosen]), found.p[i, chosen]))][: settings.genes]
            if order.size:
                lists[feature, direction] = tuple(names[order])
                parts.append(pd.DataFrame({
                    "feature": feature, "direction": direction, "rank": np.arange(order.size), "gene": names[order],
                    "difference": found.difference[i, order], "auroc": found.auroc[i, order], "q": q[i, order],
                }))  # fmt: skip
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(GENE_COLUMNS))
    return lists, table
