"""Selections that a penalty makes sparse: L1, gated and JumpReLU autoencoders. For autograd; every feature is computed.

Notable choices

- Penalties are means over tokens of a sum over features, divided by the width of the vectors, so that they are in the
  units of the mean squared error per dimension.
- Thresholds get their gradients from a window around the jump, since the jump itself has none.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def l1_penalty(z: Float[Tensor, "token feature"], decoder: Float[Tensor, "feature d_model"]) -> Float[Tensor, ""]:
    """Size of a code: mean_t sum_f z_tf |decoder_f| / d_model.

    Source: Bricken et al. 2023; with the decoder's norm, Templeton et al. 2024.
    """
    return (z @ decoder.norm(dim=1)).mean() / decoder.shape[1]


def gated(
    h: Float[Tensor, "token feature"],
    scale: Float[Tensor, " feature"],
    shift: Float[Tensor, " feature"],
) -> Float[Tensor, "token feature"]:
    """A gate that says which features fire, and an affine map of the same projection that says how strongly.

    Formula: z = 1[h > 0] max(scale h + shift, 0).
    Source: Rajamanoharan et al. 2024 (gated). With their gate bias inside h, scale = exp(r_mag) and
    shift = b_mag - b_gate exp(r_mag).
    """
    return (h > 0) * (h * scale + shift).relu()


class _Jump(torch.autograd.Function):
    """z = h 1[h > theta], and 1[h > theta], with window gradients for theta."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, theta: Tensor, window: float) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        open_ = (h > theta).to(h.dtype)
        ctx.save_for_backward(h, theta, open_)
        ctx.window = window
        return h * open_, open_

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor, grad_open: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        h, theta, open_ = ctx.saved_tensors
        near = ((h - theta).abs() < ctx.window / 2).to(h.dtype) / ctx.window
        return grad_z * open_, -(near * (theta * grad_z + grad_open)).sum(dim=0), None


def jump_relu(
    h: Float[Tensor, "token feature"], theta: Float[Tensor, " feature"], window: float
) -> tuple[Float[Tensor, "token feature"], Float[Tensor, "token feature"]]:
    """Pre-activations above a learned threshold, and which they are.

    Formulas: z = h 1[h > theta]. In a window of width w around the threshold, with K = 1[|h - theta| < w/2] / w:
    dz/dtheta = -theta K and d1[h > theta]/dtheta = -K.
    Source: Rajamanoharan et al. 2024 (JumpReLU), with the rectangle as kernel.

    Returns: z, and 1[h > theta], whose sum over features is the number that fire.
    """
    z, open_ = _Jump.apply(h, theta, window)
    return z, open_
