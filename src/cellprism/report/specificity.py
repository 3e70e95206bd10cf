"""Do features differ between cell types? One-way analysis of variance per feature, with what shuffled labels
give.

- The F test is scikit-learn's, Benjamini-Hochberg is scipy's; here they are only turned into a share of
  variance.
- Cells are the unit of inference: the answer is about these cells of this donor, not about donors.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution
from scipy.stats import false_discovery_control
from sklearn.feature_selection import f_classif


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


def between_types(activation: np.ndarray, labels: np.ndarray) -> Specificity:
    """Share of each feature's variance that lies between cell types.

    With T types and N cells, share = F (T-1) / (F (T-1) + N - T). ``activation`` is [cell feature],
    ``labels`` [cell].
    """
    n_types, n_cells = len(set(labels)), len(labels)
    between, within = n_types - 1, n_cells - n_types
    varies = np.ptp(activation, axis=0) > 0
    share, p = np.zeros(activation.shape[1]), np.ones(activation.shape[1])
    if varies.any():
        with np.errstate(divide="ignore"):  # types without any spread inside give F = infinity, a share of 1
            statistic, p[varies] = f_classif(activation[:, varies], labels)
        share[varies] = between / (
            between + np.divide(within, statistic, where=statistic > 0, out=np.full_like(statistic, np.inf))
        )
    limit = float(f_distribution.isf(0.05, between, within))
    return Specificity(share, false_discovery_control(p), limit * between / (limit * between + within))


def type_contrast(activation: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Mean of each type minus mean of all cells, in standard deviations between cells; features x types.

    Features that do not vary are 0 everywhere. ``activation`` is [cell feature], ``labels`` [cell].
    """
    spread = activation.std(axis=0)
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    centred = (activation - activation.mean(axis=0)) * scale
    return pd.DataFrame({name: centred[labels == name].mean(axis=0) for name in sorted(set(labels))})
