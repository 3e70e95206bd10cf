"""Where training starts: directions and biases, from a sample of the data.

Notable choices

- Residuals of cell models fill few of their dimensions. There decoder rows start as directions of sampled vectors, with
  a little noise that tells duplicates apart: random directions die by the hundred and explain far less after the same
  number of steps. Where vectors fill most of their dimensions it is the other way round.
- The encoder starts tied to the decoder. Its scale is a multiple of the one whose first reconstruction has the
  least error: features that fire too strongly are pushed down until others take over, so that few are dead at the end.
- A transcoder's decoder row starts as a sampled target, and its encoder row as the vector that it belongs to.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.equations.ratio import is_spread
from cellprism.equations.sparse import decode, least_squares_scale, preactivations, top_k
from cellprism.sae.config import SaeConfig

NOISE = 0.1  # norm of the noise beside a sampled direction of norm 1
EXACT = ("gated", "jumprelu")  # architectures whose values are not pushed down while they learn
SAMPLED_SCALE, RANDOM_SCALE = 1.75, 0.5  # of the others' encoder; less leaves dead features, more learns slower
HALF = 0.5  # of the dimensions; residuals of the bundled model fill 5 %, a dictionary of random directions 70 %
MEDIAN_STEPS = 50  # of Weiszfeld's iteration; it gains about a digit in ten


def random_directions(n_features: int, d_model: int, seed: int) -> Float[Tensor, "feature d_model"]:
    """Independent directions, uniform on the unit sphere."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n_features, d_model, generator=generator), dim=1)


def sampled_directions(
    centred: Float[Tensor, "token d_model"], n_features: int, seed: int
) -> Float[Tensor, "feature d_model"]:
    """Directions of vectors drawn without replacement, with noise; random ones where the vectors run out.

    The same seed draws the same rows from another array of as many.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(centred), generator=generator)[:n_features]
    directions = normalize(torch.randn(n_features, centred.shape[1], generator=generator), dim=1)
    directions[: len(rows)] *= NOISE
    directions[: len(rows)] += normalize(centred[rows.to(centred.device)], dim=1).to(directions)
    return normalize(directions, dim=1).to(centred)


def linear_start(
    n_features: int, d_model: int, d_target: int, seed: int
) -> tuple[Float[Tensor, "feature d_model"], Float[Tensor, "feature d_target"]]:
    """Encoder and decoder as torch starts linear layers: uniform within 1 / sqrt(inputs)."""
    generator = torch.Generator().manual_seed(seed)
    encoder = torch.rand(n_features, d_model, generator=generator) * 2 - 1
    decoder = torch.rand(n_features, d_target, generator=generator) * 2 - 1
    return encoder / d_model**0.5, decoder / n_features**0.5


def filled(sample: Float[Tensor, "token d_model"]) -> float:
    """Share of the dimensions that some vectors fill: participation ratio of their covariance's eigenvalues, over d.

    Formula: (sum_i l_i)^2 / (d sum_i l_i^2) = tr(C)^2 / (d tr(C^2)): 1 where all directions vary alike, 1/d where
    one does; 0 where nothing varies.
    """
    centred = sample - sample.mean(dim=0)
    covariance = centred.T @ centred
    whole, squares = covariance.trace(), covariance.square().sum()
    there = bool(is_spread(whole, sample.square().sum()))
    return float(whole**2 / squares / len(covariance)) if there else 0.0


def spread(sample: Float[Tensor, "token d_model"]) -> float:
    """Root of the mean variance per dimension; 1 where all vectors are equal."""
    value = float((sample - sample.mean(dim=0)).square().mean().sqrt())
    return value if value > 0 else 1.0


def geometric_median(sample: Float[Tensor, "token d_model"]) -> Float[Tensor, " d_model"]:
    """The point with the least summed distance to all vectors, by Weiszfeld's iteration from their mean.

    Formula: m <- sum_t x_t / |x_t - m| / sum_t 1 / |x_t - m|.
    Source: Weiszfeld 1937; as a start, Bricken et al. 2023.
    """
    median = sample.mean(dim=0)
    for _ in range(MEDIAN_STEPS):
        weight = 1 / (sample - median).norm(dim=1).clamp(min=1e-12)
        median = weight @ sample / weight.sum()
    return median


def start(
    sample: Float[Tensor, "token d_model"],
    target: Float[Tensor, "token d_target"] | None,
    config: SaeConfig,
    n_features: int,
    seed: int,
) -> dict[str, Tensor]:
    """Encoder, b_enc, decoder and b_dec before the first step; ``target`` is None unless it differs from ``sample``.

    Formula: encoder = start_scale a directions with a = <x - b, y> / |y|^2, y the reconstruction of x - b at a = 1,
    summed over tokens.
    """
    goal = sample if target is None else target
    bias = {"mean": lambda: goal.mean(dim=0), "median": lambda: geometric_median(goal),
            "zero": lambda: torch.zeros_like(goal[0])}[config.start_bias]()  # fmt: skip
    centred = goal - bias
    read = centred if target is None else sample
    if config.start == "linear":
        encoder, decoder = (t.to(sample) for t in linear_start(n_features, read.shape[1], goal.shape[1], seed))
        return {"encoder": encoder, "b_enc": torch.zeros_like(encoder[:, 0]), "decoder": decoder, "b_dec": bias}
    is_random = config.start == "random" or (config.start == "auto" and filled(read) > HALF)
    if is_random or config.null != "none":  # a control must not know the data
        widths = read.shape[1], goal.shape[1]
        rows, decoder = (random_directions(n_features, width, seed).to(sample) for width in widths)
    else:
        rows, decoder = (sampled_directions(vectors, n_features, seed) for vectors in (read, centred))
    b_enc = torch.zeros_like(rows[:, 0])
    y = decode(top_k(preactivations(read, rows.T, b_enc), config.k, config.relu), decoder)
    best = float(least_squares_scale(centred, y))
    usual = 1.0 if config.architecture in EXACT else RANDOM_SCALE if is_random else SAMPLED_SCALE
    scale = config.start_scale or usual
    encoder = rows * (scale * best if best > 0 else 1.0)
    return {"encoder": encoder, "b_enc": b_enc, "decoder": decoder, "b_dec": bias}
