"""What the trained autoencoder adds: ``adds/adds.json``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellprism.report.verdict import Interval
from cellprism.studies.files import read_record, write_record
from cellprism.studies.programs.over_seeds import Excess

FILE = "adds.json"


@dataclass(frozen=True)
class Column:
    """One measure of all sources of directions."""

    name: str
    """The measure, and the list rule where it has one."""
    trained: list[float]
    """Of the trained autoencoders with all that they have, the run's own first."""
    directions: int
    """Lists or features that the run's own has."""
    rows: list[Excess]
    """Beside each other source, at as many lists or features as both have; a row's ``lists`` is that number beside the
    run's own. Sources that have none are left out."""
    rival: str
    """The source that the trained autoencoder exceeds least, relative to the values of both."""
    interval: Interval | None
    """Of the excess over it, at the level 1 - .05 / rows, since it was chosen among them; None of one autoencoder."""

    @property
    def beside(self) -> Excess:
        """The row of the rival."""
        return next(row for row in self.rows if row.name == self.rival)

    @property
    def told(self) -> int:
        """1 where the trained autoencoder leads, -1 where its rival does, 0 where the two are not told apart."""
        low, high = self.interval or (0.0, 0.0)
        return int(low > 0) - int(high < 0)


@dataclass(frozen=True)
class Adds:
    """The study's results."""

    seeds: list[int]
    """The run's own first."""
    cells: int
    by_donor: bool
    """Whether the halves are of donors."""
    n_features: int
    width: int
    """Dimensions of the inner state."""
    collection: str
    alpha: float
    terms: int
    """Terms tested, and ``distinct`` of them when near copies count once."""
    distinct: int
    types: int
    """Cell types that are told apart; 0 without labels, or where too few cells have one."""
    columns: list[Column]
    """Those in which the trained autoencoders and some other source have a value."""
    gene_sets: dict[str, Any] = field(default_factory=dict)
    """Where the terms come from: name, how they were made, and files with release and checksum."""
    proteins: int = 0
    """Proteins that vary in both halves; 0 where none was named."""


def write(folder: Path, found: Adds) -> list[Path]:
    """Write the study's folder."""
    return [write_record(folder / FILE, found)]


def read(folder: Path) -> Adds:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return read_record(Adds, folder / FILE)
