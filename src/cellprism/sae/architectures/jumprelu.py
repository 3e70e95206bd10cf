"""JumpReLU: a learned threshold per feature, and a penalty on how many fire.

Source: Rajamanoharan et al. 2024, "Jumping ahead". Thresholds are learned as logarithms, so they stay positive.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.penalties import jump_relu
from cellprism.sae.architectures.base import Penalised, Tensors

WINDOW = 0.5  # width of the window around the threshold in which it learns, over the mean first threshold


class JumpRelu(Penalised):
    """z = h 1[h > theta], with the penalty sum_f 1[h_f > theta_f]."""

    name = "jumprelu"

    def begin(self, weights: dict[str, Tensor], h: Float[Tensor, "token feature"]) -> None:
        thresholds = self.first_thresholds(h)
        weights["log_threshold"] = thresholds.log()
        typical = float(thresholds.mean())
        self.state["window"] = torch.tensor(WINDOW * typical).double()
        self.start_sparsity(typical**2)  # a feature is worth its place if it explains more than this

    def code(
        self, h: Float[Tensor, "token feature"], weights: Tensors
    ) -> tuple[Float[Tensor, "token feature"], Float[Tensor, ""]]:
        z, open_ = jump_relu(h, weights["log_threshold"].exp(), float(self.state["window"]))
        return z, open_.sum(dim=1).mean() / weights["decoder"].shape[1]

    def selection(self, weights: Tensors, scale: float) -> dict[str, Any]:
        return {"threshold": weights["log_threshold"].exp() * scale}
