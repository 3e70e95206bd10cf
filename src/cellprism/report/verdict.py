"""May a number be believed? One rule for every claim, from three things: the value, its interval, chance's
interval.

- *above chance*, *below chance*: the whole interval lies beyond the null's.
- *at chance* is itself a finding and needs precision: the whole interval lies within the null's, widened on
  each side by half the null's own width. This is the logic of an equivalence test, with a margin on the
  null's scale.
- *cannot be told here*: everything else, with the reason and the smallest difference that would have been
  seen.

No p-value decides: a null interval says the same and can be drawn beside the number.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Interval = tuple[float, float]
Verdict = Literal["above chance", "at chance", "below chance", "cannot be told here"]
VERDICTS: tuple[str, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Judgement:
    """A verdict; ``why`` is the reason and the power when it cannot be told, else empty."""

    verdict: Verdict
    why: str = ""


def judge(
    value: float | None, interval: Interval | None, null_interval: Interval | None, form: str = ".3g"
) -> Judgement:
    """Judge one number against chance.

    ``interval`` is the value's own 95 % interval; None means the value is exact (a count, a deterministic
    effect).
    ``null_interval`` holds 95 % of what chance gives. Both are (low, high) in the value's unit; ``form`` is
    the
    format in which the reason prints numbers.
    """
    if value is None or not math.isfinite(value):
        return Judgement("cannot be told here", "this run does not measure it")
    if null_interval is None:
        return Judgement("cannot be told here", "no null was measured, so chance may give the same")
    low, high = interval or (value, value)
    null_low, null_high = null_interval
    if not all(map(math.isfinite, (low, high, null_low, null_high))):
        return Judgement("cannot be told here", "an interval is not finite: too few observations")
    if low > null_high:
        return Judgement("above chance")
    if high < null_low:
        return Judgement("below chance")
    margin = (null_high - null_low) / 2
    if null_low - margin <= low and high <= null_high + margin:
        return Judgement("at chance")
    seen = max(value - low, high - value) + margin
    why = (
        f"the interval {low:{form}} to {high:{form}} overlaps what chance gives, {null_low:{form}} to "
        f"{null_high:{form}}, and is too wide to call the two equal; only a difference of about "
        f"{seen:{form}} would have shown"
    )
    return Judgement("cannot be told here", why.replace("%", "\u00a0%"))
