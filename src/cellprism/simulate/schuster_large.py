"""The large published simulation: programs, cell types and covariates behind tens of thousands of genes.

Formula: program x gene m ~ Bernoulli(.1); type x program t ~ Bernoulli(.3); x0_cp ~ Poisson(1 + 0.1 p);
shift_cp ~ N(covariate of c, .1); x1 = x0 + shift; x2 = x1 t[type of c]; y = x2 m.

Notable choices

- Cells come in blocks of ``BLOCK``, each with a generator of its own: memory stays flat at any number of cells, and
  any block can be made again without those before it.
- The covariate of a cell is one of 0, 1, 2, and the shift is drawn for every cell and program.
- Distances from the data: x2 1; x1 and the type's mask 2; x0, shift and type 3; covariate 4.

Source: Schuster 2025.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import ConfigError
from cellprism.simulate.world import HiddenVariable, World, one_hot

BLOCK = 1000  # cells that share a generator


@dataclass(frozen=True)
class LargeSettings:
    """Size and noise of the large simulation; the defaults are the published ones."""

    cells: int = 100_000
    genes: int = 20_000
    programs: int = 100
    types: int = 40
    covariates: int = 3
    member_share: float = 0.1
    """Chance that a gene is in a program."""
    active_share: float = 0.3
    """Chance that a type uses a program."""
    shift_spread: float = 0.1
    """Standard deviation of the covariate's shift."""
    noise: bool = False
    """Draw Poisson counts around y, instead of y itself."""
    seed: int = 0

    def __post_init__(self):
        for name in ("cells", "genes", "programs", "types", "covariates"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected at least 1")
        for name in ("member_share", "active_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected a share above 0 and up to 1")
        if self.shift_spread < 0:
            raise ConfigError(f"shift_spread is {self.shift_spread}: expected 0 or more")


@dataclass(frozen=True)
class Cells:
    """What is drawn for some consecutive cells; everything hidden follows from it."""

    start: int
    """Number of the first cell."""
    type: Int[np.ndarray, " cell"]
    covariate: Int[np.ndarray, " cell"]
    x0: Float[np.ndarray, "cell program"]
    shift: Float[np.ndarray, "cell program"]
    mask: Float[np.ndarray, "cell program"]
    """1 where the cell's type uses the program."""
    y: Float[Tensor, "cell gene"]

    @property
    def x1(self) -> Float[np.ndarray, "cell program"]:
        """Activity after the covariate's shift."""
        return self.x0 + self.shift

    @property
    def x2(self) -> Float[np.ndarray, "cell program"]:
        """Activity of the programs that the type uses."""
        return self.x1 * self.mask


class LargeSimulation:
    """The fixed tables, and cells in blocks."""

    def __init__(self, settings: LargeSettings | None = None):
        self.settings = settings = settings or LargeSettings()
        rng = np.random.default_rng([settings.seed, 1])
        self.programs = (rng.random((settings.programs, settings.genes)) < settings.member_share).astype(np.float32)
        self.type_program = (rng.random((settings.types, settings.programs)) < settings.active_share).astype(np.float32)
        self.rates = 1 + 0.1 * np.arange(settings.programs)
        self._member = torch.from_numpy(self.programs)

    def blocks(self, first: int = 0) -> Iterator[Cells]:
        """All cells, or those from the block that begins at ``first``, ``BLOCK`` at a time; the last may be shorter."""
        for start in range(first, self.settings.cells, BLOCK):
            yield self._block(start, min(BLOCK, self.settings.cells - start))

    def data(self) -> Iterator[Float[Tensor, "cell gene"]]:
        """The data alone, block by block."""
        for cells in self.blocks():
            yield cells.y

    def world(self) -> World:
        """All cells at once, for sizes that fit into memory."""
        blocks = list(self.blocks())
        fixed = {"programs": self.programs, "type_program": self.type_program}
        return World(torch.cat([b.y for b in blocks]), self.hidden(blocks), fixed)

    def hidden(self, blocks: list[Cells]) -> tuple[HiddenVariable, ...]:
        """The hidden variables of some blocks."""
        s = self.settings

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(block, name) for block in blocks])

        return (
            HiddenVariable("x2", "number", 1, joined("x2")),
            HiddenVariable("x1", "number", 2, joined("x1")),
            HiddenVariable("mask", "binary", 2, joined("mask")),
            HiddenVariable("x0", "number", 3, joined("x0")),
            HiddenVariable("shift", "number", 3, joined("shift")),
            HiddenVariable("type", "category", 3, one_hot(joined("type"), s.types)),
            HiddenVariable("covariate", "category", 4, one_hot(joined("covariate"), s.covariates)),
        )

    def _block(self, start: int, size: int) -> Cells:
        s = self.settings
        rng = np.random.default_rng([s.seed, 2, start])
        kind = rng.integers(s.types, size=BLOCK)[:size]
        covariate = rng.integers(s.covariates, size=BLOCK)[:size]
        x0 = rng.poisson(self.rates, (size, s.programs)).astype(np.float32)
        shift = (covariate[:, None] + s.shift_spread * rng.standard_normal((size, s.programs))).astype(np.float32)
        mask = self.type_program[kind]
        y = torch.from_numpy((x0 + shift) * mask) @ self._member
        if s.noise:
            y = torch.from_numpy(rng.poisson(y.clamp_min(0).numpy()).astype(np.float32))
        return Cells(start, kind, covariate, x0, shift, mask, y)
