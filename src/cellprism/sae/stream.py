"""What an autoencoder is fitted to: batches of vectors, by number.

A ``Stream`` can begin at any step and then gives the same batches as if it had been read from the start. That is what
makes a killed training resume where it was. A list of batches, or any iterable, will do as well; to resume, its first
batches are read and thrown away.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


class Vectors(NamedTuple):
    """One batch at one site."""

    x: Float[Tensor, "token d_model"]
    """What is encoded."""
    group: Int[Tensor, " token"] | None = None
    """Group of each token; needed where its mean is subtracted. For cell models: the gene."""
    target: Float[Tensor, "token d_target"] | None = None
    """What is reconstructed, where it is not ``x``: a transcoder's target."""


Batch = Float[Tensor, "_ d_model"] | tuple[Float[Tensor, "_ d_model"], Int[Tensor, " _"]] | Vectors
Sites = Mapping[int, Vectors]
"""The same tokens at several sites, by a number that jobs ask for (``Job.site``)."""


def as_vectors(batch: Batch) -> Vectors:
    """A batch in whichever form it came."""
    if isinstance(batch, Vectors):
        return batch
    return Vectors(*batch) if isinstance(batch, tuple) else Vectors(batch)


@runtime_checkable
class Stream(Protocol):
    """Batches by number; endless, or long enough for the steps asked."""

    def from_step(self, step: int) -> Iterator[Batch | Sites]:
        """Batches ``step``, ``step + 1``, ... ; the same however often and from wherever it is called."""
        ...


def batches_from(batches: "Iterable[Batch | Sites] | Stream", step: int) -> Iterator[Batch | Sites]:
    """Batches from number ``step`` on; a collection that can be read again starts anew when it is through."""
    if isinstance(batches, Stream):
        yield from batches.from_step(step)
        return
    number = 0
    while True:
        before = number
        for batch in batches:
            if number >= step:
                yield batch
            number += 1
        if number == before:
            return
