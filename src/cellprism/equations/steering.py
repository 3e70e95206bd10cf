"""Steering: what a change of feature strengths does to a residual stream.

Notable choices

- With the reconstruction error kept, steering needs no reconstruction: (alpha * z) W_dec + b + (x - z W_dec -
  b) is x + ((alpha - 1) * z) W_dec. Every bias of the autoencoder cancels, whatever it is and wherever it
  enters.
- A token where nothing changes keeps its bits. Adding a zero vector would not do: it turns -0.0 into 0.0.
- Both directions, the edit and the gradient with respect to the strengths, go through the (values, features)
  pairs of the sparse code; no token x feature array is made.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from cellprism.types import SparseCode


def steering_delta(
    code: SparseCode, strengths: Float[Tensor, " feature"], W_dec: Float[Tensor, "feature d_model"]
) -> Float[Tensor, "token d_model"]:
    """((alpha - 1) * z) W_dec, as one sparse product.

    Formula: delta_t = sum_j (alpha[f_tj] - 1) z_tj W_dec[f_tj], over the k pairs (f_tj, z_tj) of token t.

    Args:
        code: values z [token k] and features f [token k].
        strengths: alpha [feature]; 1 is neutral.
        W_dec: decoder rows [feature d_model].

    Source: Yanovsky and Chernomoretz 2026, alpha * z in place of z with the error term kept.
    """
    weights = (strengths[code.features] - 1) * code.values
    return embedding_bag(code.features, W_dec, mode="sum", per_sample_weights=weights)


def feature_values(code: SparseCode, features: Int[Tensor, " some"]) -> Float[Tensor, "token some"]:
    """Values of some features at every token; 0 where they do not fire.

    Formula: z_t[f] = sum_j z_tj 1[f_tj = f].
    """
    return ((code.features[..., None] == features) * code.values[..., None]).sum(dim=1)


def clamp_delta(
    code: SparseCode,
    features: Int[Tensor, " some"],
    values: Float[Tensor, " some"],
    W_dec: Float[Tensor, "feature d_model"],
) -> Float[Tensor, "token d_model"]:
    """(c - z) W_dec: what sets some features to given values c, whether they fire or not.

    Args:
        code: values z [token k] and features [token k].
        features: which are set.
        values: to what.
        W_dec: decoder rows [feature d_model].
    """
    return (values - feature_values(code, features)) @ W_dec[features]


def steered(
    x: Float[Tensor, "token d_model"],
    code: SparseCode,
    strengths: Float[Tensor, " feature"],
    W_dec: Float[Tensor, "feature d_model"],
    mask: Bool[Tensor, " token"] | None = None,
) -> Float[Tensor, "token d_model"]:
    """x' = x + ((alpha - 1) * z) W_dec at the tokens of ``mask`` (all tokens where it is None).

    Tokens at which no firing feature has a strength other than 1 keep their bits; where that is so of all of
    them, ``x`` itself is returned. For gradients with respect to the strengths use ``strength_gradient``.
    """
    changed = ((strengths[code.features] != 1) & (code.values != 0)).any(dim=1)
    if mask is not None:
        changed &= mask
    rows = changed.nonzero().squeeze(1)
    if rows.numel() == 0:
        return x
    part = SparseCode(code.values[rows], code.features[rows], code.n_features)
    return x.index_put((rows,), x[rows] + steering_delta(part, strengths, W_dec))


def strength_gradient(
    code: SparseCode, W_dec: Float[Tensor, "feature d_model"], upstream: Float[Tensor, "token d_model"]
) -> Float[Tensor, " feature"]:
    """Gradient of a loss with respect to the strengths, from its gradient with respect to the edited
    residuals.

    Formula: dL/dalpha_f = sum_t z_tf <dL/dx'_t, W_dec[f]>. The edit is linear in alpha, so this holds at
    every alpha.

    Args:
        code: values z [token k] and features [token k] of the unedited tokens.
        W_dec: decoder rows [feature d_model].
        upstream: dL/dx' [token d_model].
    """
    # The derivative of embedding_bag with respect to its sample weights is <upstream_t, W_dec[f_tj]>,
    # computed pair by
    # pair in one fused pass; gathering the rows first would take k times the memory of the residuals.
    weights = torch.zeros_like(code.values).requires_grad_()
    with torch.enable_grad():
        bags = embedding_bag(code.features, W_dec.detach(), mode="sum", per_sample_weights=weights)
    (inner,) = torch.autograd.grad(bags, weights, upstream)
    total = torch.zeros(code.n_features, dtype=upstream.dtype, device=upstream.device)
    return total.index_add_(0, code.features.flatten(), (code.values * inner).flatten())


def squared_edit_norm(code: SparseCode, W_dec: Float[Tensor, "feature d_model"]) -> Float[Tensor, " feature"]:
    """Squared size, summed over tokens, of the edit that raises one feature's strength by 1.

    Formula: E_f = |W_dec[f]|^2 sum_t z_tf^2. The edit at strength alpha has size |alpha - 1| sqrt(E_f).
    """
    total = torch.zeros(code.n_features, dtype=code.values.dtype, device=code.values.device)
    total.index_add_(0, code.features.flatten(), code.values.square().flatten())
    return total * W_dec.square().sum(dim=1)


def added_delta(
    amounts: Float[Tensor, " feature"],
    units: Float[Tensor, "place feature"],
    places: Int[Tensor, " token"],
    W_dec: Float[Tensor, "feature d_model"],
) -> Float[Tensor, "token d_model"]:
    """(a u_p) W_dec: what features add to a token at place p, whether they fire there or not.

    Formula: delta_t = sum_f a_f u_pf W_dec[f], with p the place of token t. It is computed once a place.

    Args:
        amounts: a [feature]; 0 is neutral.
        units: u, what an amount of 1 adds to each feature's value at each place.
        places: place of each token.
        W_dec: decoder rows [feature d_model].
    """
    return ((units * amounts) @ W_dec).index_select(0, places)


def added_gradient(
    units: Float[Tensor, "place feature"],
    places: Int[Tensor, " token"],
    W_dec: Float[Tensor, "feature d_model"],
    upstream: Float[Tensor, "token d_model"],
) -> Float[Tensor, " feature"]:
    """Gradient of a loss with respect to the amounts of ``added_delta``, from its gradient with respect to the edited
    residuals.

    Formula: dL/da_f = sum_p u_pf <sum_{t at p} dL/dx'_t, W_dec[f]>, at every a, since the edit is linear in it.
    """
    total = upstream.new_zeros(len(units), upstream.shape[1]).index_add_(0, places, upstream)
    return (units * (total @ W_dec.T)).sum(dim=0)
