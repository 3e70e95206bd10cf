"""Does a feature speak of much or of little of its genes? Features of a centred stream fire on absence as often as on
presence.

Notable choices

- The sign is that of the correlation over cells between a feature's mean activation and the mean expression (log1p
  CP10k) of the genes of its own list. It is given only where the correlation, corrected over all features, is not
  chance; cells of one donor are the unit.
- "High in" and "low in" are types by the expression of these genes. The type in which the feature is strongest
  (``labels.top_cell_type``) is another thing, and for a feature of the sign ``low`` often the opposite.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float
from scipy.stats import false_discovery_control
from scipy.stats import t as t_distribution
from sklearn.feature_selection import f_classif

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.column_blocks import column_blocks
from cellprism.enrich.labels import UNLABELLED
from cellprism.equations.ratio import varies

COLUMNS = ("own_genes_r", "sign", "high_in", "low_in")


def signs(
    activations: AnnData, counts: AnnData, lists: Mapping[str, Sequence[str]], alpha: float = 0.05
) -> pd.DataFrame:
    """The sign of each feature, and the types in which its own genes are high and low.

    Args:
        activations: cells x features; ``obs["cell_type"]`` where cells have labels.
        counts: the same cells, raw counts.
        lists: the genes of each feature by its name; one without genes has no sign.
        alpha: level of both tests, corrected over all features (Benjamini-Hochberg).

    Returns:
        One row a feature: own_genes_r (0 where either does not vary), sign (``high``, ``low`` or empty), high_in and
        low_in (empty without labels, or where the genes do not differ between types).
    """
    names = list(activations.var_names)
    genes = [lists.get(name, ()) for name in names]
    place = {gene: i for i, gene in enumerate(counts.var_names)}
    column = np.repeat(np.arange(len(names)), [len(some) for some in genes])
    row = np.array([place[gene] for some in genes for gene in some], dtype=np.int64)
    weight = np.repeat([1 / max(len(some), 1) for some in genes], [len(some) for some in genes])
    member = sp.csc_matrix((weight, (row, column)), shape=(counts.n_vars, len(names)))
    expression, z = log1p_cp10k(counts), sp.csc_matrix(activations.X)
    known = _labels(activations)
    parts = []
    for some in column_blocks(activations.n_obs, len(names)):
        own = (expression @ member[:, some]).toarray()
        parts.append(_block(own, z[:, some].toarray().astype(np.float64), known))
    table = pd.concat(parts, ignore_index=True)
    certain = false_discovery_control(table["p"].to_numpy()) < alpha
    differs = false_discovery_control(table["p_types"].to_numpy()) < alpha
    side = np.where(table["own_genes_r"] > 0, "high", "low")
    return pd.DataFrame({
        "own_genes_r": table["own_genes_r"], "sign": np.where(certain, side, ""),
        "high_in": np.where(differs, table["high_in"], ""), "low_in": np.where(differs, table["low_in"], ""),
    })  # fmt: skip


def _labels(activations: AnnData) -> np.ndarray | None:
    """Labels [cell]; None where fewer than two types have any."""
    obs = cast(pd.DataFrame, activations.obs)
    if "cell_type" not in obs:
        return None
    labels = obs["cell_type"].astype(str).to_numpy()
    kinds = set(labels) - {UNLABELLED}
    return labels if 2 <= len(kinds) < (labels != UNLABELLED).sum() else None


def _block(
    own: Float[np.ndarray, "cell feature"], z: Float[np.ndarray, "cell feature"], labels: np.ndarray | None
) -> pd.DataFrame:
    r = _correlation(own, z)
    free = max(len(own) - 2, 1)
    p = 2 * t_distribution.sf(np.abs(r) * np.sqrt(free / np.maximum(1 - r**2, 1e-12)), free)
    high = low = np.full(len(r), "")
    p_types = np.ones(len(r))
    if labels is not None:
        known = labels != UNLABELLED
        kinds = np.unique(labels[known])
        means = np.stack([own[labels == kind].mean(axis=0) for kind in kinds])
        high, low = kinds[means.argmax(axis=0)], kinds[means.argmin(axis=0)]
        differ = varies(own[known])
        if differ.any():
            with np.errstate(divide="ignore"):  # types without any spread inside
                p_types[differ] = f_classif(own[known][:, differ], labels[known])[1]
    return pd.DataFrame({"own_genes_r": r, "p": p, "high_in": high, "low_in": low, "p_types": p_types})


def _correlation(
    x: Float[np.ndarray, "cell feature"], y: Float[np.ndarray, "cell feature"]
) -> Float[np.ndarray, " feature"]:
    """Pearson correlation of each column with its counterpart; 0 where either does not vary."""
    both = varies(x) & varies(y)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    product = (x * y).sum(axis=0)
    return np.divide(product, scale, out=np.zeros_like(product), where=both & (scale > 0)).clip(-1, 1)
