"""Changes of what a model says of genes, as a biologist reads them: in percent, or in folds.

- A change of log(1 + counts per 10,000) by d multiplies 1 + counts per 10,000 by exp(d). Where counts are well above 1
  that is the fold change of the gene; a mean over genes or cells is then the geometric mean of their ratios.
- From a doubling or a halving on, ratios are named as folds. Logits are no amounts and stay what they are.
"""

import math
from typing import Any

import numpy as np

from cellprism.report.words import LOG_COUNTS, Words

LEAST = 0.01  # percent; smaller changes are called so


def in_percent(change: float) -> str:
    """A change of log(1 + counts per 10,000) with its sign: ``+0.3 %``, ``−18 %``, ``2.7-fold up``, ``3.1-fold down``.

    Formula: 100 (exp(d) - 1) percent, and exp(|d|) fold from a doubling or a halving on.
    """
    if abs(change) >= math.log(2):
        return f"{_two_digits(math.exp(abs(change)))}-fold {'up' if change > 0 else 'down'}"
    percent = 100 * math.expm1(change)
    if 0 < abs(percent) < LEAST:
        return f"{_sign(change)}<{LEAST}\u00a0%"
    return f"{_sign(change)}{_two_digits(abs(percent))}\u00a0%"


def changed(change: float, unit: str) -> str:
    """A change with its sign, in percent or folds where ``unit`` is that of expression, else the number itself."""
    return in_percent(change) if unit == LOG_COUNTS else f"{_sign(change)}{_two_digits(abs(change))}"


def between(low: float, high: float, unit: str) -> str:
    """A range of changes."""
    return f"{changed(low, unit)} to {changed(high, unit)}"


def moves(change: float, unit: str, what: str) -> str:
    """What an edit does: ``raises its genes by 0.3 %``, ``lowers GNLY 2.7-fold``."""
    amount = changed(abs(change), unit).removeprefix("+")
    verb, by = ("lowers" if change < 0 else "raises"), "" if amount.endswith(" up") else "by "
    return f"{verb} {what} {by}{amount.removesuffix(' up')}"


def on_axis(changes: Any, unit: str) -> np.ndarray:
    """Changes as they are drawn: relative ones where the unit is that of expression."""
    values = np.asarray(changes, dtype=float)
    return np.expm1(values) if unit == LOG_COUNTS else values


def change_axis(what: str, words: Words) -> dict[str, Any]:
    """An axis of changes, drawn by ``on_axis``."""
    if words.unit == LOG_COUNTS:
        return {"title": {"text": what}, "zeroline": True, "tickformat": "+~p"}
    return {"title": {"text": f"{what}, {words.unit}"}, "zeroline": True, "exponentformat": "power"}


def gap_axis(what: str, largest: float, words: Words) -> dict[str, Any]:
    """An axis of differences between cells of up to ``largest``, drawn as they are: named as folds where the unit is
    that of expression, so that twice as much and half as much lie as far from the middle."""
    if words.unit != LOG_COUNTS:
        return {"title": {"text": f"{what}<br>{words.unit}"}}
    steps = [fold for fold in (1.1, 1.25, 1.5, 2, 3, 5, 10, 30, 100, 300) if math.log(fold) <= largest][-3:]
    at = [-math.log(fold) for fold in reversed(steps)] + [0.0] + [math.log(fold) for fold in steps]
    lower, higher = ([f"{fold:g}-fold<br>{way}" for fold in steps] for way in ("lower", "higher"))
    names = [*reversed(lower), "equal", *higher]
    return {"title": {"text": what}, "tickvals": at, "ticktext": names}


def _two_digits(number: float) -> str:
    """A number of at most two significant digits, without a power of ten where it is not tiny."""
    return f"{float(f'{number:.2g}'):g}".replace("e-0", "e−").replace("e-", "e−")


def _sign(number: float) -> str:
    return "+" if number > 0 else "−" if number < 0 else ""
