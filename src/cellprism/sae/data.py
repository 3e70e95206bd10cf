"""What ``fit_sae`` takes: whole arrays, data loaders and any iterable of batches, as a stream of rows.

- A whole array [token d_model] is dealt into batches in a new order every epoch; any step's batch can be had at once,
  so a training that was stopped goes on without reading what came before.
- Batches with more dimensions, such as [cell token d_model], count as one row a token.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import ConfigError, InputError
from cellprism.sae.checkpoint import fingerprint
from cellprism.sae.config import SaeConfig
from cellprism.sae.stream import Stream, Vectors, as_rows, length_of


class ArrayStream:
    """Batches of ``batch_size`` rows of one array; the order of each epoch follows from the seed."""

    def __init__(self, vectors: Vectors, batch_size: int, seed: int):
        self.vectors, self.seed = vectors, seed
        self.size = min(batch_size, len(vectors.x))
        tensors = {name: t for name, t in vectors._asdict().items() if t is not None}
        self.identity = f"{fingerprint(tensors)} {self.size} {seed}"

    @property
    def batches(self) -> int:
        """Batches of an epoch; rows that do not fill the last one are left to other epochs."""
        return len(self.vectors.x) // self.size

    def from_step(self, step: int) -> Iterator[Vectors]:
        """Batches ``step``, ``step + 1``, ..."""
        while True:
            epoch, first = divmod(step, self.batches)
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.vectors.x), generator=generator)
            for number in range(first, self.batches):
                yield self._rows(order[number * self.size : (number + 1) * self.size])
                step += 1

    def _rows(self, rows: Int[Tensor, " row"]) -> Vectors:
        x, group, target = self.vectors
        rows = rows.to(x.device)
        return Vectors(x[rows], None if group is None else group[rows], None if target is None else target[rows])


def planned(
    batches: Any, config: SaeConfig, d_model: int | None, steps: int | None, seed: int
) -> tuple[Iterable[Any] | Stream, int, int]:
    """Batches, width and number of steps, those that were not said taken from the data.

    Args:
        batches: a tensor or array [... d_model], ``Vectors``, a ``Stream``, or an iterable of batches.
        config: its ``batch_size`` and ``epochs`` hold for whole arrays, its ``epochs`` for collections of batches.
        d_model: width of the vectors, where it is said.
        steps: optimiser steps, where they are said.
        seed: seed of the order of rows.

    Raises:
        ConfigError: a width or a number of steps that must be said.
        InputError: there is nothing in it.
    """
    if isinstance(batches, Tensor | np.ndarray | Vectors):
        rows: Any = as_rows(batches)
        vectors = rows if isinstance(rows, Vectors) else Vectors(rows)
        if not len(vectors.x):
            raise InputError("there are no vectors to learn from")
        stream = ArrayStream(vectors, config.batch_size, seed)
        return stream, d_model or vectors.x.shape[1], steps or stream.batches * config.epochs
    if d_model is None:
        batches, d_model = _width(batches)
    if steps is None:
        length = length_of(batches)
        if not length:
            raise ConfigError(
                "how many steps to train cannot be told from these batches, which have no length; say steps=..."
            )
        steps = length * config.epochs
    return batches, d_model, steps


def _width(batches: Any) -> tuple[Any, int]:
    """The batches, none of them lost, and the width of the first."""
    if isinstance(batches, Stream):
        return batches, _width_of(next(batches.from_step(0), None))
    iterator = iter(batches)
    first = next(iterator, None)
    return (chain([first], iterator) if iterator is batches else batches), _width_of(first)


def _width_of(batch: Any) -> int:
    if batch is None:
        raise InputError("there are no vectors to learn from: the batches are empty")
    rows: Any = as_rows(batch)
    if isinstance(rows, dict):
        raise ConfigError("batches of several sites have no one width; say d_model=..., or use fit_saes")
    x: Float[Tensor, "token d_model"] = rows[0] if isinstance(rows, tuple) else rows
    return x.shape[1]
