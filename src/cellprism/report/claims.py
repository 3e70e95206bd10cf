"""Claims: what a run says, each with its control, its verdict and the place on disk that holds the number.

- ``claims.json`` is a list of rows, one a claim, in reading order; every field is always there, null when
  unknown.
- A claim is checked when it is made, so an invalid one can be neither written nor read.
- ``interval`` and ``null.interval`` are 95 % intervals, (low, high), in the value's own unit.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cellprism.errors import DamagedError, RunError
from cellprism.report.effect import in_percent
from cellprism.report.verdict import (
    FEWEST_DRAWS,
    VERDICTS,
    Interval,
    Judgement,
    few_draws,
    judge,
    judge_draws,
    judge_units,
)
from cellprism.report.words import LOG_COUNTS
from cellprism.store.atomic import read_json, write_json

OF_A_GAP = "of the gap"
"""Unit of how far something went, 1 being the whole way."""


@dataclass(frozen=True)
class Published:
    """What a paper reports for the same question, on another model."""

    text: str
    """The value in words, as printed."""
    model: str
    """The model and site it was measured on; such a number cannot be had from another model."""
    value: float | None = None
    """The value as a number in the claim's unit, where it is one."""


@dataclass(frozen=True)
class Null:
    """What chance, or the named competitor, gives for the same measurement."""

    name: str
    """Which control, in words."""
    value: float | None
    """Its mean."""
    interval: Interval | None
    """Where 95 % of its replicates lie; both ends equal when the control is one exact number."""
    p: float | None = None
    """Two-sided p-value of ours among its draws, ``equations.effects.permutation_p``, or over units; None where it has
    none."""
    draws: int | None = None
    """How many draws; None where p is not of draws."""
    units: int | None = None
    """How many units p is over, such as autoencoders of other seeds; None where it is of draws alone."""

    @property
    def least_p(self) -> float:
        """The smallest p-value that so many draws can give: two-sided, 2 / (1 + n)."""
        return 0.0 if self.draws is None else 2 / (1 + self.draws)


@dataclass(frozen=True)
class Test:
    """How the number was tested."""

    __test__ = False  # pytest collects classes named Test*

    test: str
    """The test or the estimator."""
    side: str = "two-sided"
    """Which alternatives count: greater, less or two-sided."""
    background: str = ""
    """Which genes, cells or lists could have been drawn."""
    correction: str = "none"
    """How many tests were corrected for, and how."""
    unit_of_inference: str = ""
    """What was resampled or counted: features, lists, cells, donors."""
    n: int | None = None
    """How many of that unit."""
    matters: float | None = None
    """The smallest difference from the null that matters, in the claim's unit; see ``verdict.judge``."""


@dataclass(frozen=True)
class Source:
    """The file in the run folder, and the field in it, that hold the number."""

    file: str
    field: str


@dataclass(frozen=True)
class Claim:
    """One thing that a run says. Raises ``RunError`` when its parts contradict each other."""

    id: str
    """Short and stable: lower-case words joined by hyphens."""
    section: str
    """The part of the page it belongs to."""
    statement: str
    """The claim in plain words."""
    value: float | None
    """Ours; None when this run cannot measure it."""
    unit: str
    """What the number counts, for example "of features"."""
    format: str
    """Python format specification of the number, for example ``.0%``."""
    interval: Interval | None
    """Its 95 % interval; None when the value is exact or unknown."""
    published: Published | None
    null: Null | None
    test: Test
    verdict: str
    """One of ``verdict.VERDICTS``."""
    why: str
    """The reason and the power, when it cannot be told."""
    source: Source | None
    """None only when nothing was measured."""
    q: float | None = None
    """Its p-value corrected for all claims of its page that have one, see ``multiple``; None where it has none."""
    corrected: str = ""
    """What is left of being called above or below chance after that correction; empty where it is not called so by a
    p-value."""

    def __post_init__(self):
        problems = [*_problems_of_words(self), *_problems_of_numbers(self)]
        if problems:
            raise RunError(f"claim {self.id!r} is not valid: " + "; ".join(problems))

    def show(self, number: float | None) -> str:
        """A number in this claim's format; a dash when there is none."""
        return "–" if number is None else format(number, self.format).replace("-", "−").replace("%", "\u00a0%")

    def plain(self, number: float | None) -> str:
        """The same for a reader: changes of predicted expression in percent or folds, see ``effect``, parts of a gap in
        percent."""
        if number is None or self.unit not in (LOG_COUNTS, OF_A_GAP):
            return self.show(number)
        return in_percent(number) if self.unit == LOG_COUNTS else f"{100 * number:.0f}\u00a0%".replace("-", "−")


