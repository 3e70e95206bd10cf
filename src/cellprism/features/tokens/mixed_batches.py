"""Batches of tokens mixed across cells, by number: what an autoencoder of a cell model is fitted to.

A model hands out a cell's genes together, but a batch must not be one cell's genes. In every epoch the cells (or the
stretches of a store) are put into a new random order and cut into windows, as large as the memory allows. The tokens of
a window are read, mixed, and split into batches as equal as can be.

Notable choices

- Any step can be the first one read: the window that it lies in is known from the counts of tokens alone, and only
  that window is read. A training that was killed goes on with the batch it would have had.
- Where everything fits into memory there is one window, and the residuals are kept.
- A window of fewer than ``LEAST`` cells is refused rather than mixed badly.
- Every epoch and every window has a random generator of its own, so that none depends on what was read before.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import torch.distributed as dist
from jaxtyping import Int

from cellprism.errors import ConfigError
from cellprism.features.tokens.cell_tokens import Held, TokenSource
from cellprism.features.tokens.token_policy import systematic
from cellprism.sae.distributed import processes
from cellprism.sae.stream import Sites, Vectors
from cellprism.store.run import digest

LEAST = 8  # cells that a window must have room for

Reading = tuple[int, int | None]
"""Layer that is read, and the layer whose residuals are the target, if it is another."""


class CellStream:
    """Batches of a cell model's residuals; a ``sae.stream.Stream``, endless.

    With one reading it gives ``Vectors``, with several a mapping of the reading's number to its ``Vectors``: the same
    tokens everywhere. The group of a token is its gene.
    """

    def __init__(
        self,
        source: TokenSource,
        readings: Sequence[Reading],
        batch_size: int = 2048,
        seed: int = 0,
        batch_cells: int | None = None,
    ):
        """Plan the batches.

        Args:
            source: where tokens are read.
            readings: layers, and targets where those are other layers; all are among ``source.layers``.
            batch_size: largest number of tokens of a batch.
            seed: decides the order.
            batch_cells: cells of a batch, with all their tokens, instead of ``batch_size`` tokens across cells.
        """
        self.source, self.readings, self.seed = source, tuple(readings), seed
        self.batch_size, self.batch_cells = batch_size, batch_cells
        room = None if source.fits else source.capacity
        self.identity = digest([source.identity, self.readings, batch_size, batch_cells, seed, room])

    def n_steps(self, epochs: int) -> int:
        """Batches of that many epochs."""
        return sum(self._batches_in(units) for epoch in range(epochs) for units in self._windows(epoch))

    def from_step(self, step: int) -> Iterator[Vectors | Sites]:
        """Batches ``step``, ``step + 1``, ... without end; of processes that train together, each gets its share."""
        return map(self._vectors, map(_own_share, self.tokens_from(step)))

    def tokens_from(self, step: int) -> Iterator[Held]:
        """The same batches, with the cells that their tokens come from."""
        for epoch in count():
            for number, units in enumerate(self._windows(epoch)):
                within = self._batches_in(units)
                if step < within:
                    yield from self._window(epoch, number, units, step)
                step = max(0, step - within)

    def in_order(self) -> Iterator[Vectors | Sites]:
        """Every token once, unmixed."""
        return map(self._vectors, self.source.in_order())

    def _windows(self, epoch: int) -> list[Int[np.ndarray, " _"]]:
        if self.batch_cells is None:
            return windows(self.source, self.seed, epoch)
        units = np.random.default_rng([self.seed, epoch]).permutation(len(self.source.counts))
        parts = np.array_split(units, -(-len(units) // self.batch_cells))
        return [np.sort(part) for part in parts if self.source.counts[part].any()]

    def _batches_in(self, units: Int[np.ndarray, " some"]) -> int:
        return 1 if self.batch_cells is not None else -(-int(self.source.counts[units].sum()) // self.batch_size)

    def _window(self, epoch: int, number: int, units: Int[np.ndarray, " some"], start: int) -> Iterator[Held]:
        """Batches of a window, from number ``start`` of them."""
        held = self.source.read(units)
        order = mixed(held, self.seed, epoch, number)
        for rows in np.array_split(order, self._batches_in(units))[start:]:
            yield held.take(rows)

    def _vectors(self, held: Held) -> Vectors | Sites:
        x = dict(zip(self.source.layers, held.x, strict=True))
        group = held.gene.long() if self.source.are_genes else None
        vectors = [Vectors(x[layer], group, None if to is None else x[to]) for layer, to in self.readings]
        return vectors[0] if len(vectors) == 1 else dict(enumerate(vectors))


def _own_share(held: Held) -> Held:
    """This process' stretch of a batch, where several train together."""
    if processes() == 1:
        return held
    return held.take(np.array_split(np.arange(len(held.gene)), processes())[dist.get_rank()])


def windows(source: TokenSource, seed: int, epoch: int, room: int | None = None) -> list[Int[np.ndarray, " _"]]:
    """The units of an epoch, in random parts of about the same number of tokens, none larger than the memory.

    Args:
        source: the units.
        seed: decides the order.
        epoch: number of the epoch.
        room: tokens that a part may have, if fewer than fit into the memory.

    Raises:
        ConfigError: the memory does not hold enough units to mix.
    """
    counts, total = source.counts, int(source.counts.sum())
    room = source.capacity if room is None else room
    if total <= room:
        return [np.arange(len(counts))]
    largest = int(counts.max())
    if room < LEAST * largest:
        needed = LEAST * largest * source.bytes_per_token * source.capacity // room
        raise ConfigError(
            f"memory is {source.memory:,} bytes, but mixing takes the residuals of at least {LEAST} {source.unit} at a "
            f"time; raise memory to {needed:,} or more, read fewer layers at once, or take whole cells as batches "
            "(batch_cells)"
        )
    units = np.random.default_rng([seed, epoch]).permutation(len(counts))
    number = -(-total // (room - largest))
    cuts = np.searchsorted(np.cumsum(counts[units]), total * np.arange(1, number) / number, side="right")
    return [np.sort(part) for part in np.split(units, cuts)]


def mixed(held: Held, seed: int, epoch: int, number: int) -> Int[np.ndarray, " token"]:
    """A random order of a window's tokens; those that are expected several times come so often."""
    rng = np.random.default_rng([seed, epoch, number + 1])  # [seed, epoch, 0] would be the generator of the windows
    if held.times is None:
        return rng.permutation(len(held.gene))
    times = held.times.double().cpu().numpy()
    return rng.permutation(systematic(times, len(times), rng.random()))
