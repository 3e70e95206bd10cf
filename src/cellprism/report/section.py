"""A part of the page, as a study hands it over: figures, tables, and what stands at the top and the end of the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cellprism.report.figure import Figure, NumberTable


@dataclass(frozen=True)
class Table:
    """A table of a section, with a caption that says what it holds."""

    caption: str
    numbers: NumberTable


@dataclass(frozen=True)
class Cell:
    """A field of a long table: its text, and the number that it is sorted by where that is not the text."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class LongTable:
    """A table to search and sort, in a section of its own near the end of the page."""

    id: str
    title: str
    lead: str
    header: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    """The first field is the row's name; a mark of a figure leads to the row ``<id>-<name>``."""
    placeholder: str = "search …"
    wide: int = 1
    """Which column may be wide and is set in small type."""


@dataclass(frozen=True)
class KeyNumber:
    """One large number at the top of the page, with its control and verdict."""

    value: str
    words: str
    control: str
    verdict: str
    claim: str
    """Id of the claim."""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    """A question."""
    short: str
    """Its name in the table of contents."""
    lead: str
    rows: list[tuple[Figure, ...]] = field(default_factory=list)
    """Figures, those of a row side by side where there is room."""
    tables: list[Table] = field(default_factory=list)
    absent: str = ""
    """Why it is empty, or not whole."""
    banner: str = ""
    """A warning that stands above everything else on the page: why nothing that follows may be read without it."""
    keys: list[KeyNumber] = field(default_factory=list)
    """Its large numbers at the top of the page."""
    summary: str = ""
    """What it found, for the top of the page."""
    can: list[str] = field(default_factory=list)
    """What the run can show."""
    cannot: list[str] = field(default_factory=list)
    """What it cannot."""
    long: list[LongTable] = field(default_factory=list)


def folded(rows: Sequence[tuple[Figure, ...]], alike: int) -> list[tuple[Figure, ...]]:
    """Rows of which the first ``alike`` are read in the same way: after the first, the reading is folded away."""
    return [tuple(replace(figure, repeated=0 < i < alike) for figure in row) for i, row in enumerate(rows)]
