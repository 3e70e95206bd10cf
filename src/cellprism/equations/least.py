"""The least of several means, each over the same few units: by how much all of several controls are exceeded."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cellprism.equations.units import unit_mean


class LeastMean(NamedTuple):
    """The smallest of several means, with what is known of the smallest of the true ones."""

    place: int
    """Which one is the smallest."""
    mean: float
    interval: tuple[float, float] | None
    """Of the smallest true mean; None where that of the smallest one found does not spread over units."""
    p: float | None
    """Two-sided p-value of the smallest true mean being 0."""


def least_mean(
    x: Float[np.ndarray, "control unit"], p: Float[np.ndarray, " control"] | None = None, level: float = 0.95
) -> LeastMean:
    """The least mean over units among several controls, and the interval of the least true one.

    Formula: with m controls and (L_i(a), U_i(a)) the t interval of control i at level a, the interval is
    [min_i L_i(level), min_i U_i(1 - (1 - level) / m)]. Its lower end is too high only if the interval of the control
    with the least true mean is, whichever that is (Berger 1982, intersection-union), so nothing is corrected there; its
    upper end is too low if any of the m is, so that each is held to its share of the error. Where all means are
    positive, p is the largest of the m p-values; else it is m times the smallest p of those that are not, at most 1.

    Args:
        x: differences from each control.
        p: two-sided p-value of each where it is not that of the t test alone; NaN where there is none.
        level: of the interval.
    """
    m = len(x)
    found, wide = ([unit_mean(row, a) for row in x] for a in (level, 1 - (1 - level) / m))
    place = int(np.argmin([one.mean for one in found]))
    mean = found[place].mean
    each = np.array([np.nan if one.p is None else one.p for one in found]) if p is None else np.asarray(p, dtype=float)
    if found[place].interval is None or np.isnan(each[place]):
        return LeastMean(place, mean, None, None)
    # where all units differ alike, the mean is as sure as it can be
    low = min((one.interval or (one.mean, one.mean))[0] for one in found)
    high = min((one.interval or (one.mean, one.mean))[1] for one in wide)
    if mean > 0:
        return LeastMean(place, mean, (low, high), float(np.nanmax(each)))
    below = each[[one.mean <= 0 for one in found]]
    return LeastMean(place, mean, (low, high), float(min(1.0, m * np.nanmin(below))))
