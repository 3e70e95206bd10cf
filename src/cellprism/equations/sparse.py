"""Sparse autoencoders: encode, select, decode, measure, and the gradients of a training step.

Notable choices

- A code is k (value, feature) pairs a token. Nothing here makes a token x feature array except the
  encoder's product, which selection needs; decoding and all gradients go through the pairs.
- The gradients are written out. With k of n features active, a weight row hears only from the tokens where
  its feature
  fired: sorted by feature, the whole backward pass is two sums of bags, a few per cent of the encoder's
  cost. Autograd through the dense product costs four times the encoder.
- ``torch.topk`` on CPU is slower than the encoder at small widths. Looking at groups of features first is
  exact and about twice as fast.
- Selection compares signed pre-activations. With ``relu`` a kept value below zero becomes zero (the feature
  does not fire); without, it stays negative, as in Yanovsky and Chernomoretz 2026.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from cellprism.equations.ratio import is_spread
from cellprism.types import SparseCode

GROUP = 8  # features per group in the two-stage selection; measured best from 512 to 5,120 features


class Pairs(NamedTuple):
    """A sparse code with any number of features a token: its (value, feature) pairs, token after token."""

    values: Float[Tensor, " pair"]
    features: Int[Tensor, " pair"]
    offsets: Int[Tensor, " token"]
    """Where each token's pairs begin."""
    n_features: int


def preactivations(
    x: Float[Tensor, "token d_model"],
    W_enc: Float[Tensor, "d_model feature"],
    b_enc: Float[Tensor, " feature"],
    b_dec: Float[Tensor, " d_model"] | None = None,
) -> Float[Tensor, "token feature"]:
    """Scores from which the k largest are kept.

    Formula: h = (x - b_dec) W_enc + b_enc, with x itself where b_dec is None.
    Source: Gao et al. 2024, with the encoder bias that Yanovsky and Chernomoretz 2026 have in code.
    """
    return torch.addmm(b_enc, x if b_dec is None else x - b_dec, W_enc)


def top_k(h: Float[Tensor, "token feature"], k: int, relu: bool = True) -> SparseCode:
    """The k largest pre-activations of each token, largest first.

    Formula: z = TopK_k(h), and with ``relu`` z = max(TopK_k(h), 0).

    The k largest lie within the k groups of features that have the largest maxima, so only those are
    searched. Which of several equal values is kept is not defined. k must not exceed the number of
    features.
    """
    n_features = h.shape[1]
    if h.device.type == "cpu" and k * GROUP <= n_features // 2:
        values, features = _top_k_by_group(h, k)
    else:
        values, features = h.topk(k, dim=1)
    return SparseCode(values.relu() if relu else values, features, n_features)


def with_gradient(
    code: SparseCode,
    x: Float[Tensor, "token d_model"],
    encoder: Float[Tensor, "feature d_model"],
    relu: bool = True,
) -> SparseCode:
    """The same code, whose values pass gradients on to the vectors that it was made from, the selection held fixed.

    Formula: dL/dx_t = sum_j dL/dz_tj encoder[f_tj], without the pairs that a relu has cut.

    Args:
        code: k pairs a token.
        x: what the encoder was given.
        encoder: its rows.
        relu: whether values below zero were cut.
    """
    values = _KeptValues.apply(x, code.values, code.features, encoder, relu)
    assert isinstance(values, Tensor)
    return SparseCode(values, code.features, code.n_features)


class _KeptValues(torch.autograd.Function):
    """Values as they were computed elsewhere, with the derivative of x encoder^T at the features kept."""

    @staticmethod
    def forward(ctx, x, values, features, encoder, relu):
        ctx.save_for_backward(values, features, encoder)
        ctx.relu = relu
        return values.clone()

    @staticmethod
    def backward(ctx, *upstream):
        values, features, encoder = ctx.saved_tensors
        (u,) = upstream
        u = u * (values > 0) if ctx.relu else u
        return embedding_bag(features, encoder, mode="sum", per_sample_weights=u), None, None, None, None


def _top_k_by_group(
    h: Float[Tensor, "token feature"], k: int
) -> tuple[Float[Tensor, "token k"], Int[Tensor, "token k"]]:
    missing = -h.shape[1] % GROUP
    if missing:
        h = pad(h, (0, missing), value=-torch.inf)
    # Of n groups, group g holds features g, g + n, g + 2n, ...: maxima are then taken over contiguous rows.
    grouped = h.unflatten(1, (GROUP, -1))
    n_groups = grouped.shape[2]
    groups = grouped.amax(dim=1).topk(k, dim=1, sorted=False).indices
    candidates = grouped.gather(2, groups[:, None, :].expand(-1, GROUP, -1)).flatten(1)
    values, place = candidates.topk(k, dim=1)
    features = torch.div(place, k, rounding_mode="floor") * n_groups + groups.gather(1, place % k)
    return values, features


