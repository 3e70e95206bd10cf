"""How sure a share of gene lists is, where many lists are nearly the same list.

Notable choices

- Features of one autoencoder fire at overlapping genes: ten lists of one module are annotated together, or none is.
  Lists that share more than half of their genes are taken for one, and chains of such lists too.
- Wilson's interval is for independent draws. It is given as many as there are lists of their own: n^2 / sum_g n_g^2 for
  groups of n_g lists, all of a group alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

ALIKE = 0.5  # of the genes of two lists together (Jaccard)


def independent_lists(lists: Mapping[str, Sequence[str]]) -> float:
    """How many lists of their own some lists are worth; at most as many as there are."""
    place = {gene: i for i, gene in enumerate(dict.fromkeys(gene for genes in lists.values() for gene in genes))}
    sizes = np.array([len(genes) for genes in lists.values()])
    row = np.repeat(np.arange(len(sizes)), sizes)
    column = np.array([place[gene] for genes in lists.values() for gene in genes], dtype=np.int64)
    member = sp.csr_matrix((np.ones(len(row), dtype=np.int32), (row, column)), shape=(len(sizes), max(len(place), 1)))
    return len(sizes) ** 2 / float((np.bincount(alike(member)).astype(np.float64) ** 2).sum())


def alike(member: Any) -> Int[np.ndarray, " list"]:
    """Group of each list: those that share more than half of their genes are of one, and chains of such lists too.

    Args:
        member: sparse [list gene], 1 where the gene is in the list.
    """
    sizes = np.asarray(member.sum(axis=1)).ravel()
    shared = (member @ member.T).tocoo()
    close = shared.data > ALIKE * (sizes[shared.row] + sizes[shared.col] - shared.data)
    edges = (np.ones(close.sum()), (shared.row[close], shared.col[close]))
    return connected_components(sp.coo_matrix(edges, shape=shared.shape), directed=False)[1]


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share among n independent draws; n need not be whole.

    Formula: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    """
    z = float(norm.isf((1 - level) / 2))
    middle, half = share + z**2 / (2 * n), z * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    return min(max(low, 0.0), share), max(min(high, 1.0), share)
