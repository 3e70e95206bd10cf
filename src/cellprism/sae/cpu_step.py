"""The steps of ``sae.step`` by the kernels for processors."""

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import Pairs, pairs_of
from cellprism.sae.kernels.adam import adam
from cellprism.sae.kernels.backward import errors, gradients
from cellprism.sae.kernels.product import Precision
from cellprism.sae.kernels.select import select_batch_top_k, select_top_k
from cellprism.sae.step import Backward

ROWS = ("encoder", "decoder", "b_enc")  # weights whose Adam is a kernel; the others are a vector or two


class CpuSteps:
    """Several times as fast as ``PlainSteps``, the same equations; float32 on a processor."""

    def __init__(self, precision: Precision):
        self.precision: Precision = precision

    def top_k(
        self,
        x: Float[Tensor, "token d_model"],
        encoder: Float[Tensor, "feature d_model"],
        b_enc: Float[Tensor, " feature"],
        k: int,
        relu: bool,
    ) -> Pairs:
        return pairs_of(select_top_k(x, encoder, b_enc, k, relu, self.precision))

    def batch_top_k(
        self,
        x: Float[Tensor, "token d_model"],
        encoder: Float[Tensor, "feature d_model"],
        b_enc: Float[Tensor, " feature"],
        k: int,
        guess: float | None,
    ) -> tuple[Pairs, float]:
        return select_batch_top_k(x, encoder, b_enc, k, self.precision, guess)

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
        found = errors(pairs, decoder, target, scale, relu, group_ends)
        learned = gradients(pairs, found, x, group_ends)
        upstream, squared = found.upstream[-1], found.squared[-1]
        return Backward(learned.gradients, learned.upstream, squared, learned.fired, upstream, scale)

    def update(
        self, optimiser: torch.optim.Adam, weights: dict[str, Tensor], gradients: dict[str, Tensor], unit_norm: bool
    ) -> None:
        group = optimiser.param_groups[0]
        for name, weight in weights.items():
            gradient = gradients.get(name)
            weight.grad = None if name in ROWS else gradient
            if name not in ROWS or gradient is None:
                continue
            state = optimiser.state[weight]
            state["step"] += 1
            turn = unit_norm and name == "decoder"
            adam(
                weight, gradient.contiguous(), state["exp_avg"], state["exp_avg_sq"], step=int(state["step"]),
                learning_rate=group["lr"], betas=group["betas"], epsilon=group["eps"], tangential=turn, unit_norm=turn,
            )  # fmt: skip
        optimiser.step()
