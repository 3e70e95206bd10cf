"""Gated: one map says which features fire, another how strongly, so the penalty does not shrink the values.

Source: Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse autoencoders". The gate's
pre-activations also reconstruct the target through a copy of the decoder that gets no gradient; without that nothing
would tell the gate what to open for.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.penalties import gated, l1_penalty
from cellprism.equations.sparse import mean_squared_error
from cellprism.sae.architectures.base import Penalised, Tensors


class Gated(Penalised):
    """z = 1[h > 0] max(exp(r_mag) (h - b_enc) + b_mag, 0), with b_enc the gate's bias."""

    name = "gated"

    def begin(self, weights: dict[str, Tensor], h: Float[Tensor, "token feature"]) -> None:
        weights |= {"r_mag": torch.zeros_like(weights["b_enc"]), "b_mag": weights["b_enc"].clone()}
        thresholds = self.first_thresholds(h)
        weights["b_enc"] -= thresholds
        self.start_sparsity(float(thresholds.mean()) / 2)

    def code(
        self, h: Float[Tensor, "token feature"], weights: Tensors
    ) -> tuple[Float[Tensor, "token feature"], Float[Tensor, ""]]:
        scale, shift = _affine(weights)
        return gated(h, scale, shift), l1_penalty(h.relu(), weights["decoder"].detach())

    def further_loss(
        self, h: Float[Tensor, "token feature"], weights: Tensors, target: Float[Tensor, "token d_model"]
    ) -> Float[Tensor, ""]:
        return mean_squared_error(target.detach(), h.relu() @ weights["decoder"].detach())

    def selection(self, weights: Tensors, scale: float) -> dict[str, Any]:
        slope, shift = _affine(weights)
        return {"threshold": torch.zeros_like(slope), "slope": slope, "shift": shift * scale}


def _affine(weights: Tensors) -> tuple[Float[Tensor, " feature"], Float[Tensor, " feature"]]:
    slope = weights["r_mag"].exp()
    return slope, weights["b_mag"] - weights["b_enc"] * slope
