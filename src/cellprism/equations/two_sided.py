"""Two-sided binomial tests by the thousand."""

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

CLOSE = 1 + 1e-7  # outcomes whose probabilities differ by rounding are equally likely


def binomial_p(n: int, share: float) -> Float[np.ndarray, " hits"]:
    """Two-sided p-value of every number of hits, 0 to n, where each of n is one with probability ``share``.

    Formula: p(k) = sum of P(i) over all i with P(i) <= P(k), as ``scipy.stats.binomtest`` has it.
    """
    likely = binom.pmf(np.arange(n + 1), n, share)
    order = np.sort(likely)
    total = np.cumsum(order)
    last = np.searchsorted(order, likely * CLOSE, side="right") - 1
    return np.minimum(total[last], 1.0)
