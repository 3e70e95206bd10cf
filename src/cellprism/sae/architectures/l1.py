"""L1: a ReLU, and a penalty on how strongly features fire. Source: Cunningham et al. 2023; Bricken et al. 2023."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.penalties import l1_penalty
from cellprism.sae.architectures.base import Penalised, Tensors


class L1(Penalised):
    """z = max(h, 0), with the penalty sum_f z_f |decoder_f|."""

    name = "l1"

    def begin(self, weights: dict[str, Tensor], h: Float[Tensor, "token feature"]) -> None:
        thresholds = self.first_thresholds(h)
        weights["b_enc"] -= thresholds
        self.start_sparsity(float(thresholds.mean()) / 2)

    def code(
        self, h: Float[Tensor, "token feature"], weights: Tensors
    ) -> tuple[Float[Tensor, "token feature"], Float[Tensor, ""]]:
        z = h.relu()
        return z, l1_penalty(z, weights["decoder"])

    def selection(self, weights: Tensors, scale: float) -> dict[str, Any]:
        return {"threshold": torch.zeros_like(weights["b_enc"])}