def decode(
    code: SparseCode, W_dec: Float[Tensor, "feature d_model"], b_dec: Float[Tensor, " d_model"] | None = None
) -> Float[Tensor, "token d_model"]:
    """Reconstruction from a sparse code.

    Formula: x_hat_t = sum_j z_tj W_dec[f_tj] + b_dec (without the bias where it is None).
    """
    bags = embedding_bag(code.features, W_dec, mode="sum", per_sample_weights=code.values)
    return bags if b_dec is None else bags + b_dec


def mean_squared_error(x: Float[Tensor, "token d_model"], x_hat: Float[Tensor, "token d_model"]) -> Float[Tensor, ""]:
    """Mean over tokens and dimensions of (x_hat - x)^2: the training loss."""
    return (x_hat - x).square().mean()


def pairs_of(code: SparseCode) -> Pairs:
    """A code with k features a token as pairs."""
    tokens, k = code.features.shape
    offsets = torch.arange(0, tokens * k, k, device=code.features.device)
    return Pairs(code.values.flatten(), code.features.flatten(), offsets, code.n_features)


def tokens_of(pairs: Pairs) -> Int[Tensor, " pair"]:
    """Token of each pair."""
    ends = torch.cat([pairs.offsets[1:], pairs.offsets.new_full((1,), len(pairs.features))])
    return torch.repeat_interleave(ends - pairs.offsets, output_size=len(pairs.features))


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Codes of consecutive stretches of tokens as one."""
    starts = accumulate((len(p.features) for p in parts[:-1]), initial=0)
    offsets = [p.offsets + start for p, start in zip(parts, starts, strict=True)]
    values, features = torch.cat([p.values for p in parts]), torch.cat([p.features for p in parts])
    return Pairs(values, features, torch.cat(offsets), parts[0].n_features)


def padded_code(pairs: Pairs) -> SparseCode:
    """Pairs as a code with as many features a token as the fullest token has; the rest is value 0 of feature 0."""
    tokens = tokens_of(pairs)
    place = torch.arange(len(tokens), device=tokens.device) - pairs.offsets[tokens]
    k = int(place.max()) + 1 if len(place) else 1
    values = pairs.values.new_zeros(len(pairs.offsets), k)
    features = pairs.features.new_zeros(len(pairs.offsets), k)
    values[tokens, place], features[tokens, place] = pairs.values, pairs.features
    return SparseCode(values, features, pairs.n_features)


def chosen(h: Float[Tensor, "token feature"], keep: Bool[Tensor, "token feature"]) -> Pairs:
    """The pairs of pre-activations that a mask keeps."""
    tokens, features = keep.nonzero(as_tuple=True)
    counts = torch.bincount(tokens, minlength=len(h))
    return Pairs(h[tokens, features], features, counts.cumsum(0) - counts, h.shape[1])


def batch_top_k(h: Float[Tensor, "token feature"], k: int) -> Pairs:
    """The largest positive pre-activations of a whole batch, k a token on average.

    Formula: z = h where h is among the (tokens x k) largest of the batch and above 0, else 0.
    Source: Bussmann et al. 2024.
    """
    least = h.flatten().topk(len(h) * k, sorted=False).values.min()
    return chosen(h, (h >= least) & (h > 0))


def above_threshold(h: Float[Tensor, "token feature"], threshold: Float[Tensor, " feature"]) -> Pairs:
    """Pre-activations above each feature's threshold.

    Formula: z = h 1[h > theta].
    Source: Rajamanoharan et al. 2024 (JumpReLU); Bussmann et al. 2024 for BatchTopK at inference.
    """
    return chosen(h, h > threshold)


def decode_pairs(
    pairs: Pairs, W_dec: Float[Tensor, "feature d_model"], b_dec: Float[Tensor, " d_model"] | None = None
) -> Float[Tensor, "token d_model"]:
    """``decode`` for a code with any number of features a token."""
    bags = embedding_bag(pairs.features, W_dec, pairs.offsets, mode="sum", per_sample_weights=pairs.values)
    return bags if b_dec is None else bags + b_dec


def pair_products(
    pairs: Pairs, rows: Float[Tensor, "feature d_model"], vectors: Float[Tensor, "token d_model"]
) -> Float[Tensor, " pair"]:
    """<vectors_t, rows[f]> for every pair of a token t and one of its features f.

    It is the derivative of ``embedding_bag`` with respect to its sample weights, which torch computes pair
    by pair; gathering the rows first would take k times the memory of ``vectors``.
    """
    weights = torch.zeros(len(pairs.features), dtype=rows.dtype, device=rows.device, requires_grad=True)
    with torch.enable_grad():
        bags = embedding_bag(pairs.features, rows.detach(), pairs.offsets, mode="sum", per_sample_weights=weights)
    return torch.autograd.grad(bags, weights, vectors)[0]


class Gradients(NamedTuple):
    """Gradients of a loss with respect to an autoencoder's weights; a feature is a row of both matrices."""

    encoder: Float[Tensor, "feature d_model"]
    b_enc: Float[Tensor, " feature"]
    decoder: Float[Tensor, "feature d_target"]


