"""Do the genes of a list vary together over cells, more than genes that are as frequent?

Notable choices

- Frequent genes correlate more than rare ones, since less of their counts is noise. So each list stands beside lists of
  random genes that are matched one by one on mean expression.
- The random lists are not drawn: their mean over all draws is known from the mean correlation between groups of genes.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from cellprism.equations.ratio import is_spread

GROUP = 20  # genes, at least, of like mean expression


class Coherence(NamedTuple):
    """Mean correlation over cells of the pairs of genes of each list."""

    own: Float[np.ndarray, " list"]
    matched: Float[np.ndarray, " list"]
    """Of lists of random genes of the same mean expression, the mean over all of them."""


def coherence(member: Any, expression: sp.csr_matrix, level: Float[np.ndarray, " gene"]) -> Coherence:
    """How lists vary together, beside random lists matched on mean expression.

    Formula: (|sum_g z_g|^2 / n - v) / (m (m - 1)) for the m genes of a list, z_g their standardised values over n
    cells, of which v vary: the mean of all r_gh with g != h, pairs with a gene that does not vary counted as 0. Of
    random lists: the mean of R_ab over pairs of genes of the list, a and b their groups, R_ab the mean correlation of a
    gene of one group with another gene of the other.

    Args:
        member: sparse [list gene], 1 where the gene is in the list; each list has at least two genes.
        expression: [cell gene], log-normalised, in the order of the genes of ``member``.
        level: mean expression of each gene, by which random genes are matched; from other cells where lists are judged
            on cells that did not make them.
    """
    z, offset, varies = _standardised(expression)
    size = np.asarray(member.sum(axis=1), dtype=np.float64).ravel()
    own = _mean_pair(_sums(z, offset, member), member @ varies, size)
    group = sp.csr_matrix(_indicator(_groups(level)), dtype=np.float64)
    count = np.asarray(group.sum(axis=1)).ravel()
    sums = _sums(z, offset, group)
    between = sums.T @ sums / len(sums)
    mean = between / np.outer(count, count)
    np.fill_diagonal(mean, _mean_pair(sums, group @ varies, count))
    often = np.asarray((member @ group.T).todense(), dtype=np.float64)
    pairs = np.einsum("lg,gh,lh->l", often, mean, often, optimize=True) - often @ mean.diagonal()
    return Coherence(own, pairs / (size * (size - 1)))


def _standardised(
    y: sp.csr_matrix,
) -> tuple[sp.csr_matrix, Float[np.ndarray, " gene"], Float[np.ndarray, " gene"]]:
    """Values divided by their standard deviation, their means, and 1 for genes that vary; 0 for all of the others."""
    mean, squares = (np.asarray(a.mean(axis=0)).ravel() for a in (y, y.power(2)))
    variance = squares - mean**2
    varies = is_spread(variance, squares)
    scale = np.divide(1, np.sqrt(variance, where=varies, out=np.ones_like(variance)), where=varies,
                      out=np.zeros_like(variance))  # fmt: skip
    return sp.csr_matrix(y @ sp.diags(scale)), mean * scale, varies.astype(np.float64)


def _sums(z: sp.csr_matrix, offset: Float[np.ndarray, " gene"], member: Any) -> Float[np.ndarray, "cell list"]:
    """Summed standardised values of the genes of each list."""
    return np.asarray((z @ member.T).todense()) - member @ offset


def _mean_pair(
    sums: Float[np.ndarray, "cell list"], varying: Float[np.ndarray, " list"], size: Float[np.ndarray, " list"]
) -> Float[np.ndarray, " list"]:
    return ((sums**2).mean(axis=0) - varying) / np.maximum(size * (size - 1), 1)


def _groups(level: Float[np.ndarray, " gene"]) -> Int[np.ndarray, " gene"]:
    """Neighbours in mean expression, at least ``GROUP`` together where there are as many genes."""
    group = np.empty(len(level), dtype=np.int64)
    parts = np.array_split(np.argsort(level, kind="stable"), max(1, len(level) // GROUP))
    for number, part in enumerate(parts):
        group[part] = number
    return group


def _indicator(group: Int[np.ndarray, " gene"]) -> sp.csr_matrix:
    """[group gene], 1 where the gene is in the group."""
    place = np.arange(len(group))
    return sp.csr_matrix((np.ones(len(group)), (group, place)), shape=(int(group.max()) + 1, len(group)))
