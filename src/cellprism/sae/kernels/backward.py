"""From a sparse code to the gradients of every weight, through the pairs alone.

Notable choices

- Two steps, since what a code reconstructs (``errors``) and what the weights should do about it (``gradients``) are
  wanted apart: losses are measured in between, and other losses use the first with a target of their own.
- Features may be in groups of neighbours, as in a Matryoshka autoencoder: reconstruction g uses the features of groups
  0 to g, and the loss is the sum of all. One group is the plain autoencoder and costs nothing more.
- What is computed is ``equations.sparse.pair_gradients``; for groups, of the loss of Bussmann et al. 2025.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.sparse import Gradients, Pairs
from cellprism.sae.kernels import rows
from cellprism.sae.kernels.threads import run, shares


class Errors(NamedTuple):
    """What a code gets wrong, and who is to hear of it."""

    upstream: Float[Tensor, "group token d_target"]
    """Derivative of the loss by what a group's features add. The last one is scale x (x_hat - target)."""
    pulls: Float[Tensor, " pair"]
    """Derivative of the loss by each pair's pre-activation."""
    squared: Float[Tensor, " group"]
    """|x_hat - target|^2 summed over tokens, of the reconstruction by groups up to this one; float64."""


class Learned(NamedTuple):
    """What the weights should do about a batch."""

    gradients: Gradients
    """Of encoder, b_enc and decoder."""
    upstream: Float[Tensor, " d_target"]
    """Gradient of a bias that is added after decoding; with ``through_encoder`` also of one subtracted before."""
    fired: Int[Tensor, " feature"]
    """Tokens at which each feature has a value that is not zero."""


def errors(
    pairs: Pairs,
    decoder: Float[Tensor, "feature d_target"],
    target: Float[Tensor, "token d_target"],
    scale: float,
    relu: bool = True,
    group_ends: Sequence[int] = (),
) -> Errors:
    """Reconstruct a target; differentiate scale / 2 x |x_hat - target|^2, summed over groups, by the reconstruction.

    Args:
        pairs: values and features of each token.
        decoder: a row per feature.
        target: what should come out, with what is added after decoding already subtracted.
        scale: for the mean squared error 2 / (tokens x d_target), and divided by the number of groups for their mean.
        relu: whether the selection had one; values of zero then hear nothing.
        group_ends: the feature after the last of each group, up to n_features; empty for one group of all.
    """
    ends = np.array(_ends(group_ends, pairs.n_features))
    upstream = _empty(len(ends), *target.shape)
    pulls, squares = torch.empty_like(pairs.values), np.empty((len(ends), len(target)), np.float32)
    given = _arrays(pairs), _array(decoder), _array(target), ends, np.float32(scale), relu
    written = upstream.numpy(), squares, pulls.numpy()
    parts = shares(len(target), 2 * len(pairs.values) * target.shape[1])
    run(lambda tokens: rows.reconstruct(*given, tokens.start, tokens.stop, *written), parts)
    return Errors(upstream, pulls, torch.from_numpy(squares.sum(axis=1, dtype=np.float64)))


def gradients(
    pairs: Pairs,
    errors: Errors,
    x: Float[Tensor, "token d_model"],
    group_ends: Sequence[int] = (),
    out: Gradients | None = None,
) -> Learned:
    """Gradients by the parameters, the selection held fixed.

    Args:
        pairs: values and features of each token.
        errors: of that code; see ``errors``.
        x: what the encoder was given.
        group_ends: as given to ``errors``.
        out: where to write gradients, if not to new memory; contiguous.
    """
    upstream, n_features = _array(errors.upstream), pairs.n_features
    if out is None:
        shapes = (n_features, x.shape[1]), (n_features,), (n_features, upstream.shape[2])
        out = Gradients(*(_empty(*shape) for shape in shapes))
    encoder, b_enc, decoder = (a.detach().numpy() for a in out)
    tokens, values, pulls, starts, fired = _by_feature(pairs, errors.pulls)
    x_rows, ends = _array(x), _ends(group_ends, n_features)

    def encoder_rows(features: slice) -> None:
        rows.sums_of_rows(x_rows, tokens, pulls, starts, features.start, features.stop, encoder)
        rows.sums_of_pairs(pulls, starts, features.start, features.stop, b_enc)

    def decoder_rows(features: slice) -> None:
        for heard, low, high in zip(upstream, (0, *ends), ends, strict=False):
            first, last = max(features.start, low), min(features.stop, high)
            rows.sums_of_rows(heard, tokens, values, starts, first, last, decoder)

    run(encoder_rows, _equal_shares(starts, x.shape[1]))  # one after the other: both sums' vectors rarely fit in cache
    run(decoder_rows, _equal_shares(starts, upstream.shape[2]))
    total = _weighted_sum(upstream[0], np.ones(len(x), np.float32))
    return Learned(out, torch.from_numpy(total), torch.from_numpy(fired))


def through_encoder(
    b_enc: Float[Tensor, " feature"], encoder: Float[Tensor, "feature d_model"]
) -> Float[Tensor, " d_model"]:
    """Gradient by what is subtracted before encoding, from the gradient by ``b_enc``: - encoder^T b_enc."""
    return -torch.from_numpy(_weighted_sum(_array(encoder), _array(b_enc)))


def _by_feature(
    pairs: Pairs, pulls: Float[Tensor, " pair"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs sorted by feature: token, value, pull; where each feature's begin; and how often each fired."""
    values, features, offsets = _arrays(pairs)
    tokens, (sorted_values, sorted_pulls) = np.empty(len(values), np.int64), np.empty((2, len(values)), np.float32)
    starts, fired = np.empty(pairs.n_features + 1, np.int64), np.empty(pairs.n_features, np.int64)
    written = starts, tokens, sorted_values, sorted_pulls, fired
    rows.sort_by_feature(values, _array(pulls), features, offsets, *written)
    return tokens, sorted_values, sorted_pulls, starts, fired


def _equal_shares(starts: np.ndarray, width: int) -> list[slice]:
    """Neighbouring features that are about the same work: a feature counts like four pairs more."""
    work = starts + 4 * np.arange(len(starts))
    shares_of_work = shares(int(work[-1]), int(work[-1]) * width)
    cuts = np.searchsorted(work, [share.stop for share in shares_of_work]).tolist()
    return [slice(a, b) for a, b in pairwise([0, *cuts]) if a < b]


def _weighted_sum(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sum_i weights[i] matrix[i], in pieces that do not depend on the number of threads."""
    parts = shares(len(matrix), matrix.size)
    starts, index = np.array([0, *(part.stop for part in parts)]), np.arange(len(matrix))
    sums, total = (np.empty((n, matrix.shape[1]), np.float32) for n in (len(parts), 1))
    run(lambda i: rows.sums_of_rows(matrix, index, weights, starts, i, i + 1, sums), range(len(parts)))
    rows.sums_of_rows(sums, index, np.ones_like(sums[:, 0]), np.array([0, len(parts)]), 0, 1, total)
    return total[0]


def _ends(group_ends: Sequence[int], n_features: int) -> tuple[int, ...]:
    ends = tuple(group_ends) or (n_features,)
    assert ends[-1] == n_features, f"groups end at {ends} of {n_features} features"  # the loops would read past the end
    return ends


def _arrays(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, features, and where each token's pairs begin and the last one's end."""
    return _array(pairs.values), _array(pairs.features), np.append(pairs.offsets.numpy(), len(pairs.values))


def _empty(*shape: int) -> Tensor:
    """New memory from numpy, which asks for large pages: getting and losing small ones takes as long as the sums."""
    return torch.from_numpy(np.empty(shape, np.float32))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()
