"""What a training step of an autoencoder that keeps a number of features is made of.

``plain_step`` has the parts in plain torch, ``cpu_step`` as kernels for processors, and ``engine`` chooses. Weights
have one row per feature in encoder and decoder alike.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.sparse import Gradients, Pairs
from cellprism.sae.kernels.product import Precision


class Backward(NamedTuple):
    """What a step learns from one batch."""

    gradients: Gradients
    upstream: Float[Tensor, " d_target"]
    """Sum over tokens of the loss' derivative by the reconstruction: the gradient of a bias added after decoding."""
    squared_error: Float[Tensor, ""]
    """Sum over tokens of |reconstruction - target|^2."""
    fired: Int[Tensor, " feature"]
    """Tokens at which each feature has a value that is not zero."""
    pull: Float[Tensor, "token d_target"]
    """``scale`` times the error: reconstruction minus target."""
    scale: float

    @property
    def error(self) -> Float[Tensor, "token d_target"]:
        """Reconstruction minus target."""
        return self.pull / self.scale


@runtime_checkable
class Steps(Protocol):
    """Selection, gradients and update of a training step."""

    precision: Precision
    """In which features are selected."""

    def top_k(
        self,
        x: Float[Tensor, "token d_model"],
        encoder: Float[Tensor, "feature d_model"],
        b_enc: Float[Tensor, " feature"],
        k: int,
        relu: bool,
    ) -> Pairs:
        """The k largest pre-activations of each token; ``x`` has the encoder's bias subtracted."""
        ...

    def batch_top_k(
        self,
        x: Float[Tensor, "token d_model"],
        encoder: Float[Tensor, "feature d_model"],
        b_enc: Float[Tensor, " feature"],
        k: int,
        guess: float | None,
    ) -> tuple[Pairs, float]:
        """The largest of the batch, and the smallest value kept; ``guess`` is about that value."""
        ...

    def backward(
        self,
        pairs: Pairs,
        x: Float[Tensor, "token d_model"],
        target: Float[Tensor, "token d_target"],
        decoder: Float[Tensor, "feature d_target"],
        relu: bool,
        group_ends: tuple[int, ...],
    ) -> Backward:
        """Gradients of the mean squared error; ``target`` has the decoder's bias subtracted.

        With several groups of features, of the mean over prefixes of groups of the mean squared error.
        """
        ...

    def update(
        self, optimiser: torch.optim.Adam, weights: dict[str, Tensor], gradients: dict[str, Tensor], unit_norm: bool
    ) -> None:
        """One step of Adam for the weights that have a gradient; decoder rows keep norm 1 if ``unit_norm``."""
        ...
