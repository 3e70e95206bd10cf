"""The passes of a dose sweep, cut into pieces that know nothing of each other: they can be made anywhere, in any order.

A piece is a feature at one strength (``turn``) or a control beside a feature (``dose_nulls.control_effect``). What all
of them read is made once by whoever makes them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import DoseCells, Types
from cellprism.steering.response import Effect
from cellprism.steering.settings import DoseSettings

Found = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Sweeping:
    """What every piece reads."""

    dose_cells: DoseCells
    types: Types
    settings: DoseSettings
    dictionary: Callable[[int], SparseAutoencoder]
    """Those that nobody trained, by number."""
    _by_dictionary: dict[int, DoseCells] = field(default_factory=dict)

    def read_by(self, number: int) -> DoseCells:
        """The same cells as such a dictionary reads them; read once."""
        if number not in self._by_dictionary:
            self._by_dictionary[number] = self.dose_cells.read_by(self.dictionary(number))
        return self._by_dictionary[number]


class Turn(NamedTuple):
    """A feature at one strength."""

    feature: int
    strength: float


Piece = Callable[[Sweeping, Any], Found]
Each = Callable[[Sweeping, Piece, Sequence[Any]], Iterable[Found]]
"""Makes pieces: given what they read, how one is made and the tasks, gives what was found, in the order of the
tasks."""


def one_by_one(sweeping: Sweeping, piece: Piece, tasks: Sequence[Any]) -> Iterable[Found]:
    """Pieces made here, one after the other."""
    return (piece(sweeping, task) for task in tasks)


def turn(sweeping: Sweeping, task: Turn) -> Found:
    """What one strength of a feature does to each gene: the fields of an ``Effect``."""
    dose_cells = sweeping.dose_cells
    effect = dose_cells.effect(dose_cells.turned(*task), sweeping.types, sweeping.settings.least_effect)
    return {one.name: getattr(effect, one.name) for one in fields(Effect)}
