"""What the ladder found: ``ladder/ladder.json``."""

from dataclasses import dataclass
from pathlib import Path

from cellprism.report.verdict import Interval
from cellprism.studies.files import read_record, write_record
from cellprism.studies.programs.over_seeds import Excess

FILE = "ladder.json"


@dataclass(frozen=True)
class Rung:
    """One control under one rule, beside the features."""

    name: str
    """As in ``labels.RUNGS``, or ``own``."""
    excess: Excess
    """The features' annotated rates minus the control's, autoencoder by autoencoder."""
    spread: Interval | None
    """Of the control's rate: where 95 % of the drawn families lie, or the 95 % t interval over its trainings; None
    where it is the same for all."""
    lists: int
    """Lists of the control beside the run's own autoencoder."""
    distinct: float
    """Different programs that its lists match, and ``ours`` those of the features, at the number that both have; means
    over autoencoders."""
    ours: float
    unfair: str
    """Why it is shown and not judged; empty where it is judged."""


@dataclass(frozen=True)
class Hardest:
    """The fair rung that the features exceed least."""

    name: str
    mean: float
    """The excess over it, mean over autoencoders."""
    interval: Interval | None
    """95 % interval of the least excess over all fair rungs (``equations.least``)."""
    p: float | None
    """Two-sided p-value of it."""
    draws: int | None
    """Families drawn, where the p-value is of one that is drawn."""
    fair: int
    """Fair rungs among which it is the hardest."""


@dataclass(frozen=True)
class RuleResult:
    """All rungs under one list rule."""

    name: str
    """As in ``labels.RULES``."""
    share: float
    """Share of the features' lists that match a program, mean over autoencoders."""
    control: float | None
    """That of the hardest fair rung."""
    shares: list[float]
    """The features', autoencoder by autoencoder, the run's own first."""
    interval: Interval | None
    """95 % t interval of their mean."""
    lists: int
    """Lists of the run's own autoencoder, and ``size`` their mean length."""
    size: float
    rungs: list[Rung]
    """In the order of the ladder."""
    missing: list[str]
    """Rungs that have no lists by this rule."""
    hardest: Hardest | None
    """None where no fair rung is there."""


@dataclass(frozen=True)
class Absent:
    """A rung that this run cannot have."""

    name: str
    why: str


@dataclass(frozen=True)
class Ratios:
    """How many genes the features of one source spread over (Fig. 1a)."""

    name: str
    """``features``, or a control."""
    counts: list[int]
    """Features in each bin of ``Ladder.edges``."""
    median: float


@dataclass(frozen=True)
class Informed:
    """The most informative program of each list of one source, 20 genes by mean activation (Fig. 1b)."""

    name: str
    """``features``, ``neurons``, or the null."""
    counts: list[float]
    """Lists that match, in each bin of ``Information.edges``; a mean over draws of the null."""
    matching: float
    """Share of the lists that match a program at all."""
    median: float | None
    """Over those that match; None where none does."""


@dataclass(frozen=True)
class Information:
    """Most informative programs of features and of neurons, as many lists of 20 genes."""

    edges: list[float]
    """Information content in nats: that of the ontology where terms come from one, else of the collection's genes."""
    sources: list[Informed]
    lists: int
    """Lists of each source."""
    above: float
    """Share of the pairs of a feature's list and a neuron's, both matching, in which the feature's is the more
    informative (the Mann-Whitney statistic over its largest value); ties count one half. Mean over autoencoders."""
    above_interval: Interval | None
    """95 % t interval over autoencoders."""
    p: float
    """Of the Mann-Whitney test on the run's own lists, each taken for independent, as published."""
    null_above: float
    """The same share for lists of the null in the features' place, mean over draws, and where 95 % lie."""
    null_interval: Interval
    draws: int


@dataclass(frozen=True)
class Ladder:
    """The study's results."""

    seeds: list[int]
    """The run's own first."""
    cells: int
    n_features: int
    collection: str
    terms: int
    background: int
    family: str
    alpha: float
    replicates: int
    brought: str
    """Name of the programs that somebody brought; empty where nobody did."""
    rules: list[RuleResult]
    absent: list[Absent]
    without: list[str]
    """Rules by which the features have no lists, or not those of every autoencoder."""
    edges: list[float]
    """Of the participation ratios."""
    ratios: list[Ratios]
    information: Information | None
    """None where features or neurons match nothing."""


def write(folder: Path, found: Ladder) -> list[Path]:
    """Write the study's folder."""
    return [write_record(folder / FILE, found)]


def read(folder: Path) -> Ladder:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return read_record(Ladder, folder / FILE)
