"""May a number be believed? One rule where chance was drawn again and again, one where units were measured (such as
autoencoders of several seeds), one where there are only intervals.

Where the null has draws, the verdict is that of a permutation test: p = (1 + b) / (1 + n), doubled for both sides. The
value's own interval plays no part, since the draws hold that noise already. Fewer than 39 draws cannot reach p = .05.

Where some units were measured each beside its own control, the verdict is that of a t test over them, and the
interval is the t interval. At chance is then a test of equivalence: the whole interval lies within the difference
that matters.

Else the value and its interval stand against the null's interval:

- *above chance*, *below chance*: the whole interval lies beyond the null's.
- *at chance* is itself a finding and needs precision, as in an equivalence test. The whole interval lies
  within the null's, widened on each side by half the null's own width; and a difference that matters would
  have shown.
- *cannot be told here*: everything else, with the reason and the smallest difference that would have shown.

"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from cellprism.equations.effects import LEVEL

Interval = tuple[float, float]
Verdict = Literal["above chance", "at chance", "below chance", "cannot be told here"]
VERDICTS: tuple[str, ...] = get_args(Verdict)

FEWEST_DRAWS = 39
"""The least number of draws whose smallest two-sided p, 2 / (1 + n), is ``LEVEL``."""
FEWEST_UNITS = 5
"""The least number of units, such as autoencoders of other seeds, whose spread says how far the next might lie."""
SHARE_MATTERS = 0.1
"""Ten points of a share (of lists, cells, genes), or a tenth of a gap, is a difference that matters."""
ACCURACY_MATTERS = 0.05
"""Five points of the cells whose type is read rightly."""
EFFECT_MATTERS = 0.05
"""About 5 % more or less of a gene, in log(1 + counts per ten thousand)."""
SYMMETRY_MATTERS = 0.25
"""On the scale of ``equations.effects.antisymmetry``, from -1 to 1."""


@dataclass(frozen=True)
class Judgement:
    """A verdict; ``why`` is the reason and the power when it cannot be told, else empty."""

    verdict: Verdict
    why: str = ""


def judge(
    value: float | None,
    interval: Interval | None,
    null_interval: Interval | None,
    form: str = ".3g",
    matters: float | None = None,
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
    seen = max(value - low, high - value) + margin
    inside = null_low - margin <= low and high <= null_high + margin
    if inside and (matters is None or seen <= matters):
        return Judgement("at chance")
    plain = form.removeprefix("+")
    spans = f"the interval {low:{form}} to {high:{form}}" if interval else f"the value {value:{form}}"
    why = (
        f"{spans} overlaps what chance gives, {null_low:{form}} to {null_high:{form}}; "
        f"only a difference of about {seen:{plain}} would have shown"
    )
    return Judgement("cannot be told here", why.replace("%", "\u00a0%").replace(" -", " −"))


def judge_draws(
    value: float | None,
    p: float,
    draws: int,
    null_interval: Interval | None,
    form: str = ".3g",
    matters: float | None = None,
) -> Judgement:
    """Judge one number against ``draws`` of chance, among which it has the two-sided ``p``
    (``equations.effects.permutation_p``).

    ``null_interval`` holds 95 % of the draws. A value that is not beyond them is at chance where it lies within that
    interval, and where half of its width is at most the difference that ``matters``.
    """
    if value is None or not math.isfinite(value) or null_interval is None:
        return judge(value, None, null_interval, form, matters)
    if draws < FEWEST_DRAWS:
        return few_draws(draws)
    low, high = null_interval
    if p <= LEVEL:
        return Judgement("above chance" if value > (low + high) / 2 else "below chance")
    found = judge(value, None, null_interval, form, matters)
    if found.verdict in ("above chance", "below chance"):
        return Judgement("cannot be told here", f"at the edge of what chance gives: p = {p:.2g} among {draws} draws")
    return found


def few_draws(draws: int) -> Judgement:
    """What can be said beside fewer than ``FEWEST_DRAWS`` draws of chance: nothing."""
    return Judgement(
        "cannot be told here", f"chance was drawn {draws} times; reaching p = .05 takes at least {FEWEST_DRAWS}"
    )


def judge_units(
    value: float | None,
    interval: Interval | None,
    null: float,
    p: float | None,
    units: int,
    form: str = ".3g",
    matters: float | None = None,
) -> Judgement:
    """Judge the mean of ``units`` measurements, each beside its own control, whose two-sided ``p`` says how likely they
    lie so far from ``null`` on average.

    ``interval`` is the t interval of the mean. At chance is a mean whose whole interval is nearer to the null than the
    difference that ``matters``.
    """
    if value is None or not math.isfinite(value):
        return judge(value, interval, None)
    if units < FEWEST_UNITS:
        return Judgement(
            "cannot be told here",
            f"{units} measured; how they spread takes at least {FEWEST_UNITS}, of which the mean is judged",
        )
    if p is None or interval is None:
        return Judgement(
            "cannot be told here", f"all {units} differ from their control alike, so how they spread is not known"
        )
    if p <= LEVEL:
        return Judgement("above chance" if value > null else "below chance")
    low, high = interval
    if matters is not None and null - matters <= low and high <= null + matters:
        return Judgement("at chance")
    seen = format(max(value - low, high - value), form.removeprefix("+"))
    why = f"p = {p:.2g}; only a difference of about {seen} would have shown"
    if not low <= null <= high:
        why = f"all agree, and yet it is at the edge of what chance gives by its draws: p = {p:.2g}"
    return Judgement("cannot be told here", why.replace("%", "\u00a0%"))
