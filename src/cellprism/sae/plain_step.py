"""The steps of ``sae.step`` in plain torch, on any device."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from cellprism.equations.sparse import (
    Gradients,
    Pairs,
    batch_top_k,
    decode_pairs,
    joined,
    pair_gradients,
    pairs_of,
    preactivations,
    tangential,
    tokens_of,
    top_k,
)
from cellprism.sae.kernels.product import Precision
from cellprism.sae.step import Backward

SLICE = 1 << 21  # pre-activations computed at once on a processor
LARGE_SLICE = 1 << 27  # and elsewhere, where there is no cache to stay in


def sliced(x: Float[Tensor, "token d_model"], n_features: int) -> tuple[Tensor, ...]:
    """Stretches of tokens whose pre-activations fit a processor's cache: faster, and memory stays flat."""
    return x.split(max(256, (SLICE if x.device.type == "cpu" else LARGE_SLICE) // n_features))


class PlainSteps:
    """The steps in plain torch, on any device."""

    precision: Precision = "float32"

    def top_k(
        self,
        x: Float[Tensor, "token d_model"],
        encoder: Float[Tensor, "feature d_model"],
        b_enc: Float[Tensor, " feature"],
        k: int,
        relu: bool,
    ) -> Pairs:
        parts = [pairs_of(top_k(preactivations(part, encoder.T, b_enc), k, relu)) for part in sliced(x, len(encoder))]
        return joined(parts)

    def batch_top_k(
        self,
        x: Float[Tensor, "token d_model"],
        encoder: Float[Tensor, "feature d_model"],
        b_enc: Float[Tensor, " feature"],
        k: int,
        guess: float | None,
    ) -> tuple[Pairs, float]:
        pairs = batch_top_k(preactivations(x, encoder.T, b_enc), k)
        return pairs, float(pairs.values.min()) if len(pairs.values) else 0.0

    def backward(
        self,
        pairs: Pairs,
        x: Float[Tensor, "token d_model"],
        target: Float[Tensor, "token d_target"],
        decoder: Float[Tensor, "feature d_target"],
        relu: bool,
        group_ends: tuple[int, ...],
    ) -> Backward:
        scale = 2 / (target.numel() * len(group_ends))
        if len(group_ends) == 1:
            error = decode_pairs(pairs, decoder) - target
            upstream = error * scale
            gradients = pair_gradients(pairs, x, upstream, decoder, relu)
            return Backward(gradients, upstream.sum(dim=0), error.square().sum(), firing(pairs), upstream, scale)
        groups = [_within(pairs, low, high) for low, high in zip((0, *group_ends), group_ends, strict=False)]
        error, errors = -target, []
        for group in groups:
            error = error + decode_pairs(group, decoder)
            errors.append(error)
        heard, parts, total = torch.zeros_like(error), [], torch.zeros_like(error[0])
        for group, error_here in zip(reversed(groups), reversed(errors), strict=True):
            heard = heard + error_here * scale  # a group is in its own prefix and in all later ones
            total = total + error_here.sum(dim=0) * scale
            parts.append(pair_gradients(group, x, heard, decoder, relu))
        gradients = Gradients(*(torch.stack(p).sum(dim=0) for p in zip(*parts, strict=True)))
        return Backward(gradients, total, error.square().sum(), firing(pairs), error * scale, scale)

    def update(
        self, optimiser: torch.optim.Adam, weights: dict[str, Tensor], gradients: dict[str, Tensor], unit_norm: bool
    ) -> None:
        decoder = weights["decoder"]
        for name, weight in weights.items():
            weight.grad = gradients.get(name)
        if unit_norm and decoder.grad is not None:
            decoder.grad = tangential(decoder.grad, decoder)
        optimiser.step()
        if unit_norm and decoder.grad is not None:
            decoder.copy_(normalize(decoder, dim=1))


def firing(pairs: Pairs) -> Int[Tensor, " feature"]:
    """Tokens at which each feature has a value that is not zero."""
    counts = torch.zeros(pairs.n_features, dtype=torch.long, device=pairs.features.device)
    return counts.index_add_(0, pairs.features, (pairs.values != 0).long())


def _within(pairs: Pairs, low: int, high: int) -> Pairs:
    """The pairs whose feature is at least ``low`` and below ``high``."""
    keep = (pairs.features >= low) & (pairs.features < high)
    counts: Int[Tensor, " token"] = torch.bincount(tokens_of(pairs)[keep], minlength=len(pairs.offsets))
    return Pairs(pairs.values[keep], pairs.features[keep], counts.cumsum(0) - counts, pairs.n_features)
