"""Factors behind what is seen of a cell: their posterior mean when any part of the genes is missing."""

import torch
from jaxtyping import Float
from torch import Tensor


def factor_posterior(
    deviation: Float[Tensor, "cell token"],
    precision: Float[Tensor, "cell token"],
    loading: Float[Tensor, "token k"],
) -> Float[Tensor, "cell k"]:
    """Posterior mean of the factors s ~ N(0, I) of cells with y = L s + noise, the noise independent over tokens.

    Formula: (I + L^T P L)^-1 L^T P y, P = diag(precision). It is the ridge regression of y on L with tokens weighted by
    their precision, solved for each cell with what that cell shows.

    Args:
        deviation: y, each token's value less its mean.
        precision: 1 / variance of the noise; 0 for a token that is not seen.
        loading: L.

    Source: Rubin and Thayer 1982, factor analysis with missing values.
    """
    k = loading.shape[1]
    products = (loading[:, :, None] * loading[:, None, :]).flatten(1)
    gram = (precision @ products).unflatten(1, (k, k)) + torch.eye(k, dtype=loading.dtype, device=loading.device)
    return torch.cholesky_solve(((precision * deviation) @ loading)[..., None], torch.linalg.cholesky(gram))[..., 0]
