"""What there is to find in each block: ``blocks/blocks.json``."""

from dataclasses import dataclass
from pathlib import Path

from cellprism.studies.files import read_record, write_record
from cellprism.studies.fit.tables import FairControl

FILE = "blocks.json"


@dataclass(frozen=True)
class Dimensions:
    """How many dimensions some vectors fill, means taken off."""

    whole: float
    """Participation ratio of the covariance's eigenvalues, noise included."""
    recurring: float | None
    """That of what recurs when each cell is read twice, from either half of its counts; None where next to nothing
    does."""
    share: float
    """Share of the variance that recurs."""


@dataclass(frozen=True)
class Dictionary:
    """Variance of other cells' tokens that a dictionary explains, trained for the block in a short time, and the best
    of fair ones, all used by the same pursuit."""

    trained: float
    fair: FairControl

    @property
    def excess(self) -> float:
        """What training adds."""
        return self.trained - self.fair.explained


@dataclass(frozen=True)
class Block:
    """One block's output."""

    layer: int
    tokens: Dimensions | None
    """Each gene's mean taken off; None where a cell is the one token."""
    without_count: Dimensions | None
    """The same without what each token's own count says of it, by a straight line for each gene."""
    pooled: Dimensions
    """Means over the tokens of each cell."""
    dictionary: Dictionary | None
    """None where tokens do not vary."""


@dataclass(frozen=True)
class Blocks:
    """The study's results."""

    width: int
    cells: int
    tokens_a_cell: int
    """Tokens of each cell, at most, whose dimensions are counted."""
    n_features: int
    k: int
    counts: Dimensions
    """The cells' own log1p counts per ten thousand, which bound what can be found of cells."""
    blocks: list[Block]


def write(folder: Path, found: Blocks) -> list[Path]:
    """Write the study's folder."""
    return [write_record(folder / FILE, found)]


def read(folder: Path) -> Blocks:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return read_record(Blocks, folder / FILE)
