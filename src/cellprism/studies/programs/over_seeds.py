"""A share that features have, beside a control's, over autoencoders of several seeds.

The seed is the unit. An autoencoder's features depend on each other, so an interval over its features says nothing
of what another training would have found; the spread between trainings does. What is judged is the excess over the
control, seed by seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellprism.equations.units import unit_mean
from cellprism.report.verdict import Interval


@dataclass(frozen=True)
class Excess:
    """What features have, and what a control has, for each autoencoder."""

    name: str
    """The control."""
    shares: list[float]
    """Of the features, one an autoencoder, the run's own first."""
    controls: list[float]
    """Of the control beside each."""
    share: float
    """Mean of the first."""
    control: float
    """Mean of the second."""
    interval: Interval | None
    """95 % t interval of the mean difference; None where there is but one autoencoder, or where all differ alike."""
    p_seeds: float | None
    """Two-sided p-value of a t test of the differences against 0."""
    p_draws: float | None
    """Two-sided p-value of the run's own features among lists made at random; None where the control is not drawn."""
    draws: int | None
    """How many families of lists were drawn for it."""
    p: float | None
    """The larger of the two, or the one that there is."""
    lists: int
    """Lists, or features, of the run's own autoencoder."""

    @property
    def mean(self) -> float:
        """The mean difference."""
        return self.share - self.control

    @property
    def beside(self) -> Interval | None:
        """The interval of the mean share, its control held where it is."""
        if self.interval is None:
            return None
        low, high = (self.control + end for end in self.interval)
        return min(low, self.share), max(high, self.share)  # equal but for rounding


def excess_of(
    name: str,
    shares: Sequence[float],
    controls: Sequence[float],
    lists: int,
    p_draws: float | None = None,
    draws: int | None = None,
) -> Excess:
    """The excess over a control; ``p_draws`` is that of the first share among ``draws`` of the control.

    Both p-values must be small. The t test asks whether other trainings on this model and these cells exceed the
    control as well, the draws whether lists that are all alike in all trainings exceed it by luck. Where the two
    point to different sides, p is 1.
    """
    ours, theirs = np.asarray(shares, dtype=np.float64), np.asarray(controls, dtype=np.float64)
    found = unit_mean(ours - theirs)
    p = found.p
    if p is not None and p_draws is not None:
        p = max(p, p_draws) if found.mean * (ours[0] - theirs[0]) >= 0 else 1.0
    return Excess(
        name, ours.tolist(), theirs.tolist(), float(ours.mean()), float(theirs.mean()), found.interval, found.p,
        p_draws, draws, p, lists,
    )  # fmt: skip
