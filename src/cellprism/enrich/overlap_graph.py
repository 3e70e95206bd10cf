"""Which gene lists share genes: all pairs at once, and what hangs together.

Notable choices

- All overlaps come from one sparse product, lists x genes times genes x lists.
- Lists are joined where they overlap by more than a limit; what can be reached from one another is a component. One
  chain of lists that each overlap the next is enough, so that a large component may hold lists that share nothing.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from cellprism.equations.footprint import overlap_coefficient

AT_ONCE = 512  # lists


class Overlaps(NamedTuple):
    """Pairs of lists that share a gene, the first before the second."""

    row: Int[np.ndarray, " pair"]
    column: Int[np.ndarray, " pair"]
    value: Float[np.ndarray, " pair"]
    """|A n B| / sqrt(|A| |B|)."""
    lists: int
    """How many there are."""

    def above(self, limit: float) -> "Overlaps":
        """Pairs that overlap by more."""
        kept = self.value > limit
        return Overlaps(self.row[kept], self.column[kept], self.value[kept], self.lists)

    def matrix(self) -> csr_array:
        """Both halves, without the diagonal [list list]."""
        both = (np.concatenate([self.row, self.column]), np.concatenate([self.column, self.row]))
        return csr_array((np.tile(self.value.astype(np.float32), 2), both), shape=(self.lists, self.lists))

    def histogram(self, edges: Float[np.ndarray, " edge"]) -> Int[np.ndarray, " bin"]:
        """Pairs by overlap; those that share no gene stand in the first bin."""
        counts, _ = np.histogram(self.value, edges)
        counts[0] += self.lists * (self.lists - 1) // 2 - len(self.value)
        return counts

    def components(self) -> Int[np.ndarray, " list"]:
        """Number of each list's component, the largest 0; -1 for a list that is joined to no other."""
        shape = (self.lists, self.lists)
        joined = coo_array((np.ones(len(self.row), dtype=np.int8), (self.row, self.column)), shape=shape)
        _, found = connected_components(joined, directed=False)
        counts = np.bincount(found, minlength=1)
        rank = np.empty_like(counts)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        return np.where(counts[found] > 1, rank[found], -1)


def overlaps(member: Any) -> Overlaps:
    """All pairs of lists that share a gene.

    Args:
        member: sparse [list gene], 1 where the gene is in the list.
    """
    member = csr_array(member, dtype=np.int32)
    size, by_gene = np.asarray(member.sum(axis=1)).ravel(), member.T.tocsr()
    parts = []
    for start in range(0, member.shape[0], AT_ONCE):  # each with itself and later ones: half of the product
        shared = (member[start : start + AT_ONCE] @ by_gene[:, start:]).tocoo()
        upper = shared.row < shared.col
        parts.append((shared.row[upper] + start, shared.col[upper] + start, shared.data[upper]))
    row, column, count = (np.concatenate(some) for some in zip(*parts, strict=True))
    return Overlaps(row, column, overlap_coefficient(count, size[row], size[column]), member.shape[0])
