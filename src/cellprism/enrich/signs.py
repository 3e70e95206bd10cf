"""Does a feature speak of much or of little of its genes? Features of a centred stream fire on absence as often as on
presence.

Notable choices

- The sign is that of the correlation over cells between a feature's mean activation and the mean expression (log1p
  CP10k) of the genes of its own list. It is given only where the correlation, corrected over all features, is not
  chance; cells of one donor are the unit.
- "High in" and "low in" are types by the expression of these genes. The type in which the feature is strongest
  (``labels.top_cell_type``) is another thing, and for a feature of the sign ``low`` often the opposite.
- Everything comes from sums over cells, taken some cells at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float
from scipy.stats import f as f_distribution
from scipy.stats import false_discovery_control
from scipy.stats import t as t_distribution

from cellprism.cells.expression import AT_ONCE, cell_blocks, log1p_blocks
from cellprism.enrich.column_blocks import column_blocks
from cellprism.enrich.labels import UNLABELLED
from cellprism.equations.ratio import is_spread

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
    known, z = _labels(activations), sp.csr_matrix(activations.X)
    sums = [_Sums.of(some, known) for some in column_blocks(AT_ONCE, len(names))]
    for rows, expression in zip(cell_blocks(activations.n_obs), log1p_blocks(counts), strict=True):
        for one in sums:
            own = (expression @ member[:, one.some]).toarray()
            one.add(own, z[rows][:, one.some].toarray().astype(np.float64), None if known is None else known[rows])
    table = pd.concat([one.table() for one in sums], ignore_index=True)
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


@dataclass
class _Sums:
    """Sums over cells of some features' own expression and activations; of the former also over each type."""

    some: slice
    """Which features."""
    kinds: np.ndarray
    """Types, in order; none where they are not compared."""
    cells: Any = 0
    both: Any = 0.0
    """[what feature] Own expression, its squares, activations, their squares, products of the two."""
    labelled: Any = 0.0
    """[what feature] Own expression and its squares in cells that have a type."""
    of_kind: Any = 0.0
    """[type feature] Own expression."""
    sizes: Any = 0
    """[type] Cells."""

    @classmethod
    def of(cls, some: slice, labels: np.ndarray | None) -> "_Sums":
        return cls(some, np.array([]) if labels is None else np.unique(labels[labels != UNLABELLED]))

    def add(
        self, own: Float[np.ndarray, "cell feature"], z: Float[np.ndarray, "cell feature"], labels: np.ndarray | None
    ) -> None:
        """Count some cells in."""
        self.cells += len(own)
        self.both = self.both + np.stack([x.sum(axis=0) for x in (own, own**2, z, z**2, own * z)])
        if labels is not None:
            inside = own[labels != UNLABELLED]
            self.labelled = self.labelled + np.stack([inside.sum(axis=0), np.square(inside).sum(axis=0)])
            self.of_kind = self.of_kind + np.stack([own[labels == kind].sum(axis=0) for kind in self.kinds])
            self.sizes = self.sizes + np.array([(labels == kind).sum() for kind in self.kinds])

    def table(self) -> pd.DataFrame:
        """Correlation, its p, the types in which own genes are highest and lowest, and the p of all types alike."""
        n, (own, own_squares, z, z_squares, product) = self.cells, self.both / self.cells
        spreads = own_squares - own**2, z_squares - z**2
        vary = is_spread(spreads[0], own_squares) & is_spread(spreads[1], z_squares)
        scale = np.sqrt(np.where(vary, spreads[0] * spreads[1], 1))
        r = np.where(vary, (product - own * z) / scale, 0).clip(-1, 1)
        free = max(n - 2, 1)
        p = 2 * t_distribution.sf(np.abs(r) * np.sqrt(free / np.maximum(1 - r**2, 1e-12)), free)
        high = low = np.full(len(r), "")
        p_types = np.ones(len(r))
        if len(self.kinds):
            means = self.of_kind / self.sizes[:, None]
            high, low = self.kinds[means.argmax(axis=0)], self.kinds[means.argmin(axis=0)]
            p_types = self._p_types()
        return pd.DataFrame({"own_genes_r": r, "p": p, "high_in": high, "low_in": low, "p_types": p_types})

    def _p_types(self) -> Float[np.ndarray, " feature"]:
        """One-way analysis of variance; 1 where own expression does not vary.

        Formula: F = (B / (T - 1)) / (W / (N - T)) for T types and N cells that have one, with B = sum_t S_t^2 / n_t -
        S^2 / N, W = sum_c y_c^2 - S^2 / N - B, S the sum of y over cells and S_t that over the n_t cells of a type.
        """
        n, kinds = self.sizes.sum(), len(self.kinds)
        total, squares = self.labelled
        whole = squares - total**2 / n
        between = (self.of_kind**2 / self.sizes[:, None]).sum(axis=0) - total**2 / n
        with np.errstate(divide="ignore", invalid="ignore"):  # types without any spread inside
            statistic = (between / (kinds - 1)) / (np.maximum(whole - between, 0) / (n - kinds))
        return np.where(is_spread(whole, squares), f_distribution.sf(statistic, kinds - 1, n - kinds), 1.0)
