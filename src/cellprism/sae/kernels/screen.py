"""Pre-activations that are quickly made and nearly right, and how far from right they can be.

Notable choices

- Where the processor multiplies bfloat16, a product in it costs half of one in float32. All it has to do is to rule
  features out: those whose pre-activation cannot reach the k-th largest, however the rounding turned out. The few that
  are left get a dot product in float32. So the selection is that of float32.
- The bound follows from what rounding did to these very rows, by Cauchy and Schwarz. With x = y + r and w = v + s,
  where y and v are what is multiplied, |<x, w> - <y, v>| <= |r| |w| + |y| |s|. Summing d products in float32 adds at
  most d 2^-23 |y| |w|. On top comes the rounding of the sum itself, 2^-8 of it.
- With ``precision="bfloat16"`` the bounds are taken as zero: fewer candidates, the last of which may be wrong.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.sae.kernels.product import Precision, Product, multiplies_bfloat16
from cellprism.sae.kernels.rows import norms_of_rounded
from cellprism.sae.kernels.threads import run, shares

SAFETY = np.float32(1.001)  # the bounds are rounded themselves
BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}


class Screen:
    """An encoder that tells which features of a token could be among the largest."""

    def __init__(
        self, encoder: Float[Tensor, "feature d_model"], b_enc: Float[Tensor, " feature"], precision: Precision
    ):
        n_features, d_model = encoder.shape
        quick = precision == "bfloat16" or multiplies_bfloat16()
        self.is_bounded = quick and precision == "float32"
        self.dtype = torch.bfloat16 if quick else torch.float32
        self.bounds = np.zeros((3, n_features), np.float32)
        self.rounding = SAFETY * np.float32(2**-8 if self.is_bounded else 0)
        rounded = self._rounded(encoder) if quick else encoder
        bias = b_enc.to(self.dtype)
        if self.is_bounded:
            lost, left = self.bounds[1], self.bounds[0]
            left += lost  # at least |w|
            lost += d_model * np.float32(2**-23) * left
            self.bounds[2] = (b_enc - bias.float()).abs().numpy()
            self.bounds *= SAFETY
        self.worst = self.bounds.max(axis=1, keepdims=True)
        self.product = Product(rounded, bias)

    def _rounded(self, encoder: Float[Tensor, "feature d_model"]) -> Tensor:
        """The encoder in bfloat16; bounds get the norms of what rounding left and lost."""
        rounded, rows = torch.empty(encoder.shape, dtype=torch.bfloat16), encoder.numpy()

        def round_rows(part: slice) -> None:
            rounded[part].copy_(encoder[part])
            if self.is_bounded:
                norms_of_rounded(rows[part], bits_of(rounded[part]), self.bounds[1, part], self.bounds[0, part])

        run(round_rows, shares(len(encoder), encoder.numel()), with_torch=True)
        return rounded

    def __call__(self, x: Float[Tensor, "token d_model"]) -> tuple[Any, ...]:
        """What the searches want to know first: bits of the pre-activations [token feature] of some tokens, and what
        bounds their errors."""
        rounded, norms = x.to(self.dtype), np.zeros((2, len(x)), np.float32)
        if self.is_bounded:
            norms_of_rounded(x.numpy(), bits_of(rounded), *norms)
        return bits_of(self.product(rounded)), self.rounding, np.ascontiguousarray(norms.T), self.bounds, self.worst


def bits_of(floats: Tensor) -> np.ndarray:
    """The bits of some floats, in place, as whole numbers of the same width."""
    return floats.view(BITS[floats.dtype]).numpy()
