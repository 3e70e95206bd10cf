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

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

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
    b_dec: Float[Tensor, " d_model"],
) -> Float[Tensor, "token feature"]:
    """Scores from which the k largest are kept.

    Formula: h = (x - b_dec) W_enc + b_enc.
    Source: Gao et al. 2024, with the encoder bias that Yanovsky and Chernomoretz 2026 have in code.
    """
    return torch.addmm(b_enc, x - b_dec, W_enc)


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


def pair_products(
    features: Int[Tensor, "token k"],
    rows: Float[Tensor, "feature d_model"],
    vectors: Float[Tensor, "token d_model"],
) -> Float[Tensor, "token k"]:
    """<vectors_t, rows[f_tj]> for every pair of a token and one of its features.

    It is the derivative of ``embedding_bag`` with respect to its sample weights, which torch computes pair
    by pair; gathering the rows first would take k times the memory of ``vectors``.
    """
    weights = torch.zeros(features.shape, dtype=rows.dtype, device=rows.device, requires_grad=True)
    with torch.enable_grad():
        bags = embedding_bag(features, rows.detach(), mode="sum", per_sample_weights=weights)
    return torch.autograd.grad(bags, weights, vectors)[0]


class Gradients(NamedTuple):
    """Gradients of a loss with respect to an autoencoder's parameters."""

    W_enc: Float[Tensor, "d_model feature"]
    b_enc: Float[Tensor, " feature"]
    W_dec: Float[Tensor, "feature d_model"]
    b_dec: Float[Tensor, " d_model"]


def top_k_gradients(
    code: SparseCode,
    centred: Float[Tensor, "token d_model"],
    upstream: Float[Tensor, "token d_model"],
    W_enc: Float[Tensor, "d_model feature"],
    W_dec: Float[Tensor, "feature d_model"],
    relu: bool = True,
) -> Gradients:
    """Gradients of a loss of the reconstruction, the selection held fixed.

    Formulas, with g_t = dL/dx_hat_t and u_tj = <g_t, W_dec[f_tj]>, which is 0 where a relu has cut the value:
    dL/dW_dec[f] = sum_{tj: f_tj = f} z_tj g_t;  dL/dW_enc[:, f] = sum_{tj: f_tj = f} u_tj (x_t - b_dec);
    dL/db_enc[f] = sum_{tj: f_tj = f} u_tj;  dL/db_dec = sum_t g_t - W_enc dL/db_enc.

    Args:
        code: values z [token k] and features f [token k] of the forward pass.
        centred: x - b_dec, what the encoder was given.
        upstream: g, for the mean squared error 2 (x_hat - x) / (tokens x d_model).
        W_enc: encoder [d_model feature].
        W_dec: decoder [feature d_model].
        relu: whether the forward pass had one.

    Returns:
        Gradients; that of W_enc is a transposed view of a [feature d_model] array.
    """
    u = pair_products(code.features, W_dec, upstream)
    if relu:
        u = u * (code.values > 0)
    order, tokens, offsets = _by_feature(code)
    W_dec_grad = embedding_bag(tokens, upstream, offsets, mode="sum", per_sample_weights=code.values.flatten()[order])
    W_enc_grad = embedding_bag(tokens, centred, offsets, mode="sum", per_sample_weights=u.flatten()[order])
    b_enc_grad = torch.zeros_like(W_dec[:, 0]).index_add_(0, code.features.flatten(), u.flatten())
    b_dec_grad = upstream.sum(dim=0) - W_enc @ b_enc_grad
    return Gradients(W_enc_grad.T, b_enc_grad, W_dec_grad, b_dec_grad)


def _by_feature(
    code: SparseCode,
) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"], Int[Tensor, " feature"]]:
    """Pairs sorted by feature: their order, their tokens, and where each feature begins."""
    features = code.features.flatten()
    order = features.to(torch.int32).sort(stable=True).indices  # torch sorts narrow integers faster
    counts = torch.bincount(features, minlength=code.n_features)
    tokens = torch.div(order, code.features.shape[1], rounding_mode="floor")
    return order, tokens, counts.cumsum(0) - counts


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
) -> Float[Tensor, ""]:
    """Share of the variance of some vectors that a reconstruction explains: 1 - FVU.

    Formula: 1 - sum_t |x_t - x_hat_t|^2 / sum_t |x_t - mean x|^2, with the denominator sum |x|^2 - |sum
    x|^2 / count. Only sums enter, so it can be had from a stream. Subtract something near the mean from x
    first where the mean is
    large beside the spread: the difference of the two sums loses digits otherwise.

    Args:
        squared_error: sum over tokens of |x_hat - x|^2.
        squares: sum over tokens of |x|^2.
        total: sum over tokens of x.
        count: number of tokens.
    """
    return 1 - squared_error / (squares - total.square().sum() / count)
