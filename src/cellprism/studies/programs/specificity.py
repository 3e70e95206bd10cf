"""Do features differ between cell types? One-way analysis of variance per feature, with what shuffled labels
give.

- The F test is scikit-learn's, Benjamini-Hochberg is scipy's; here they are only turned into a share of
  variance.
- Features of one autoencoder depend on each other, so how many of them pass together is no binomial: labels are
  permuted among cells with the features kept together, and the share that passes is counted anew.
- Cells are the unit of inference: the answer is about these cells of this donor, not about donors.
- Features are taken some at a time, so that a sparse matrix of many cells is never dense as a whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int
from scipy.stats import f as f_distribution
from scipy.stats import false_discovery_control
from sklearn.feature_selection import f_classif

from cellprism.enrich.column_blocks import column_blocks
from cellprism.equations.ratio import varies

PERMUTATIONS = 1999
AT_ONCE = 1 << 22  # labels that are dealt out at a time
DEALT = 20_000
"""Cells, about, among which labels are permuted at most. What chance gives depends on how features go together, which
so many cells show; with all of a million the permutations would take an hour."""


@dataclass(frozen=True)
class Specificity:
    """How far features are specific to cell types."""

    share: np.ndarray
    """[feature] Share of the variance between cells that lies between types: 0 none, 1 all; 0 for constant
    features."""
    padj: np.ndarray
    """[feature] Benjamini-Hochberg over all features; 1 for constant features."""
    chance: float
    """The share that one feature in twenty exceeds when labels are shuffled."""


def between_types(activation: sp.csr_matrix | np.ndarray, labels: np.ndarray) -> Specificity:
    """Share of each feature's variance that lies between cell types.

    With T types and N cells, share = F (T-1) / (F (T-1) + N - T). ``activation`` is [cell feature],
    ``labels`` [cell].
    """
    between, within = len(set(labels)) - 1, len(labels) - len(set(labels))
    shares, ps = [], []
    for x in _blocks(activation):
        some = varies(x)
        share, p = np.zeros(x.shape[1]), np.ones(x.shape[1])
        if some.any():
            with np.errstate(divide="ignore"):  # types without any spread inside give F = infinity, a share of 1
                statistic, p[some] = f_classif(x[:, some], labels)
            spread = np.divide(within, statistic, where=statistic > 0, out=np.full_like(statistic, np.inf))
            share[some] = between / (between + spread)
        shares.append(share)
        ps.append(p)
    return Specificity(np.concatenate(shares), false_discovery_control(np.concatenate(ps)), chance_share(labels))


def chance_share(labels: np.ndarray) -> float:
    """The share that one feature in twenty exceeds when these labels are shuffled."""
    between, within = len(set(labels)) - 1, len(labels) - len(set(labels))
    limit = float(f_distribution.isf(0.05, between, within))
    return limit * between / (limit * between + within)


def some_of_each(labels: np.ndarray, most: int, seed: int) -> Int[np.ndarray, " some"]:
    """Rows of about ``most`` cells drawn at random, each type at its share of all and two of it at least; all rows
    where there are no more."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng, rows = np.random.default_rng([seed, 73]), []
    for name in np.unique(labels):
        of_it = np.flatnonzero(labels == name)
        rows.append(rng.permutation(of_it)[: max(2, round(most * len(of_it) / len(labels)))])
    return np.sort(np.concatenate(rows))


def shuffled_shares_apart(
    activation: sp.csr_matrix | np.ndarray, labels: np.ndarray, limit: float, permutations: int, seed: int
) -> Float[np.ndarray, " permutation"]:
    """Share of the features whose variance between types exceeds ``limit``, under permuted labels.

    Each permutation is one and the same for all features. Formula: sum_t S_t^2 / n_t over sum_c x_c^2, with S_t the sum
    of the centred activation over the cells that were dealt the label t of n_t. ``activation`` is [cell feature],
    ``labels`` [cell]; features that do not vary never exceed the limit.
    """
    rng = np.random.default_rng([seed, 17])
    _, code, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    n, kinds = len(code), len(sizes)
    passed = np.zeros(permutations)
    some = max(1, AT_ONCE // n)
    for start in range(0, permutations, some):
        count = min(some, permutations - start)
        rows = np.concatenate([kinds * i + rng.permutation(code) for i in range(count)])
        places = (rows, np.tile(np.arange(n), count))
        dealt = sp.csr_matrix((np.ones(len(rows), dtype=np.float32), places), shape=(kinds * count, n))
        for x in _blocks(activation):
            centred = (x - x.mean(axis=0)).astype(np.float32)
            sums = (dealt @ centred).astype(np.float64).reshape(count, kinds, -1)
            between = np.einsum("pkf,k->pf", sums**2, 1 / sizes)
            whole = np.where(varies(x), np.square(centred, dtype=np.float64).sum(axis=0), np.inf)
            passed[start : start + count] += (between > limit * whole).sum(axis=1)
    return passed / cast(Any, activation.shape)[1]


def type_contrast(activation: sp.csr_matrix | np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Mean of each type minus mean of all cells, in standard deviations between cells; features x types.

    Features that do not vary are 0 everywhere. ``activation`` is [cell feature], ``labels`` [cell].
    """
    names, parts = sorted(set(labels)), []
    for x in _blocks(activation):
        spread = x.std(axis=0)
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies(x))
        parts.append(np.stack([(x[labels == name].mean(axis=0) - x.mean(axis=0)) * scale for name in names], axis=1))
    return pd.DataFrame(np.concatenate(parts), columns=pd.Index(names))


def _blocks(activation: sp.csr_matrix | np.ndarray) -> Iterator[np.ndarray]:
    """Some features at a time, dense, in double precision."""
    columns: Any = sp.csc_matrix(activation)
    for some in column_blocks(*columns.shape):
        yield columns[:, some].toarray().astype(float)
