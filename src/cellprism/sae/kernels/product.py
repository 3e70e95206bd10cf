"""The encoder's product, a slice of tokens at a time.

Notable choices

- oneDNN does both precisions. In float32 torch would take MKL, half as fast on AMD's processors; the operator that asks
  for oneDNN is private to torch, so it is tried first and torch's own product stands in where it fails.
- In bfloat16 the encoder is brought into oneDNN's own layout once, not once a slice.
"""

from functools import cache
from typing import Literal

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn.functional import linear

Precision = Literal["float32", "bfloat16"]


class Product:
    """x encoder^T + b_enc, for slices of x; encoder, b_enc and x are all float32 or all bfloat16."""

    def __init__(self, encoder: Shaped[Tensor, "feature d_model"], b_enc: Shaped[Tensor, " feature"]):
        self.weight, self.bias, self.onednn = encoder, b_enc, has_onednn()
        if self.onednn and encoder.dtype == torch.bfloat16:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(encoder, None)

    def __call__(self, x: Shaped[Tensor, "token d_model"]) -> Shaped[Tensor, "token feature"]:
        """Pre-activations of some tokens."""
        if self.onednn:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return linear(x, self.weight, self.bias)


@cache
def has_onednn() -> bool:
    """Whether this torch has the private operators, and they do what they are used for here."""
    x, weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), torch.ones(3)
    for dtype in (torch.float32, torch.bfloat16):
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), None)
            h = torch.ops.mkldnn._linear_pointwise(x.to(dtype), packed, bias.to(dtype), "none", [], "")
        except (AttributeError, RuntimeError):
            return False
        if h.tolist() != [[12, 18, 24]]:
            return False
    return True


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products in bfloat16; without, they are slower than float32."""
    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private to torch as well
    return has_onednn() and any(getattr(torch.cpu, ask, bool)() for ask in asks)
