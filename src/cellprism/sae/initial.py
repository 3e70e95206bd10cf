"""Where training starts: directions, biases and the scale of the data, from a sample of it.

Notable choices

- Data are divided by their spread while training and the biases multiplied back at the end. A TopK
  autoencoder is homogeneous, so nothing changes except that Adam's step means the same for every model and
  layer.
- The encoder starts tied to the decoder, scaled so that the first reconstruction has the least error of all
  scales: with more features than dimensions, unit scale overshoots.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.equations.sparse import decode, preactivations, top_k


@dataclass
class Weights:
    """Parameters in training; ``encoder`` has the decoder's orientation, so that a feature is a row of
    both.
    """

    encoder: Float[Tensor, "feature d_model"]
    b_enc: Float[Tensor, " feature"]
    decoder: Float[Tensor, "feature d_model"]
    b_dec: Float[Tensor, " d_model"]


def random_directions(n_features: int, d_model: int, seed: int) -> Float[Tensor, "feature d_model"]:
    """Independent directions, uniform on the unit sphere."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n_features, d_model, generator=generator), dim=1)


def spread(sample: Float[Tensor, "token d_model"]) -> float:
    """Root of the mean variance per dimension; 1 where all vectors are equal."""
    value = float((sample - sample.mean(dim=0)).square().mean().sqrt())
    return value if value > 0 else 1.0


def tied(
    directions: Float[Tensor, "feature d_model"], sample: Float[Tensor, "token d_model"], k: int, relu: bool
) -> Weights:
    """An autoencoder from decoder directions alone: encoder tied, b_dec the sample's mean, b_enc zero.

    Formula: encoder = a W_dec with a = <x - b, y> / |y|^2, y the reconstruction of x - b at a = 1, summed
    over tokens.
    """
    weights = Weights(
        encoder=directions.clone(),
        b_enc=torch.zeros(len(directions)),
        decoder=directions.clone(),
        b_dec=sample.mean(dim=0),
    )
    code = top_k(preactivations(sample, weights.encoder.T, weights.b_enc, weights.b_dec), k, relu)
    y = decode(code, weights.decoder)
    best = float(((sample - weights.b_dec) * y).sum() / y.square().sum().clamp(min=1e-12))
    return replace(weights, encoder=weights.encoder * best)
