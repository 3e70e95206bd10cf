"""Adam, with decoder rows kept at norm 1, in one pass over the memory.

Notable choices

- Apart from rounding, what ``equations.sparse.tangential``, ``torch.optim.Adam`` and ``torch.nn.functional.normalize``
  give one after the other.
- Apart from the gradients, since these may first be summed over processes or get another loss's part.
"""

import math

import numpy as np
from jaxtyping import Float
from torch import Tensor

from cellprism.sae.kernels.rows import adam_rows
from cellprism.sae.kernels.threads import run, shares


def adam(
    weights: Float[Tensor, "*feature d"],
    gradient: Float[Tensor, "*feature d"],
    mean: Float[Tensor, "*feature d"],
    square: Float[Tensor, "*feature d"],
    *,
    step: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    tangential: bool = False,
    unit_norm: bool = False,
) -> None:
    """One step of Adam; ``weights``, ``mean`` and ``square`` are changed in place.

    Formula: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    w -= lr m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + eps).
    Source: Kingma and Ba 2015; the decoder's constraint from Bricken et al. 2023.

    Args:
        weights: a row per feature, or a vector; contiguous, as are the others.
        gradient: of the loss; left as it is.
        mean: first moment m, zero before the first step.
        square: second moment v, zero before the first step.
        step: number of this step, from 1.
        learning_rate: lr.
        betas: b1 and b2.
        epsilon: eps.
        tangential: leave out the part of each row's gradient that is along the row.
        unit_norm: divide each row by its norm afterwards.
    """
    arrays = [a.detach().view(-1, a.shape[-1]).numpy() for a in (weights, gradient, mean, square)]
    first, second = 1 - betas[0] ** step, 1 - betas[1] ** step
    numbers = (learning_rate / first, 1 / math.sqrt(second), 1 - betas[0], betas[1], 1 - betas[1], epsilon)
    constants = tuple(np.float32(number) for number in numbers)

    def update(rows: slice) -> None:
        adam_rows(*(a[rows] for a in arrays), constants, tangential, unit_norm)

    run(update, shares(len(arrays[0]), 4 * arrays[0].size))
