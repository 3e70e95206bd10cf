"""A figure: a plot together with the words that a reader needs to trust and understand it."""

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import plotly.graph_objects as go


@dataclass(frozen=True)
class NumberTable:
    """The numbers behind a figure, for those who would rather read than look."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Figure:
    """A plot, its finding and how to read it. Texts are plain: the page escapes them."""

    id: str
    title: str
    """The finding, in one plain sentence."""
    plot: go.Figure
    reading: str
    """How to read it, for somebody who has never seen such a plot."""
    alt: str
    """What it shows, for somebody who cannot see it."""
    files: tuple[str, ...]
    """The files of the run folder that hold its numbers."""
    height: int = 420
    narrow: dict[str, Any] = field(default_factory=dict)
    """Layout changes for screens below 600 pixels."""
    numbers: NumberTable | None = None
    repeated: bool = False
    """Whether one that is read in the same way stands above it, so that the reading may be folded away."""


def canvas(traces: Sequence[Any], **layout: Any) -> go.Figure:
    """A plot without a template: the page gives it the light or the dark one."""
    return go.Figure(data=list(traces), layout={"template": "none", **layout})


def log_axis(values: Iterable[SupportsFloat]) -> dict[str, Any]:
    """A logarithmic axis with marks at 1, 2 and 5, or at 1 alone where the positive values span three decades."""
    positive = [math.log10(float(v)) for v in values if float(v) > 0]
    digits = (1, 2, 5) if positive and max(positive) - min(positive) < 3 else (1,)
    ticks = [float(f"{digit}e{power}") for power in range(-9, 10) for digit in digits]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}


def listing(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def plain(text: str) -> str:
    """Text for a plot's labels and hovers, where plotly would otherwise read tags."""
    return html.escape(str(text), quote=False)


def joined(names: Sequence[str], width: int = 6) -> str:
    """Escaped names separated by commas, ``width`` to a line."""
    lines = [", ".join(plain(n) for n in names[i : i + width]) for i in range(0, len(names), width)]
    return ",<br>".join(lines)


def wrapped(text: str, width: int = 22) -> str:
    """An escaped label of several short lines, so that labels leave room for the plot on a narrow screen."""
    return "<br>".join(plain(line) for line in textwrap.wrap(str(text), width)) or plain(text)


def percent(share: float, digits: int = 0) -> str:
    """A share in words that lose nothing small: 0.4 % does not become 0 %, nor 99.8 % 100 %."""
    if digits == 0 and (0 < abs(share) < 0.095 or 0.995 <= abs(share) < 1):
        digits = 1 if abs(share) < 0.9995 else 2
    return f"{100 * share:.{digits}f}\u00a0%".replace("-", "−")


def small(p: float) -> str:
    """A p-value or q-value for a plot's hover."""
    if p >= 0.001 or p <= 0:
        return f"{p:.2g}" if p > 0 else "0"
    mantissa, exponent = f"{p:.0e}".split("e")
    return f"{mantissa} × 10<sup>−{abs(int(exponent))}</sup>"


def small_text(p: float) -> str:
    """A p-value or q-value in plain text."""
    return f"{p:.2g}".replace("e-0", "e−").replace("e-", "e−")
