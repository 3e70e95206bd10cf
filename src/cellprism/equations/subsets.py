"""What some items drawn from all would show on average: every choice of as many counts alike, and none is drawn.

Sources with different numbers of directions or lists are compared at one number by this, without the luck of a draw.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import hypergeom


def expected_distinct(counts: Int[np.ndarray, " kind"], total: int, n: int) -> float:
    """Kinds that n of ``total`` items show on average.

    Formula: sum_t 1 - C(N - m_t, n) / C(N, n), where m_t of the N items show kind t (rarefaction, Hurlbert 1971).

    Args:
        counts: m_t, how many items show each kind; an item may show several, or none.
        total: N.
        n: items in a choice, at most N.
    """
    return float((1 - hypergeom.pmf(0, total, counts, n)).sum())


def expected_best(ranked: Float[np.ndarray, " item"], n: int) -> float:
    """Score of the best of n items on average, where the best is chosen by another measure.

    Formula: sum_r v_r C(N - r, n - 1) / C(N, n) for ranks r = 1 .. N, since the item of rank r is the best of a choice
    that holds it and none before it.

    Args:
        ranked: v_r, scores of all N items, those first that the other measure puts first.
        n: items in a choice, from 1 to N.
    """
    total = len(ranked)
    none_before = hypergeom.pmf(0, total, np.arange(total + 1), n)
    return float(-np.diff(none_before) @ ranked)
