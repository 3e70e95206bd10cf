"""The encoder's product, a slice of tokens at a time.

Notable choices

- oneDNN does both precisions. In float32 torch would take MKL, half as fast on AMD's processors; the operator that asks
  for oneDNN is private to torch, so it is tried first and torch's own product stands in where it fails.
- In bfloat16 the encoder is brought into oneDNN's own layout once, not once a slice.
"""

from functools import cache
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import linear

Precision = Literal["float32", "bfloat16"]


class Product:
    """x encoder^T + b_enc, for slices of x; called from one thread at a time or several."""

    def __init__(
        self, encoder: Float[Tensor, "feature d_model"], b_enc: Float[Tensor, " feature"], precision: Precision
    ):
        self.dtype = torch.float32 if precision == "float32" else torch.bfloat16
        self.weight, self.bias = encoder.detach().to(self.dtype), b_enc.detach().to(self.dtype)
        self.onednn = has_onednn()
        if self.onednn and self.dtype == torch.bfloat16:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, None)

    def __call__(self, x: Float[Tensor, "token d_model"]) -> Shaped[Tensor, "token feature"]:
        """Pre-activations of some tokens, in this product's precision."""
        x = x.detach().to(self.dtype)
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
