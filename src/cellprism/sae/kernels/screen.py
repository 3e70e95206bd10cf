"""Pre-activations that are quickly made and nearly right, and how far from right they can be.

Notable choices

- All that a product has to do is to rule features out: those whose pre-activation cannot reach the k-th largest,
  however the rounding turned out. The few that are left get a dot product in float32, always summed in the same order.
  So neither the library that multiplies nor its precision changes what is selected, and the quickest may be taken:
  where the processor multiplies bfloat16, that costs half of float32.
- The bound follows from what rounding did to these very rows, by Cauchy and Schwarz. With x = y + r and w = v + s,
  where y and v are what is multiplied, |<x, w> - <y, v>| <= |r| |w| + |y| |s|. A sum of d products and a bias b in
  float32 is off by at most (d + 1) 2^-24 (|y| |w| + |b|), in whatever order; twice that, since the dot product that
  decides is off as well. In bfloat16 the rounding of the sum itself comes on top, 2^-8 of it.
- With ``precision="bfloat16"`` the bounds are taken as zero: fewer candidates, the last of which may be wrong.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.sae.kernels.product import Precision, Product, way_for
from cellprism.sae.kernels.rows import norms_of, norms_of_rounded
from cellprism.sae.kernels.threads import run, shares

SAFETY = np.float32(1.001)  # the bounds are rounded themselves
BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}


class Screen:
    """An encoder that tells which features of a token could be among the largest."""

    def __init__(
        self,
        encoder: Float[Tensor, "feature d_model"],
        b_enc: Float[Tensor, " feature"],
        precision: Precision,
        tokens: int,
    ):
        """Prepare the encoder for some number of tokens in all."""
        n_features, d_model = encoder.shape
        way = way_for(precision, tokens, n_features, d_model)
        self.is_bounded, self.dtype = precision == "float32", way.dtype
        self.bounds = np.zeros((3, n_features), np.float32)
        self.rounding = SAFETY * np.float32(2**-8 if self.is_bounded and self.dtype == torch.bfloat16 else 0)
        rounded, bias = self._rounded(encoder), b_enc.to(self.dtype)
        if self.is_bounded:
            left, lost, of_bias = self.bounds
            of_sums = (d_model + 1) * np.float32(2**-23)
            left += lost  # at least |w|
            lost += of_sums * left
            of_bias += (b_enc - bias.float()).abs().numpy() + of_sums * b_enc.abs().numpy()
            self.bounds *= SAFETY
        self.worst = self.bounds.max(axis=1, keepdims=True)
        self.product = Product(rounded, bias, way.onednn)

    def _rounded(self, encoder: Float[Tensor, "feature d_model"]) -> Tensor:
        """The encoder as it is multiplied; bounds get the norms of what rounding left and lost."""
        exact = self.dtype == torch.float32
        rounded = encoder if exact else torch.empty(encoder.shape, dtype=self.dtype)

        def round_rows(part: slice) -> None:
            if not exact:
                rounded[part].copy_(encoder[part])
            self._measure(encoder[part], rounded[part], self.bounds[1, part], self.bounds[0, part])

        run(round_rows, shares(len(encoder), encoder.numel()), with_torch=True)
        return rounded

    def _measure(
        self, rows: Float[Tensor, "row d_model"], rounded: Float[Tensor, "row d_model"], lost: np.ndarray,
        left: np.ndarray,
    ) -> None:  # fmt: skip
        """Norms of what rounding lost and left, where bounds are asked for."""
        if not self.is_bounded:
            return
        if self.dtype == torch.float32:
            norms_of(rows.numpy(), left)
        else:
            norms_of_rounded(rows.numpy(), bits_of(rounded), lost, left)

    def __call__(self, x: Float[Tensor, "token d_model"]) -> tuple[Any, ...]:
        """What the searches want to know first: bits of the pre-activations [token feature] of some tokens, and what
        bounds their errors."""
        rounded, norms = x.to(self.dtype), np.zeros((2, len(x)), np.float32)
        self._measure(x, rounded, *norms)
        return bits_of(self.product(rounded)), self.rounding, np.ascontiguousarray(norms.T), self.bounds, self.worst


def bits_of(floats: Tensor) -> np.ndarray:
    """The bits of some floats, in place, as whole numbers of the same width."""
    return floats.view(BITS[floats.dtype]).numpy()
