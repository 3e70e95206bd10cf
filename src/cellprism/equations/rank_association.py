"""How features go with something known of the cells, by ranks: a number, or groups of cells.

Notable choices

- Ranks, since activations are mostly zero and far from normal.
- Within strata (cell types) each stratum's mean rank is taken off both sides, so that what differs between strata
  counts for nothing.
- Both measures are one: the covariate is turned into columns of length 1 at right angles, one for a number, one a group
  for groups, and the sum of the squared products with a feature's ranks is r^2 or eta^2.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from cellprism.equations.ratio import is_spread


def stratum_ranks(
    x: Float[np.ndarray, "cell column"], stratum: Int[np.ndarray, " cell"]
) -> Float[np.ndarray, "cell column"]:
    """Ranks over all cells (ties share their mean), minus the mean of the stratum, scaled to length 1.

    Columns whose ranks vary in no stratum are 0.
    """
    ranks = rankdata(x, axis=0)
    squares = np.square(ranks).sum(axis=0)
    ranks = ranks - stratum_means(ranks, stratum)[stratum]
    length = np.square(ranks).sum(axis=0)
    scale = np.divide(1, np.sqrt(length), out=np.zeros(len(length)), where=is_spread(length, squares))
    return ranks * scale


def stratum_means(
    x: Float[np.ndarray, "cell column"], stratum: Int[np.ndarray, " cell"]
) -> Float[np.ndarray, "stratum column"]:
    """Mean of each column over the cells of each stratum."""
    member = stratum[None, :] == np.arange(stratum.max() + 1)[:, None]
    return (member @ x) / np.maximum(member.sum(axis=1, keepdims=True), 1)


def group_axes(group: Int[np.ndarray, " cell"]) -> Float[np.ndarray, "cell group"]:
    """One column a group, 1 / sqrt(n) in its n cells: their squared products with centred ranks of length 1 add up to
    eta^2, the share of the ranks' variance that lies between groups."""
    member = (group[:, None] == np.arange(group.max() + 1)[None, :]).astype(float)
    return member / np.sqrt(np.maximum(member.sum(axis=0), 1))
