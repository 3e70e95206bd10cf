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
    """Error on hidden genes, as a share of the gene means' error."""

    value: float
    interval: Interval | None
    removed: float
    """1 minus the value: the share of the gene means' error that is removed."""
    behind: Interval
    """95 % of how far it lies behind the model, cell by cell: a paired difference, sharper than the two intervals."""


@dataclass(frozen=True)
class Gain:
    """Nats per hidden count by which counts are predicted better than by the gene means."""

    value: float
    interval: Interval
    behind: Interval
    """95 % of how far it lies behind the model, cell by cell."""


@dataclass(frozen=True)
class HiddenGenes:
    """Genes hidden from the model and predicted, on test cells; all else is fitted on other cells of the same run."""

    methods: dict[str, MaskedError]
    """By method: model (recentred per gene), model as it is, ridge, type mean, gene mean, training gene mean; as shares
    of the error of the run's own gene means."""
    over_training_means: Measure | None
    """Error of the model as it is over that of the gene means of its training data; None where its card has none."""
    agreement: dict[str, Measure]
    """``hidden`` and ``visible``: median over genes of the correlation over cells of the model's output with the
    counts, at hidden and at visible tokens."""


@dataclass(frozen=True)
class CardScores:
    """What the model's card says that its makers measured, on cells held out of its training."""

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


@dataclass(frozen=True)
class Assessment:
    """How well the model does its own task on the run's cells, and what can be read from its inner state there."""

    cells: int = 0
    """Cells that were judged."""
    fit_cells: int = 0
    """Cells that simpler methods were fitted on."""
    hidden_genes: HiddenGenes | None = None
    """None where the model cannot hide genes or predicts no amounts."""
    noise: HiddenGenes | None = None
    """The same on counts with the same margins and nothing else in them."""
    hidden_counts: dict[str, Gain] = field(default_factory=dict)
    """Of a model that reads a cell as a whole, by method: model (recentred per gene), model as it is, type mean, gene
    mean, untrained network (recentred as well)."""
    cell_types: dict[str, Measure] = field(default_factory=dict)
    """Share of test cells whose type is read rightly from: residuals (or vectors, where the model reads a cell as a
    whole), raw expression, untrained network, largest type."""
    absent: list[str] = field(default_factory=list)
    """What was not measured, and why, in sentences."""
    card: CardScores = field(default_factory=CardScores)


def write(folder: Path, found: Assessment) -> list[Path]:
    """Write the study's folder."""
    return [write_record(folder / FILE, found)]


def read(folder: Path) -> Assessment:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return read_record(Assessment, folder / FILE)
