"""Numbers that features are screened for: weighted sums of what the model says of genes, on average over cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from cellprism.errors import ConfigError
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.response import GeneGroup
from cellprism.steering.site_cache import SiteCache

INTERCEPT, MEAN, SCALE = "(intercept)", "mean", "scale"
"""What a linear judge's table has beside genes and classes."""


@dataclass(frozen=True, eq=False)
class Scalar:
    """One number."""

    name: str
    words: str
    """What a change of it is, in words."""
    weights: Float[np.ndarray, " gene"]
    """Of each gene of the cache."""


def type_axis(cache: SiteCache, labels: Sequence[str], source: str, target: str) -> Scalar:
    """Place along the axis from one type's mean to another's: 0 at the source, 1 at the target.

    Formula: <y, d> / |d|^2 with d = ybar_target - ybar_source, in what the model says of genes.

    Raises:
        ConfigError: a type has no cells, or both means are the same.
    """
    kinds = np.asarray(labels, dtype=str)
    means = []
    for kind in (source, target):
        inside = kinds == kind
        if not inside.any():
            known = ", ".join(repr(str(name)) for name in sorted(set(kinds)))
            raise ConfigError(f"no cell is called {kind!r}; these cells are called {known}")
        means.append(np.nan_to_num(expressing_mean(cache.baseline.values[inside])))
    gap = means[1] - means[0]
    if not np.any(gap):
        raise ConfigError(f"the model says the same of {source!r} and {target!r}, so there is no axis between them")
    words = f"way from {source} to {target}, as a share of the distance"
    return Scalar(f"{source} to {target}", words, gap / (gap @ gap))


def program_score(cache: SiteCache, name: str, genes: Sequence[str], level: Float[np.ndarray, " gene"]) -> Scalar:
    """Mean of a program's genes minus that of other genes of which the model says as much.

    Raises:
        ConfigError: none of its genes is spoken of, or nothing else is.
    """
    place = cache.genes.get_indexer(pd.Index(list(genes), dtype=object))
    own = np.unique(place[place >= 0])
    group = GeneGroup.of(own, own, level, 5) if own.size else None
    if group is None or not group.matched.size:
        raise ConfigError(f"{name!r} has {own.size} genes of which the model speaks; choose another program")
    return Scalar(name, f"mean of the genes of {name}, against others as high", group_weights(group, len(level)))


def group_weights(group: GeneGroup, n_genes: int) -> Float[np.ndarray, " gene"]:
    """The weights that make ``GeneGroup.response`` of effects a sum over genes."""
    weights = np.zeros(n_genes)
    np.add.at(weights, group.chosen, 1 / len(group.chosen))
    np.add.at(weights, group.matched, -1 / len(group.matched))
    return weights


def linear_judge(cache: SiteCache, table: pd.DataFrame, toward: str, against: str, name: str) -> Scalar:
    """Difference of two groups of classes of a linear model of expression that somebody else made.

    Formula: sum_g y_g (mean of w_gc over classes c toward - mean over those against) / scale_g.

    Args:
        cache: the cells.
        table: a row a gene, with columns ``mean`` and ``scale`` and one a class; a row ``(intercept)`` plays no part.
        toward: how the names of the classes begin that raise the number.
        against: how the names of those begin that lower it.
        name: what to call it.

    Raises:
        ConfigError: there are no such classes, or no gene of the model is in it.
    """
    if missing := [column for column in (MEAN, SCALE) if column not in table.columns]:
        raise ConfigError(f"{name} has no column {' or '.join(map(repr, missing))}; give a row a gene, with both")
    classes = [column for column in table.columns if column not in (MEAN, SCALE)]
    groups = [[column for column in classes if str(column).startswith(start)] for start in (toward, against)]
    for start, found in zip((toward, against), groups, strict=True):
        if not found:
            raise ConfigError(f"no class of {name} begins with {start!r}; it has {', '.join(map(str, classes[:8]))}, …")
    genes = table.drop(index=INTERCEPT, errors="ignore")
    slope = (genes[groups[0]].mean(axis=1) - genes[groups[1]].mean(axis=1)) / genes[SCALE]
    weights = slope.reindex(cache.genes).fillna(0.0).to_numpy(dtype=float)
    if not weights.any():
        raise ConfigError(f"none of the genes of {name} is among those that the model speaks of")
    return Scalar(name, f"score of {name}: {toward}… minus {against}…", weights)
