"""Vectors with what their group says of them taken off, and what a number of theirs says besides."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def within_groups(x: Float[Tensor, "row d"], group: Int[Tensor, " row"]) -> Float[Tensor, "row d"]:
    """Each vector minus the mean of its group."""
    _, place, count = group.unique(return_inverse=True, return_counts=True)
    total = x.new_zeros(len(count), x.shape[1]).index_add_(0, place, x)
    return x - (total / count[:, None]).index_select(0, place)


def without_value(
    x: Float[Tensor, "row d"], value: Float[Tensor, " row"], group: Int[Tensor, " row"]
) -> Float[Tensor, "row d"]:
    """What a straight line through a value of each vector, one line a group, leaves of the vectors.

    Formula: x - m_g - b_g (v - v_g), b_g = sum (v - v_g) x / sum (v - v_g)^2 over the group, or 0 where v is constant.
    """
    _, place, count = group.unique(return_inverse=True, return_counts=True)
    x, v = within_groups(x, group), within_groups(value[:, None], group)
    product = x.new_zeros(len(count), x.shape[1]).index_add_(0, place, v * x)
    square = x.new_zeros(len(count), 1).index_add_(0, place, v.square())
    slope = torch.where(square > 0, product / square.clamp(min=torch.finfo(x.dtype).tiny), 0.0)
    return x - v * slope.index_select(0, place)