def judged(
    id: str,
    section: str,
    statement: str,
    value: float | None,
    *,
    unit: str,
    format: str,
    interval: Interval | None = None,
    published: Published | None = None,
    null: Null | None = None,
    test: Test,
    source: Source | None,
    why: str = "",
    barred: str = "",
) -> Claim:
    """A claim whose verdict follows from its numbers: by ``verdict.judge_units`` where the null was measured in units,
    by ``verdict.judge_draws`` where it has draws, else by ``verdict.judge``.

    ``why`` replaces the rule's own reason where it cannot be told. ``barred`` is a reason for which it cannot
    be told whatever the numbers are, such as an unfair control.
    """
    found = judgement(value, interval, null, format, test.matters)
    if barred:
        found = Judgement("cannot be told here", barred)
    reason = (why or found.why) if found.verdict == "cannot be told here" else ""
    return Claim(
        id,
        section,
        statement,
        value,
        unit,
        format,
        interval,
        published,
        null,
        test,
        found.verdict,
        reason,
        source,
    )


def judgement(
    value: float | None, interval: Interval | None, null: Null | None, form: str = ".3g", matters: float | None = None
) -> Judgement:
    """What the numbers of a claim say."""
    if null is not None and null.value is not None and null.units is not None:
        if null.draws is not None and null.draws < FEWEST_DRAWS:
            return few_draws(null.draws)
        return judge_units(value, interval, null.value, null.p, null.units, form, matters)
    if null is not None and null.p is not None and null.draws is not None:
        return judge_draws(value, null.p, null.draws, null.interval, form, matters)
    return judge(value, interval, null.interval if null else None, form, matters)


def write_claims(path: Path, claims: Sequence[Claim]) -> None:
    """Write ``claims.json``; two claims with one id raise ``RunError``."""
    ids = [claim.id for claim in claims]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise RunError(f"{path} would hold two claims with the same id: {', '.join(twice)}; ids must differ")
    write_json(path, [asdict(claim) for claim in claims])


def read_claims(path: Path) -> list[Claim]:
    """Read ``claims.json``; a row that is no valid claim raises ``DamagedError`` that names file, row and
    reason."""
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DamagedError(
            f"{path} should hold a list of claims, found {type(rows).__name__}; rerun `cellprism report`"
        )
    return [_claim(row, f"{path}, row {number}") for number, row in enumerate(rows)]


def _claim(row: Any, place: str) -> Claim:
    fields = {name: row[name] for name in Claim.__dataclass_fields__ if isinstance(row, dict) and name in row}
    if len(fields) < len(Claim.__dataclass_fields__):
        missing = sorted(set(Claim.__dataclass_fields__) - set(fields))
        raise DamagedError(f"{place} is no claim: it lacks {', '.join(missing)}; rerun `cellprism report`")
    try:
        null = fields["null"] and Null(**{**fields["null"], "interval": _pair(fields["null"].get("interval"))})
        nested = {
            "interval": _pair(fields["interval"]),
            "published": fields["published"] and Published(**fields["published"]),
            "null": null,
            "test": Test(**fields["test"]),
            "value": None if fields["value"] is None else float(fields["value"]),
            "source": fields["source"] and Source(**fields["source"]),
        }
        return Claim(**{**fields, **nested})
    except (TypeError, ValueError, AttributeError, RunError) as error:
        raise DamagedError(f"{place} is no valid claim ({error}); rerun `cellprism report`") from error


def _pair(interval: Any) -> Interval | None:
    if interval is None:
        return None
    low, high = interval
    return float(low), float(high)


def _problems_of_words(claim: Claim) -> list[str]:
    problems = []
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id):
        problems.append("its id must be lower-case words joined by hyphens")
    if not claim.statement.strip() or not claim.section.strip():
        problems.append("it needs a statement and a section")
    if claim.verdict not in VERDICTS:
        problems.append(f"verdict {claim.verdict!r} is none of {', '.join(VERDICTS)}")
    if claim.verdict == "cannot be told here" and not claim.why.strip():
        problems.append("it cannot be told, but the reason is missing")
    if claim.verdict != "cannot be told here" and (claim.value is None or claim.null is None):
        problems.append(f"{claim.verdict!r} needs both a value and a null")
    if claim.value is not None and claim.source is None:
        problems.append("it has a value but no source file")
    return problems


def _problems_of_numbers(claim: Claim) -> list[str]:
    problems = []
    try:
        format(1.0, claim.format)
    except ValueError:
        problems.append(f"format {claim.format!r} is no Python format specification")
    if claim.value is not None and not math.isfinite(claim.value):
        problems.append(f"value {claim.value} is not finite; use None for unknown")
    for name, interval in (
        ("interval", claim.interval),
        ("null interval", claim.null.interval if claim.null else None),
    ):
        if interval is None:
            continue
        if not all(map(math.isfinite, interval)):
            problems.append(f"{name} {interval} is not finite")
        elif interval[0] > interval[1]:
            problems.append(f"{name} {interval} runs backwards")
    if claim.interval and claim.value is not None and not claim.interval[0] <= claim.value <= claim.interval[1]:
        problems.append(f"interval {claim.interval} does not hold the value {claim.value}")
    return problems
