"""What is measured of a cell model: ``assess/assessment.json``."""

from dataclasses import dataclass, field
from pathlib import Path

from cellprism.report.verdict import Interval
from cellprism.studies.files import read_record, write_record

FILE = "assessment.json"


@dataclass(frozen=True)
class Measure:
    """A number with its 95 % interval, where it has one."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class MaskedError:
    """Error on hidden genes of held-out cells, as a share of the gene means' error."""

    value: float
    interval: Interval | None
    removed: float
    """1 minus the value: the share of the gene means' error that is removed."""
    behind: Interval
    """95 % of how far it lies behind the model, cell by cell: a paired difference, sharper than the two intervals."""


@dataclass(frozen=True)
class Assessment:
    """How well the model does its own task, and what can be read from its inner state."""

    held_out: dict[str, MaskedError] = field(default_factory=dict)
    """By method: model, ridge, type mean, gene mean."""
    reconstruction: dict[str, Measure] = field(default_factory=dict)
    """Of a model that reads a cell as a whole: nats per count by which the other half of a held-out cell's counts is
    predicted better than by the gene means, by method: model, type mean, gene mean, untrained network."""
    cells: int | None = None
    """Cells behind these."""
    cell_types: dict[str, Measure] = field(default_factory=dict)
    """Share of held-out cells whose type is read rightly from: residuals (or a latent model's vectors), raw expression,
    untrained network, largest type."""
    neighbours: dict[str, list[str]] = field(default_factory=dict)
    """Nearest gene embeddings, best first."""
    neighbours_at_start: dict[str, list[str]] = field(default_factory=dict)
    """The same before the first step of training, where it is known."""


def write(folder: Path, found: Assessment) -> list[Path]:
    """Write the study's folder."""
    return [write_record(folder / FILE, found)]


def read(folder: Path) -> Assessment:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return read_record(Assessment, folder / FILE)
