"""TopK: the k largest pre-activations of each token. Source: Makhzani and Frey 2014; Gao et al. 2024."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import Pairs
from cellprism.sae.architectures.base import Counted, Tensors
from cellprism.sae.config import SaeConfig
from cellprism.sae.step import Steps


class TopK(Counted):
    """z = TopK_k(h), with or without a ReLU."""

    name = "topk"

    def __init__(self, config: SaeConfig):
        super().__init__(config)
        self.relu = config.relu

    def select(self, steps: Steps, x: Float[Tensor, "token d_model"], weights: Tensors) -> Pairs:
        return steps.top_k(x, weights["encoder"], weights["b_enc"], self.config.k, self.relu)

    def selection(self, weights: Tensors, scale: float) -> dict[str, Any]:
        return {"k": self.config.k, "relu": self.relu}
