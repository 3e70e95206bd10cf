"""Features by content: the strongest feature for a program that a biologist can name.

Notable choices

- Feature numbers are one training's accident; a feature is found through the terms that its genes are
  enriched for.
- "None" is an answer, with its reason. The nearest thing to a program is never passed off as the program.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.enrich.gene_sets import dense
from cellprism.equations.footprint import overlap_coefficient

RANKED = ["feature", "term", "padj", "overlap", "share", "likeness"]


@dataclass(frozen=True)
class ProgramFeature:
    """The answer to "which feature is this program?"."""

    program: str
    """The words that were searched for."""
    feature: str | None
    """Name of the feature, or None."""
    term: str | None
    """The matching term that fits it best."""
    padj: float
    """Its corrected p-value; 1 where there is no feature."""
    genes: tuple[str, ...]
    """Genes that the feature's list and the term share, strongest in the feature first."""
    share: float
    """Share of the feature's activation, over all genes, that falls on the term's genes."""
    runners_up: pd.DataFrame
    """Other features with a significant matching term, best first: feature, term, padj, overlap, share,
    likeness (overlap coefficient)."""
    why: str
    """In words, why this feature or why none."""


def program_features(
    table: pd.DataFrame,
    collection: Mapping[str, Iterable[str]],
    F: AnnData,
    lists: Mapping[Any, Sequence[str]],
    program: str | Sequence[str],
    alpha: float = 0.05,
) -> ProgramFeature:
    """The strongest feature for a program: smallest padj among matching terms, then the largest share of its
    activation.

    Args:
        table: from ``over_representation`` of ``lists``.
        collection: term -> genes.
        F: features x genes, mean activation.
        lists: feature -> genes, strongest first, from ``gene_sets``.
        program: a term's whole name, or words to look for in terms' names; several are alternatives. Case
            does not matter.
        alpha: a term counts at padj < alpha.
    """
    words = (program,) if isinstance(program, str) else tuple(program)
    name = " or ".join(words)
    terms = matching_terms(words, collection)
    if not terms:
        return _none(name, f"no term of the collection is named like {name!r}")
    rows = table.query("term in @terms and padj < @alpha")
    if rows.empty:
        return _none(name, f"no feature is enriched for any of {len(terms)} matching terms at padj < {alpha:g}")
    ranked = _ranked(rows, collection, F)
    first = ranked.iloc[0]
    members = set(collection[first["term"]])
    genes = tuple(gene for gene in lists[first["feature"]] if gene in members)
    return ProgramFeature(
        program=name,
        feature=first["feature"],
        term=first["term"],
        padj=float(first["padj"]),
        genes=genes,
        share=float(first["share"]),
        runners_up=ranked.iloc[1:].reset_index(drop=True),
        why=f"{len(genes)} of its {len(lists[first['feature']])} genes are in {first['term']!r}, "
        f"padj {first['padj']:.2g}; {len(ranked) - 1} other features match",
    )


def best_features(
    table: pd.DataFrame, collection: Mapping[str, Iterable[str]], F: AnnData, alpha: float = 0.05
) -> dict[str, str]:
    """Term -> the feature that ``program_features`` finds for it; terms that match no feature are left out.

    Arguments are those of ``program_features``.
    """
    rows = table.query("padj < @alpha")
    return {} if rows.empty else dict(_sorted(rows, collection, F).drop_duplicates("term")[["term", "feature"]].values)


def matching_terms(words: Sequence[str], collection: Mapping[str, Iterable[str]]) -> list[str]:
    """Terms that are called so, else those whose names hold one of the words, whatever the case."""
    whole = [term for term in collection if term in words]
    return whole or [term for term in collection if any(word.lower() in term.lower() for word in words)]


def _ranked(rows: pd.DataFrame, collection: Mapping[str, Iterable[str]], F: AnnData) -> pd.DataFrame:
    """The best matching term of each feature, best feature first."""
    ranked = _sorted(rows, collection, F)
    return ranked.drop_duplicates("feature").filter(RANKED).reset_index(drop=True)


def _sorted(rows: pd.DataFrame, collection: Mapping[str, Iterable[str]], F: AnnData) -> pd.DataFrame:
    """Features and terms, those that fit best first."""
    values = np.abs(dense(F))
    total = values.sum(axis=1)
    on_term = {term: values[:, F.var_names.isin(list(collection[term]))].sum(axis=1) for term in rows["term"].unique()}
    place = F.obs_names.get_indexer(rows["feature"])
    mass = np.array([on_term[term][i] for term, i in zip(rows["term"], place, strict=True)])
    likeness = overlap_coefficient(*(rows[c].to_numpy() for c in ("overlap", "set_size", "term_size")))
    rows = rows.assign(share=mass / total[place], likeness=likeness)
    return rows.sort_values(["padj", "share"], ascending=[True, False], kind="stable")


def _none(program: str, why: str) -> ProgramFeature:
    return ProgramFeature(program, None, None, 1.0, (), 0.0, pd.DataFrame(columns=pd.Index(RANKED)), why)
