"""scGPT's value bins and the way back: a cell's expressed genes by rank, and what a predicted bin amounts to there.

- A bin is a rank within the cell, so any increasing scale of the values gives the same bins.
- Departs from scGPT: a value that ties with several bin edges takes the middle of the bins that it spans. The
  published code draws one of them at random, so the same cell is read otherwise at every reading; the middle is the
  mean of those draws, rounded down. Of the expressed genes of PBMC3K, seven in ten have one count and tie.
- The way back runs through the cell's own values, so that a bin which stands for one value gives exactly that value.
  Edges would not do: dozens of them lie on the value of one count, where a predicted rise would change nothing.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def bin_values(values: Float[Tensor, "cell gene"], n_bins: int) -> Float[Tensor, "cell gene"]:
    """Bin of every value: 0 for no expression, 1 to ``n_bins`` - 1 by rank among the cell's expressed genes.

    The published edges are the quantiles e_j = quantile(x > 0, j / (n_bins - 2)), j = 0 .. n_bins - 2, with linear
    interpolation, and x may be in any bin from #{e_j < x} + 1 to #{e_j <= x}. Of m values, sorted, e_j lies at place
    j (m - 1) / (n_bins - 2), so both numbers follow from the first and last place of x alone, in whole numbers.

    Args:
        values: amounts on any increasing scale; those at or below 0 (no expression, hidden) are returned as they are.
        n_bins: number of bins, the one for zero included.
    """
    values = values.contiguous()
    ordered = values.sort(dim=1).values
    silent = (values <= 0).sum(1, keepdim=True)
    first = torch.searchsorted(ordered, values) - silent
    last = torch.searchsorted(ordered, values, right=True) - 1 - silent
    steps, span = n_bins - 2, values.shape[1] - silent - 1
    below = -(-steps * first // span.clamp(min=1))
    up_to = torch.where(span > 0, steps * last // span.clamp(min=1) + 1, n_bins - 1)
    return torch.where(values > 0, ((below + up_to + 1) // 2).to(values.dtype), values)


def bin_levels(values: Float[Tensor, "cell gene"], n_bins: int) -> Float[Tensor, "cell bin"]:
    """What each bin stands for in each cell, in the unit of ``values``; it never falls from one bin to the next.

    A bin that holds values stands for the middle between its smallest and its largest; an empty one for what lies on
    the straight line between its neighbours, bin 0 being 0. Above the highest bin in use it goes on in proportion.

    Args:
        values: the amounts that were binned; those at or below 0 count as no expression.
        n_bins: number of bins, the one for zero included.
    """
    zero = values.new_zeros(len(values), 1)
    amount = torch.cat([zero, values.clamp(min=0).sort(dim=1).values], dim=1)
    bins = torch.cat([zero, bin_values(values, n_bins).clamp(min=0).sort(dim=1).values], dim=1)
    number = torch.arange(n_bins, dtype=bins.dtype, device=bins.device).expand(len(values), -1).contiguous()
    begin = torch.searchsorted(bins, number)
    end = torch.searchsorted(bins, number, right=True) - 1
    lower, upper = torch.minimum(begin, end), torch.maximum(begin, end).clamp(max=bins.shape[1] - 1)
    left, right = bins.gather(1, lower), bins.gather(1, upper)
    weight = torch.where(right > left, (number - left) / (right - left).clamp(min=1), 0.5)
    level = torch.lerp(amount.gather(1, lower), amount.gather(1, upper), weight)
    beyond = number / right.clamp(min=1)
    level = torch.where(number > right, level * beyond, level)
    return torch.cat([zero, level[:, 1:]], dim=1)


def amounts(predicted: Float[Tensor, "cell gene"], levels: Float[Tensor, "cell bin"]) -> Float[Tensor, "cell gene"]:
    """Predicted bins in the unit of ``levels``: on straight lines between bins, in proportion outside of them.

    Args:
        predicted: bins as the decoder gives them, any real numbers.
        levels: what each bin stands for in each cell, as ``bin_levels`` gives it.
    """
    top = levels.shape[1] - 1
    lower = predicted.detach().floor().clamp(0, top - 1).long()
    inside = torch.lerp(levels.gather(1, lower), levels.gather(1, lower + 1), predicted - lower)
    return torch.where(predicted > top, predicted / top * levels[:, -1:], inside)
