"""BatchTopK: the largest pre-activations of a whole batch, k a token on average. Source: Bussmann et al. 2024.

A single token has no batch, so the finished autoencoder keeps what is above a threshold: the running mean of the
smallest value kept while training.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import Pairs
from cellprism.sae.architectures.base import Counted, Tensors
from cellprism.sae.config import SaeConfig
from cellprism.sae.distributed import largest_of_all, processes, total
from cellprism.sae.step import Steps

MEMORY = 0.99  # of the running mean of the threshold


class BatchTopK(Counted):
    """z = h where it is among the (tokens x k) largest of the batch and positive."""

    name = "batchtopk"

    def __init__(self, config: SaeConfig):
        super().__init__(config)
        self.state["threshold"] = torch.tensor(-1.0).double()  # none yet

    def select(self, steps: Steps, x: Float[Tensor, "token d_model"], weights: Tensors) -> Pairs:
        before = float(self.state["threshold"])
        guess = before if before >= 0 else None
        count = self.config.k * total(len(x))
        k = min(-(-count // len(x)), len(weights["b_enc"]))  # one process may hold all of the largest
        pairs, least = steps.batch_top_k(x, weights["encoder"], weights["b_enc"], k, guess)
        if processes() > 1:
            pairs, least = largest_of_all(pairs, count)
        self.state["threshold"].fill_(least if guess is None else MEMORY * before + (1 - MEMORY) * least)
        return pairs

    def selection(self, weights: Tensors, scale: float) -> dict[str, Any]:
        threshold = float(self.state["threshold"].clamp(min=0)) * scale
        return {"threshold": torch.full_like(weights["b_enc"], threshold)}
