"""Mean vector per group of tokens, from a stream."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import InputError


def group_means(
    batches: Iterable[tuple[Float[Tensor, "_ d_model"], Int[Tensor, " _"]]], n_groups: int
) -> Float[Tensor, "group d_model"]:
    """Mean vector of each group; a group without tokens gets the mean over all tokens.

    Formula: m_g = sum_{t: group t = g} x_t / n_g, summed in float64.

    Raises:
        InputError: there are no batches.
    """
    total: Tensor | None = None
    count = torch.zeros(n_groups, dtype=torch.float64)
    for x, group in batches:
        if total is None:
            total = torch.zeros(n_groups, x.shape[1], dtype=torch.float64, device=x.device)
            count = count.to(x.device)
        total.index_add_(0, group, x.double())
        count += torch.bincount(group, minlength=n_groups)
    if total is None:
        raise InputError("there are no vectors to take means of; the stream of batches is empty")
    means = total / count.clamp(min=1)[:, None]
    means[count == 0] = total.sum(dim=0) / count.sum()
    return means.float()
