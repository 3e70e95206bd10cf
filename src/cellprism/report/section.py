"""A part of the page, as a study hands it over: figures, sentences, and what stands at the top and in the appendix."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cellprism.report.claims import Claim
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
    """A table to search and sort, in a part of its own of the appendix."""

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
class Section:
    """A part of the page: its first row of figures and a few sentences, and what stands of it in the appendix."""

    id: str
    title: str
    """A question."""
    short: str
    """Its name in the table of contents."""
    said: str
    """What was found, in two or three sentences, each number beside its control."""
    rows: list[tuple[Figure, ...]] = field(default_factory=list)
    """Figures, those of a row side by side where there is room. The first row stands in the section, the others in the
    appendix."""
    tables: list[Table] = field(default_factory=list)
    """For the appendix."""
    absent: str = ""
    """Why it is empty, or not whole."""
    banner: str = ""
    """A warning that stands above everything else on the page: why nothing that follows may be read without it."""
    told: dict[str, str] = field(default_factory=dict)
    """Id of a claim -> what was found, in one plain sentence with direction and size, for the top of the page."""
    claims: Sequence[Claim] = ()
    """Its claims, which the page's maker fills in."""
    method: str = ""
    """How it was found, for the appendix."""
    can: list[str] = field(default_factory=list)
    """What the run can show."""
    cannot: list[str] = field(default_factory=list)
    """What it cannot."""
    long: list[LongTable] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing but the reason why it is empty."""
        return not (self.rows or self.tables or self.said)


def folded(rows: Sequence[tuple[Figure, ...]], alike: int) -> list[tuple[Figure, ...]]:
    """Rows of which the first ``alike`` are read in the same way: after the first, the reading is folded away."""
    return [tuple(replace(figure, repeated=0 < i < alike) for figure in row) for i, row in enumerate(rows)]
