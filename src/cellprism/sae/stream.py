"""What an autoencoder is fitted to: batches of vectors, by number.

A ``Stream`` can begin at any step and then gives the same batches as if it had been read from the start. That is what
makes a killed training resume where it was. A list of batches, or any iterable, will do as well; to resume, its first
batches are read and thrown away.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import InputError


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


def as_rows(batch: Any) -> Batch | Sites:
    """A batch as users have it, with one row a token: an array becomes a tensor, a list of one tensor (as data loaders
    give) that tensor, a list of two a pair of vectors and groups, and leading dimensions one. ``Sites`` stay as they
    are.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(batch, Mapping):
        return batch
    if isinstance(batch, Vectors):
        x, group, target = batch
        return Vectors(_rows(x), None if group is None else _tensor(group).reshape(-1), target)
    if isinstance(batch, list | tuple) and len(batch) == 1:
        return _rows(batch[0])
    if isinstance(batch, list | tuple) and len(batch) == 2:
        return _rows(batch[0]), _tensor(batch[1]).reshape(-1)
    return _rows(batch)


def _rows(x: Any) -> Float[Tensor, "_ d_model"]:
    x = _tensor(x)
    if x.ndim < 2:
        raise InputError(f"a batch of vectors has shape {list(x.shape)}; expected [token d_model]")
    return x.detach().reshape(-1, x.shape[-1])


def _tensor(values: Any) -> Tensor:
    if isinstance(values, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(values))
    if not isinstance(values, Tensor):
        raise InputError(
            f"a batch of vectors is a {type(values).__name__}; expected a tensor or array [token d_model], or a pair "
            "of vectors and groups"
        )
    return values


def length_of(batches: Any) -> int | None:
    """How many batches there are; None where nobody knows before they are through."""
    try:
        return len(batches)
    except TypeError:
        return None


@runtime_checkable
class Stream(Protocol):
    """Batches by number; endless, or long enough for the steps asked."""

    def from_step(self, step: int) -> Iterator[Batch | Sites]:
        """Batches ``step``, ``step + 1``, ... ; the same however often and from wherever it is called."""
        ...


def batches_from(batches: "Iterable[Batch | Sites] | Stream", step: int) -> Iterator[Batch | Sites]:
    """Batches from number ``step`` on, as rows; a collection that can be read again starts anew when it is through."""
    if isinstance(batches, Stream):
        yield from map(as_rows, batches.from_step(step))
        return
    number = 0
    while True:
        before = number
        for batch in batches:
            if number >= step:
                yield as_rows(batch)
            number += 1
        if number == before:
            return
