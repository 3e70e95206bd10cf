"""Are the cells in which a feature is high a rare subpopulation, or scattered over all cells?

Notable choices

- A feature is local where more of the neighbours of its high cells are high cells themselves than of random cells, as
  many and of the same types. Neighbours are those in the principal components of the cells' own counts.
- Permutations keep features together: cells trade places with others of their type, for all features at once. So the
  share of local features has a null of its own, however much features overlap.
- A type is not rare by itself: with labels a feature that is high in a whole type, or at random in it, is not local.
- Any smooth function of the counts is high in cells that lie together, also one that nobody trained. What random
  dictionaries give stands beside.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Shaped
from scipy.stats import false_discovery_control
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.effects import permutation_p
from cellprism.equations.locality import neighbours_within, permuted_within

LEVEL = 0.95  # of its draws that a feature exceeds to be counted


@dataclass(frozen=True, eq=False)
class Locality:
    """Neighbours of high cells, beside random cells of the same types."""

    share: Float[np.ndarray, " feature"]
    """Of the neighbours of high cells, those that are high."""
    expected: Float[np.ndarray, " feature"]
    """Mean of the draws."""
    p: Float[np.ndarray, " feature"]
    """Two-sided."""
    q: Float[np.ndarray, " feature"]
    """Corrected over features (Benjamini-Hochberg)."""
    beyond: float
    """Share of features that exceed 95 % of their own draws."""
    drawn: Float[np.ndarray, " draw"]
    """The same of each draw, features kept together."""

    def local(self, alpha: float) -> Bool[np.ndarray, " feature"]:
        """Features whose high cells lie together."""
        return (self.q < alpha) & (self.share > self.expected)


def neighbour_graph(cells: AnnData, components: int, neighbours: int, seed: int) -> sp.csr_matrix:
    """1 where the second cell is one of the nearest of the first [cell cell], in the principal components of log1p
    counts per ten thousand."""
    expression: Any = sp.csr_matrix(log1p_cp10k(cells), dtype=np.float64)
    most = max(1, min(components, *(n - 1 for n in expression.shape)))
    placed = PCA(most, svd_solver="arpack", random_state=seed).fit_transform(expression)
    nearest = NearestNeighbors(n_neighbors=min(neighbours, cells.n_obs - 1)).fit(placed)
    return sp.csr_matrix(nearest.kneighbors_graph())


def locality(
    high: Bool[np.ndarray, "cell feature"],
    graph: sp.csr_matrix,
    kinds: Shaped[np.ndarray, " cell"],
    draws: int,
    seed: int,
) -> Locality:
    """Test every feature's high cells.

    Args:
        high: cells in which features are high.
        graph: from ``neighbour_graph``.
        kinds: type of each cell; one for all where there are no labels.
        draws: random cells that each is set beside.
        seed: of the draws.
    """
    rng = np.random.default_rng([seed, 61])
    member = sp.csr_matrix(high.T.astype(np.float64))
    observed = neighbours_within(member, graph)
    by_cell = sp.csc_matrix(member)
    drawn = np.stack([
        neighbours_within(sp.csr_matrix(by_cell[:, permuted_within(kinds, rng)]), graph) for _ in range(draws)
    ])  # fmt: skip
    edge = np.quantile(np.vstack([observed, drawn]), LEVEL, axis=0)
    p = np.array([permutation_p(float(s), one) for s, one in zip(observed, drawn.T, strict=True)])
    return Locality(
        observed, drawn.mean(axis=0), p, false_discovery_control(p), float((observed > edge).mean()),
        (drawn > edge).mean(axis=1),
    )  # fmt: skip
