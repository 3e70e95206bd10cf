"""What an AIDO.Cell model is fed: log1p of counts per ten thousand, then two tokens that carry the sequencing depth.

Its documents call the scale "CPM"; it is per ten thousand. In the published models the depth tokens are the constant 5
for every cell below 100,000 counts; a model trained on split counts has no such floor. Counts are normalised in
float32: above 256 they do not survive bfloat16.
"""

import torch
from jaxtyping import Float
from torch import Tensor

DEPTH_TOKENS = 2
DEPTH_FLOOR = 5.0
LARGEST_INPUT = 20.0


def model_input(
    counts: Float[Tensor, "cell gene"], totals: Float[Tensor, " cell"], depth_floor: float = DEPTH_FLOOR
) -> Float[Tensor, "cell token"]:
    """log1p(counts / totals * 1e4) and two depth tokens max(log10 totals, floor), all clamped at 20."""
    expression = torch.log1p(counts / totals[:, None] * 1e4)
    depth = torch.log10(totals).clamp(min=depth_floor)[:, None].expand(-1, DEPTH_TOKENS)
    return torch.cat([expression, depth], dim=1).clamp(max=LARGEST_INPUT)
