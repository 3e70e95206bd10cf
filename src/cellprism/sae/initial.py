"""Where training starts: directions, biases and the scale of the data, from a sample of it.

Notable choices

- Decoder rows start as directions of sampled vectors, with a little noise that tells duplicates apart.
  Random directions explain far less after the same number of steps, since residuals fill few of their
  dimensions.
- The encoder starts tied to the decoder. Its scale is ``OVERSHOOT`` times the one whose first
  reconstruction has the least
  error: features that fire too strongly are pushed down until others take over, so that few are dead at the
  end.
- Data are divided by their spread while training and the biases multiplied back at the end. A TopK
  autoencoder is homogeneous, so nothing changes except that Adam's step means the same for every model and
  layer.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.equations.sparse import decode, least_squares_scale, preactivations, top_k

OVERSHOOT = 2.0  # measured from 1 to 4: less leaves dead features, more learns slower
NOISE = 0.1  # norm of the noise beside a sampled direction of norm 1


@dataclass
class Weights:
    """Parameters in training; ``encoder`` has the decoder's orientation: a feature is a row of both."""

    encoder: Float[Tensor, "feature d_model"]
    b_enc: Float[Tensor, " feature"]
    decoder: Float[Tensor, "feature d_model"]
    b_dec: Float[Tensor, " d_model"]


def random_directions(n_features: int, d_model: int, seed: int) -> Float[Tensor, "feature d_model"]:
    """Independent directions, uniform on the unit sphere."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n_features, d_model, generator=generator), dim=1)


def sampled_directions(
    centred: Float[Tensor, "token d_model"], n_features: int, seed: int
) -> Float[Tensor, "feature d_model"]:
    """Directions of vectors drawn without replacement, with noise; random ones where the vectors run out."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(centred), generator=generator)[:n_features]
    directions = normalize(torch.randn(n_features, centred.shape[1], generator=generator), dim=1)
    directions[: len(rows)] *= NOISE
    directions[: len(rows)] += normalize(centred[rows.to(centred.device)], dim=1).to(directions)
    return normalize(directions, dim=1).to(centred)


def spread(sample: Float[Tensor, "token d_model"]) -> float:
    """Root of the mean variance per dimension; 1 where all vectors are equal."""
    value = float((sample - sample.mean(dim=0)).square().mean().sqrt())
    return value if value > 0 else 1.0


def start(sample: Float[Tensor, "token d_model"], n_features: int, k: int, relu: bool, seed: int) -> Weights:
    """The autoencoder before its first step: sampled directions, encoder tied, b_dec the mean, b_enc zero.

    Formula: encoder = OVERSHOOT a W_dec with a = <x - b, y> / |y|^2, y the reconstruction of x - b at a =
    1, summed over tokens.
    """
    b_dec = sample.mean(dim=0)
    directions = sampled_directions(sample - b_dec, n_features, seed)
    b_enc = torch.zeros_like(directions[:, 0])
    y = decode(top_k(preactivations(sample, directions.T, b_enc, b_dec), k, relu), directions)
    best = least_squares_scale(sample - b_dec, y)
    scale = OVERSHOOT * best if best > 0 else 1.0
    return Weights(directions * scale, b_enc, directions, b_dec)
