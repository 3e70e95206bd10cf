"""What a simulated world returns beside its data: every hidden variable, with its distance from the data.

The distance counts arrows: a variable that the data are computed from has distance 1, one from which that variable is
computed has distance 2, and so on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

KINDS = ("number", "binary", "category")


@dataclass(frozen=True)
class HiddenVariable:
    """One hidden variable of every sample; a category has one column per value, which is 1 where the sample has it."""

    name: str
    kind: str
    """``number``, ``binary`` or ``category``."""
    distance: int
    """Arrows between the variable and the data."""
    values: Float[np.ndarray, "sample column"]

    def __post_init__(self):
        assert self.kind in KINDS
        assert self.distance > 0

    def part(self, rows: Int[np.ndarray, " some"]) -> "HiddenVariable":
        """The same variable of some samples."""
        return replace(self, values=self.values[rows])


@dataclass(frozen=True)
class World:
    """Data, what they were made from, and the fixed tables that made them."""

    data: Float[Tensor, "sample gene"]
    hidden: Sequence[HiddenVariable]
    fixed: Mapping[str, Float[np.ndarray, "_ _"]]
    """What is the same for all samples, by name, such as the program x gene table."""


def one_hot(category: Int[np.ndarray, " sample"], n: int) -> Float[np.ndarray, "sample n"]:
    """A column per category, 1 where a sample belongs to it."""
    return (category[:, None] == np.arange(n)).astype(np.float32)
