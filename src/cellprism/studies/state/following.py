"""Which features go with something known of the cells, and how many would by chance.

Notable choices

- Cells are the unit: p-values are about these cells, not about donors.
- What is known is dealt out among the cells, one permutation for all features, which stay together: they depend on each
  other, so how many of them pass is no binomial. Within types, it is dealt out within each type.
- The limit that a feature passes is fixed beforehand, from the variance that a rank correlation has under permutation,
  so that the true order is one among the permuted ones.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import chi2, false_discovery_control

from cellprism.equations.effects import CLOSE, LEVEL, permutation_p
from cellprism.equations.rank_association import group_axes, stratum_ranks
from cellprism.studies.state.covariates import Covariate
from cellprism.studies.state.tables import Followers

AT_ONCE = 1 << 23  # numbers of a block of permutations


@dataclass(frozen=True, eq=False)
class Following:
    """Association of every feature with one covariate."""

    r: Float[np.ndarray, " feature"]
    """Rank correlation, or eta where the covariate makes groups."""
    q: Float[np.ndarray, " feature"]
    """Permutation p, Benjamini-Hochberg over features."""
    followers: Followers


def follow(
    activation: Float[np.ndarray, "cell feature"],
    covariate: Covariate,
    stratum: Int[np.ndarray, " cell"],
    permutations: int,
    seed: list[int],
) -> Following:
    """Association of features with a covariate, and how many follow it.

    Args:
        activation: of features that differ between cells.
        covariate: what they are held against.
        stratum: number of the cell's stratum, within which ranks are centred and the covariate is dealt out.
        permutations: how many.
        seed: of the permutations.
    """
    rng = np.random.default_rng(seed)
    ranks = stratum_ranks(activation, stratum).astype(np.float32)
    free = len(stratum) - int(stratum.max()) - 1
    axes = _axes(covariate, stratum)
    limit = chi2.isf(LEVEL, max(axes.shape[1] - (covariate.group is not None), 1)) / max(free, 1)
    inner = axes.T @ ranks
    squares = np.square(inner).sum(axis=0)
    beyond, shares = np.zeros(len(squares)), []
    for drawn in _dealt(axes, stratum, permutations, ranks.shape[1], rng):
        chance = np.square(drawn @ ranks).sum(axis=1)  # [draw feature]
        beyond += (chance >= squares - CLOSE * np.maximum(squares, 1 / free)).sum(axis=0)
        shares.append((chance > limit).mean(axis=1))
    r = inner[0] if covariate.group is None else np.sqrt(squares)
    q = false_discovery_control((1 + beyond) / (1 + permutations))
    share, null = float((squares > limit).mean()), np.concatenate(shares)
    low, high = np.quantile(null, [0.025, 0.975])
    found = Followers(
        share, float(null.mean()), (float(low), float(high)), permutation_p(share, null), int((q < LEVEL).sum())
    )
    return Following(r.clip(-1, 1), q, found)


def _axes(covariate: Covariate, stratum: Int[np.ndarray, " cell"]) -> Float[np.ndarray, "cell axis"]:
    """The covariate as columns, whose squared products with a feature's ranks add up to r^2 or eta^2."""
    if covariate.group is not None:
        return group_axes(np.unique(covariate.group, return_inverse=True)[1]).astype(np.float32)
    assert covariate.value is not None, "else it makes groups"
    return stratum_ranks(covariate.value[:, None], stratum).astype(np.float32)


def _dealt(
    axes: Float[np.ndarray, "cell axis"],
    stratum: Int[np.ndarray, " cell"],
    permutations: int,
    features: int,
    rng: np.random.Generator,
):
    """The axes in random order of the cells of each stratum, some permutations at a time: [draw axis cell]."""
    order = np.argsort(stratum, kind="stable")
    n, width = axes.shape
    some = max(1, AT_ONCE // (width * max(n, features)))
    for start in range(0, permutations, some):
        count = min(some, permutations - start)
        key = np.argsort(stratum[None, :] + rng.random((count, n)), axis=1)  # cells, stratum after stratum
        place = np.empty_like(key)
        place[:, order] = key
        yield axes[place].transpose(0, 2, 1)