def pair_gradients(
    pairs: Pairs,
    x: Float[Tensor, "token d_model"],
    upstream: Float[Tensor, "token d_target"],
    decoder: Float[Tensor, "feature d_target"],
    relu: bool = True,
) -> Gradients:
    """Gradients of a loss of the reconstruction, the selection held fixed.

    Formulas, with g_t = dL/dx_hat_t and u_tf = <g_t, decoder_f>, which is 0 where a relu has cut the value:
    dL/ddecoder_f = sum_t z_tf g_t;  dL/dencoder_f = sum_t u_tf x_t;  dL/db_enc_f = sum_t u_tf.

    Args:
        pairs: values z and features f of the forward pass.
        x: what the encoder was given, its bias subtracted.
        upstream: g, for the mean squared error 2 (x_hat - target) / (tokens x d_target).
        decoder: its rows are the features.
        relu: whether the forward pass had one.
    """
    u = pair_products(pairs, decoder, upstream)
    if relu:
        u = u * (pairs.values > 0)
    order, tokens, offsets = _by_feature(pairs)
    return Gradients(
        embedding_bag(tokens, x, offsets, mode="sum", per_sample_weights=u[order]),
        torch.zeros_like(decoder[:, 0]).index_add_(0, pairs.features, u),
        embedding_bag(tokens, upstream, offsets, mode="sum", per_sample_weights=pairs.values[order]),
    )


def bias_gradient(
    upstream: Float[Tensor, " d_model"],
    b_enc_gradient: Float[Tensor, " feature"],
    encoder: Float[Tensor, "feature d_model"],
) -> Float[Tensor, " d_model"]:
    """Gradient for a bias that is subtracted before encoding and added after decoding.

    Formula: dL/db_dec = sum_t g_t - sum_f (dL/db_enc_f) encoder_f, with ``upstream`` the sum over tokens of g.
    """
    return upstream - b_enc_gradient @ encoder


def _by_feature(pairs: Pairs) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"], Int[Tensor, " feature"]]:
    """Pairs sorted by feature: their order, their tokens, and where each feature begins."""
    ordered, order = pairs.features.to(torch.int32).sort(stable=True)  # torch sorts narrow integers faster
    features = torch.arange(pairs.n_features, dtype=torch.int32, device=order.device)
    return order, tokens_of(pairs)[order], torch.searchsorted(ordered, features)


def tangential(
    gradient: Float[Tensor, "feature d_model"], rows: Float[Tensor, "feature d_model"]
) -> Float[Tensor, "feature d_model"]:
    """The part of a gradient that turns rows of norm 1 without changing their length.

    Formula: g_f - <g_f, w_f> w_f.
    Source: Bricken et al. 2023.
    """
    return gradient - (gradient * rows).sum(dim=1, keepdim=True) * rows


def least_squares_scale(x: Float[Tensor, "token d_model"], y: Float[Tensor, "token d_model"]) -> Float[Tensor, ""]:
    """The number a for which a y is nearest to x: <x, y> / |y|^2 over all tokens; 0 where y is zero."""
    return (x * y).sum() / y.square().sum().clamp(min=torch.finfo(y.dtype).tiny)


def explained_variance(
    squared_error: Float[Tensor, ""],
    squares: Float[Tensor, ""],
    total: Float[Tensor, " d_model"],
    count: int,
    size: Float[Tensor, ""] | None = None,
) -> Float[Tensor, ""]:
    """Share of the variance of some vectors that a reconstruction explains: 1 - FVU; NaN for one vector or equal ones.

    Formula: 1 - sum_t |x_t - x_hat_t|^2 / sum_t |x_t - mean x|^2, with the denominator sum |x|^2 - |sum
    x|^2 / count. Only sums enter, so it can be had from a stream. Subtract something near the mean from x
    first where the mean is
    large beside the spread: the difference of the two sums loses digits otherwise.

    Args:
        squared_error: sum over tokens of |x_hat - x|^2.
        squares: sum over tokens of |x|^2.
        total: sum over tokens of x.
        count: number of tokens.
        size: sum over tokens of |x|^2 before anything was subtracted, by which rounding is told from variance; squares
            where not given.
    """
    spread = squares - total.square().sum() / count
    return torch.where(is_spread(spread, squares if size is None else size), 1 - squared_error / spread, torch.nan)
