"""One autoencoder to be fitted, and its part of a batch: checked, and with the centres taken off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import ConfigError, InputError
from cellprism.sae.autoencoder import centre_of
from cellprism.sae.config import SaeConfig
from cellprism.sae.stream import Vectors, as_vectors


@dataclass(frozen=True, eq=False)
class Job:
    """One autoencoder to be fitted."""

    config: SaeConfig
    """Settings; those that shape the stream (``batch_size``, ``epochs``, ``memory``, ...) matter to who makes it."""
    d_model: int
    """Width of the vectors."""
    seed: int = 0
    """Seed of the initial directions."""
    site: int | None = None
    """Which entry of batches at several sites it reads; None where batches are of one site."""
    d_target: int | None = None
    """Width of a transcoder's targets; None for an autoencoder."""
    centre: Float[Tensor, "group d_model"] | None = None
    """Mean vector per group, needed with ``centring="group"``; see ``sae.centre.group_means``."""
    target_centre: Float[Tensor, "group d_target"] | None = None
    """The same for a transcoder's targets."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Kept with the autoencoder and saved in ``cfg.json``; plain JSON values."""

    def __post_init__(self):
        centring, given = self.config.centring, self.centre is not None
        if (centring == "group" and not given) or (centring == "none" and given):
            raise ConfigError(
                f"centring is {centring!r} and centre is {'given' if given else 'missing'}: centring 'group' needs the "
                "groups' mean vectors (group_means), 'none' takes none"
            )
        self.config.width(self.d_model)

    @property
    def is_transcoder(self) -> bool:
        """Whether it reconstructs something else than it reads."""
        return self.d_target is not None

    def vectors(self, batch: Any, number: int) -> Vectors:
        """This job's part of a batch, checked, in float32 and with the centres taken off.

        Raises:
            InputError: the batch lacks the job's site, groups or targets, has another width, or is not finite.
        """
        if isinstance(batch, Mapping):
            if self.site not in batch:
                raise InputError(f"batch {number} has sites {sorted(batch)}, but site {self.site} is asked for")
            batch = batch[self.site]
        vectors = as_vectors(batch)
        x = _checked(vectors.x, self.d_model, f"batch {number}")
        target = None
        if self.d_target is not None:
            if vectors.target is None:
                raise InputError(
                    f"batch {number} has no targets, which a transcoder needs; give Vectors(x, target=...)"
                )
            target = _checked(vectors.target, self.d_target, f"the target of batch {number}")
            target = self._centred(target, self.target_centre, vectors, number)
        return Vectors(self._centred(x, self.centre, vectors, number), vectors.group, target)

    def _centred(
        self, x: Float[Tensor, "_ width"], centre: Float[Tensor, "_ width"] | None, vectors: Vectors, number: int
    ) -> Float[Tensor, "_ width"]:
        if centre is None:
            return x
        if vectors.group is None and len(centre) > 1:
            raise InputError(f"batch {number} has no groups, but centring is 'group'; give pairs (vectors, groups)")
        return x - centre_of(centre, vectors.group)


def _checked(x: Float[Tensor, "..."], width: int, name: str) -> Float[Tensor, "_ _"]:
    if x.ndim != 2 or x.shape[1] != width or not len(x):
        raise InputError(f"{name} has shape {list(x.shape)}; expected [token, {width}]")
    x = x.float()
    if not torch.isfinite(x.sum()) and not torch.isfinite(x).all():  # the sum is a quicker look
        raise InputError(f"{name} holds NaN or infinite values; check the vectors that go in")
    return x
