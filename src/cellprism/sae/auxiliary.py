"""The auxiliary loss that brings dead features back: they reconstruct what the others left.

Source: Gao et al. 2024.
Departs from Gao et al. 2024: there the loss is divided by the variance of what was left; here it is in the units of
the main loss, so that its weight means the same throughout training.
"""

from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.sparse import decode_pairs, pair_gradients, pairs_of, preactivations, top_k


def auxiliary_gradients(
    gradients: dict[str, Tensor],
    x: Float[Tensor, "token d_model"],
    error: Float[Tensor, "token d_target"],
    weights: dict[str, Tensor],
    dead: Int[Tensor, " dead"],
    weight: float,
) -> None:
    """Add the gradients of weight x mean((e_hat - e)^2) to those of the dead features' rows.

    e = target - x_hat is what the code leaves, taken as given; e_hat decodes the k_aux dead features with the largest
    pre-activations at each token, through a ReLU, k_aux being half the width of the vectors or all that are dead.

    Args:
        gradients: of encoder, b_enc and decoder, changed in place.
        x: what the encoder reads, its bias subtracted.
        error: x_hat - target.
        weights: encoder, b_enc and decoder.
        dead: features that count as dead.
        weight: of this loss in the whole.
    """
    if not len(dead):
        return
    rows = {name: weights[name][dead] for name in ("encoder", "b_enc", "decoder")}
    k = min(len(dead), max(1, x.shape[1] // 2))
    pairs = pairs_of(top_k(preactivations(x, rows["encoder"].T, rows["b_enc"]), k))
    upstream = (decode_pairs(pairs, rows["decoder"]) + error) * (2 * weight / error.numel())
    for name, gradient in pair_gradients(pairs, x, upstream, rows["decoder"])._asdict().items():
        gradients[name].index_add_(0, dead, gradient)
