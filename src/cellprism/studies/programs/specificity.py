"""Do features differ between cell types? One-way analysis of variance per feature, with what shuffled labels
give.

- The F test is scikit-learn's, Benjamini-Hochberg is scipy's; here they are only turned into a share of
  variance.
- Cells are the unit of inference: the answer is about these cells of this donor, not about donors.
- Features are taken some hundred at a time, so that a sparse matrix of many cells is never dense as a whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import f as f_distribution
from scipy.stats import false_discovery_control
from sklearn.feature_selection import f_classif

BLOCK = 256  # features that are dense at a time


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
        varies = np.ptp(x, axis=0) > 0
        share, p = np.zeros(x.shape[1]), np.ones(x.shape[1])
        if varies.any():
            with np.errstate(divide="ignore"):  # types without any spread inside give F = infinity, a share of 1
                statistic, p[varies] = f_classif(x[:, varies], labels)
            spread = np.divide(within, statistic, where=statistic > 0, out=np.full_like(statistic, np.inf))
            share[varies] = between / (between + spread)
        shares.append(share)
        ps.append(p)
    limit = float(f_distribution.isf(0.05, between, within))
    chance = limit * between / (limit * between + within)
    return Specificity(np.concatenate(shares), false_discovery_control(np.concatenate(ps)), chance)


def type_contrast(activation: sp.csr_matrix | np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Mean of each type minus mean of all cells, in standard deviations between cells; features x types.

    Features that do not vary are 0 everywhere. ``activation`` is [cell feature], ``labels`` [cell].
    """
    names, parts = sorted(set(labels)), []
    for x in _blocks(activation):
        spread = x.std(axis=0)
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        parts.append(np.stack([(x[labels == name].mean(axis=0) - x.mean(axis=0)) * scale for name in names], axis=1))
    return pd.DataFrame(np.concatenate(parts), columns=pd.Index(names))


def _blocks(activation: sp.csr_matrix | np.ndarray) -> Iterator[np.ndarray]:
    """Some features at a time, dense, in double precision."""
    columns: Any = sp.csc_matrix(activation)
    for start in range(0, columns.shape[1], BLOCK):
        yield columns[:, start : start + BLOCK].toarray().astype(float)
