"""How a feature becomes a list of genes: the rules in use, one beside the other.

The rule decides how often lists match known programs, more than what made the features; features and controls are
compared under one rule, with as many lists of the same sizes.

Notable choices

- Participation ratios of controls differ from those of features, and long lists match more easily. Under that rule a
  control's lists are as long as the features': its list with the middle participation ratio is as long as the features'
  middle one, and so on (``sizes_like``).
- ``standardised`` asks at which genes a feature is strong beside other features, so that a gene at which all are strong
  heads no list.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float, Int

from cellprism.enrich.correlated import correlated_lists
from cellprism.enrich.gene_sets import dense, gene_sets
from cellprism.equations.footprint import gene_set_size, participation_ratio
from cellprism.equations.ratio import is_spread

Lists = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Directions:
    """What lists are made of: where some features, or other directions, are active."""

    genes: AnnData | None
    """Directions x genes, mean activation; ``obs["firing_rate"]``, layer ``max`` where it is known. None where they
    have no place among genes."""
    cells: AnnData | None
    """Cells x directions; None where they have no value in cells."""
    counts: AnnData
    """The cells, raw counts."""


@dataclass(frozen=True)
class Rule:
    """How the genes of a list are ranked, and how many are taken."""

    by: Literal["mean", "maximum", "standardised", "correlation"]
    size: int | None
    """Genes of each list; None: round(participation ratio)."""


RULES = {
    "participation": Rule("mean", None),
    "top20": Rule("mean", 20),
    "top50": Rule("mean", 50),
    "maximum": Rule("maximum", 20),
    "standardised": Rule("standardised", 20),
    "correlation": Rule("correlation", 20),
}


def ranked_lists(
    found: Directions, by: str, background: tuple[str, ...], longest: int
) -> tuple[Lists, dict[str, float]]:
    """The genes of each direction that is active anywhere, strongest first, and how many it spreads over.

    Args:
        found: the directions.
        by: ``mean`` or largest (``maximum``) activation at the gene's tokens; the mean, ``standardised`` over
            directions; or ``correlation`` of activation and log1p counts per ten thousand over cells.
        background: genes that may be in a list.
        longest: genes a list, fewer where fewer have a positive value.

    Returns:
        Name -> genes, and name -> participation ratio of mean activation over the background (of all but
        ``correlation``). Both are empty where the directions have no such values.
    """
    if by == "correlation":
        lists = {} if found.cells is None else correlated_lists(found.cells, found.counts, background, longest)
        return lists, {}
    table = None if found.genes is None else _table(found.genes, by, background)
    if table is None or not table.n_obs:
        return {}, {}
    inside = dense(table[:, table.var_names.isin(list(background))])
    ratio = participation_ratio(inside)
    return gene_sets(table, longest, background=background), dict(zip(table.obs_names, ratio.tolist(), strict=True))


def _table(genes: AnnData, by: str, background: tuple[str, ...]) -> AnnData | None:
    """Directions that fire, by genes, with the values that rank; None where they are not known."""
    table = genes[(genes.obs["firing_rate"] > 0).to_numpy()]
    if by == "mean":
        return table
    if by == "maximum":
        return _named(table.layers["max"], table.obs_names, table.var_names) if "max" in table.layers else None
    table = table[:, table.var_names.isin(list(background))]
    return _named(standardised(dense(table)), table.obs_names, table.var_names)


def _named(values: Any, rows: pd.Index, columns: pd.Index) -> AnnData:
    return AnnData(values, obs=pd.DataFrame(index=rows), var=pd.DataFrame(index=columns))


def standardised(F: Float[np.ndarray, "feature gene"]) -> Float[np.ndarray, "feature gene"]:
    """Mean activations in standard deviations over features from the gene's mean; 0 where a feature has none at the
    gene, and at genes at which all have the same.

    Formula: z_fg = (F_fg - mean_f F_fg) / sd_f F_fg where F_fg > 0.
    """
    mean, variance = F.mean(axis=0), F.var(axis=0)
    spread = is_spread(variance, np.square(F).mean(axis=0))
    scale = np.sqrt(np.where(spread, variance, 1))
    return np.where((F > 0) & spread, (F - mean) / scale, 0.0)


def own_lists(found: Directions, rule: str, background: tuple[str, ...]) -> Lists:
    """The list of each direction by one of ``RULES``; shorter where fewer genes have a positive value, and none where
    no gene has."""
    by, size = RULES[rule].by, RULES[rule].size
    lists, ratio = ranked_lists(found, by, background, size or len(background))
    return {name: genes for name, genes in lists.items() if genes} if size else cut_lists(lists, own_sizes(ratio))


def cut_lists(lists: Lists, size: int | dict[str, int]) -> Lists:
    """The first genes of each list, those that have so many; ``size`` is of all or of each by name."""
    sizes = dict.fromkeys(lists, size) if isinstance(size, int) else size
    return {name: genes[: sizes[name]] for name, genes in lists.items() if 0 < sizes[name] <= len(genes)}


def own_sizes(ratio: dict[str, float]) -> dict[str, int]:
    """round(participation ratio) of each."""
    return dict(zip(ratio, gene_set_size(np.array(list(ratio.values()))).tolist(), strict=True))


def sizes_like(sizes: Int[np.ndarray, " theirs"], ratio: dict[str, float]) -> dict[str, int]:
    """Sizes as some others have them, the larger the ratio the longer.

    The list with the r-th smallest of n ratios gets the quantile (r - 1/2) / n of ``sizes``.
    """
    ranked = sorted(ratio, key=lambda name: ratio[name])
    places = (np.arange(len(ranked)) + 0.5) / max(len(ranked), 1)
    found = np.quantile(sizes, places, method="inverted_cdf").astype(int).tolist() if len(sizes) else [0] * len(ranked)
    return dict(zip(ranked, found, strict=True))


def as_cells(values: Float[np.ndarray, "cell direction"] | sp.spmatrix, names: list[str], counts: AnnData) -> AnnData:
    """Activations in cells, in the form of ``Directions.cells``."""
    return _named(sp.csr_matrix(values), counts.obs_names, pd.Index(names))
