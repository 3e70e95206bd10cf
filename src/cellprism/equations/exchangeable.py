"""One number beside a few of its kind: would it pass for one more of them?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from cellprism.equations.ratio import varies


class OneAmong(NamedTuple):
    """How a number stands among a few others."""

    mean: float
    """Of the others."""
    half: float
    """Half of the width of the interval in which one more of them lies with 95 %; NaN where they tell nothing."""
    p: float
    """Two-sided; NaN where they tell nothing."""


def one_among(value: float, others: Sequence[float], level: float = 0.05) -> OneAmong:
    """Where one more of some normal numbers would lie, and how far out a value is.

    Formula: t = (v - m) / (s sqrt(1 + 1 / n)) with n - 1 degrees of freedom, m and s the mean and standard deviation of
    the n others. NaN for fewer than 2, or where they do not vary.
    """
    there = np.asarray(others, dtype=float)
    n = len(there)
    if n < 2 or not bool(varies(there[:, None])[0]):
        return OneAmong(float(there.mean()) if n else np.nan, np.nan, np.nan)
    spread = float(there.std(ddof=1) * np.sqrt(1 + 1 / n))
    out = abs(value - there.mean()) / spread
    return OneAmong(float(there.mean()), float(t.isf(level / 2, n - 1) * spread), float(2 * t.sf(out, n - 1)))
