"""The mean of a few units, such as autoencoders of several seeds, and how far that of all others might lie."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import ttest_1samp

from cellprism.equations.ratio import is_spread


class UnitMean(NamedTuple):
    """A mean over units beside 0."""

    mean: float
    interval: tuple[float, float] | None
    """Its 95 % t interval; None of a single unit, and of units that are all alike but not 0."""
    p: float | None
    """Two-sided p-value of a one-sample t test against 0; None where there is no interval."""


def unit_mean(x: Float[np.ndarray, " unit"], level: float = 0.95) -> UnitMean:
    """Mean of some units with its t interval, and whether it is 0.

    Formula: mean -+ t s / sqrt(n), with s the standard deviation over the n units (divided by n - 1) and t the
    quantile of Student's distribution with n - 1 degrees of freedom; p of t = mean sqrt(n) / s. Units that are all
    0 have the interval (0, 0) and p = 1; units that are alike but not 0 say nothing of how they spread.
    """
    mean = float(x.mean())
    if not x.any():
        return UnitMean(mean, (0.0, 0.0) if len(x) > 1 else None, 1.0 if len(x) > 1 else None)
    if len(x) < 2 or not is_spread(x.var(), np.square(x).mean()):
        return UnitMean(mean, None, None)
    found: Any = ttest_1samp(x, 0.0)
    low, high = found.confidence_interval(level)
    return UnitMean(mean, (float(low), float(high)), float(found.pvalue))
