"""What an architecture brings: how it selects features while training, and what it is afterwards.

There are two kinds. Counted ones keep a number of features, so only their pairs are computed with and gradients are
written out. Penalised ones pay for what fires; every feature is computed and autograd does the rest.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import Pairs
from cellprism.sae.config import SaeConfig
from cellprism.sae.step import Steps

Tensors = Mapping[str, Tensor]


class Architecture(ABC):
    """An architecture under some settings.

    ``state`` holds what it keeps from step to step beside the weights, as float64 tensors; checkpoints save it.
    """

    name: ClassVar[str]

    def __init__(self, config: SaeConfig):
        self.config = config
        self.state: dict[str, Tensor] = {}

    @abstractmethod
    def begin(self, weights: dict[str, Tensor], h: Float[Tensor, "token feature"]) -> None:
        """Add weights beyond encoder, decoder and biases, and start them; ``h`` are pre-activations of a sample."""

    @abstractmethod
    def selection(self, weights: Tensors, scale: float) -> dict[str, Any]:
        """How the finished autoencoder selects: fields of ``SparseAutoencoder``, for data ``scale`` times as large."""


class Counted(Architecture):
    """Keeps a number of features."""

    relu = True

    def begin(self, weights: dict[str, Tensor], h: Float[Tensor, "token feature"]) -> None:
        """Nothing beyond encoder, decoder and biases."""

    @abstractmethod
    def select(self, steps: Steps, x: Float[Tensor, "token d_model"], weights: Tensors) -> Pairs:
        """The features that fire and their values; ``x`` is what the encoder reads, its bias subtracted."""

    def group_ends(self, n_features: int) -> tuple[int, ...]:
        """Ends of the groups of consecutive features that reconstruct without the later ones."""
        return (n_features,)


class Penalised(Architecture):
    """Pays a penalty, whose weight is given or adjusted until k features fire on average."""

    RATE = 0.01  # of the weight's logarithm per step, times how far the logarithm of the number that fires is off

    def __init__(self, config: SaeConfig):
        super().__init__(config)
        self.state["sparsity"] = torch.tensor(config.sparsity or 0.0).double()

    def first_thresholds(self, h: Float[Tensor, "token feature"]) -> Float[Tensor, " feature"]:
        """Where training starts: each feature fires at the same share of tokens, k features a token on average.

        One threshold for all would leave features dead whose direction is far from most vectors.
        """
        often = max(1, round(len(h) * self.config.k / h.shape[1]))
        return h.topk(often, dim=0, sorted=False).values.amin(dim=0).clamp(min=1e-3)

    def start_sparsity(self, value: float) -> None:
        """The first weight of the penalty, where none is asked for."""
        if self.config.sparsity is None:
            self.state["sparsity"].fill_(value)

    def adjust(self, l0: float) -> None:
        """Move the penalty's weight towards the one at which k features fire."""
        if self.config.sparsity is None:
            off = math.log(max(l0, 0.1) / self.config.k)
            self.state["sparsity"].mul_(math.exp(self.RATE * min(1.0, max(-1.0, off))))

    @abstractmethod
    def code(
        self, h: Float[Tensor, "token feature"], weights: Tensors
    ) -> tuple[Float[Tensor, "token feature"], Float[Tensor, ""]]:
        """Values of all features, and the penalty, both differentiable."""

    def further_loss(
        self, h: Float[Tensor, "token feature"], weights: Tensors, target: Float[Tensor, "token d_model"]
    ) -> Float[Tensor, ""] | None:
        """A loss beside reconstruction and penalty; ``target`` has the decoder's bias subtracted."""
        return None
