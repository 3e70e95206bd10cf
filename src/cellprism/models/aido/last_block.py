"""How the model's output at some tokens answers to vectors that are added at others before its last block.

Behind that block's attention every token goes on by itself, so one backward pass of those steps gives the derivative by
what each token attends to; the attention has a closed form (``equations.linearised``). Nothing of this grows with the
number of features, only with the places at which they fire.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from cellprism.equations.linearised import attention_derivative, norm_derivative
from cellprism.types import CellBatch


class DerivesItsLastBlock:
    """The ability ``types.DerivesLastBlock`` of a model of the family."""

    blocks: Any
    final_norm: Any
    head: Any

    def token_derivatives(
        self,
        batch: CellBatch,
        x: Float[Tensor, "1 token d_model"],
        tokens: Int[Tensor, " some"],
        at: Int[Tensor, " pair"],
        vectors: Float[Tensor, "pair d_model"],
    ) -> Float[Tensor, "pair some"]:
        """How one cell's output at ``tokens`` answers to each vector added at its token ``at`` before the last block.

        Args:
            batch: the cell.
            x: its residual stream before the last block.
            tokens: where the output is read.
            at: the token of each vector.
            vectors: what is added there.
        """
        block = self.blocks[-1]
        norm, x = block.norm1, x[0]

        def by_head(z: Tensor) -> Float[Tensor, "head _ d_head"]:
            return z.unflatten(-1, (block.heads, -1)).transpose(0, 1)

        y = norm(x)
        query, key, value = (by_head(p(z)) for p, z in ((block.query, y[tokens]), (block.key, y), (block.value, y)))
        attended = F.scaled_dot_product_attention(query[None], key[None], value[None])[0].transpose(0, 1).flatten(1)
        slope = self._slope(block, x[tokens] + block.out(attended), batch.gene[tokens])
        centred = isinstance(norm, nn.LayerNorm)
        moved = norm_derivative(x[at], vectors, norm.weight, norm.eps, centred)
        changes = (by_head(moved @ p.weight.T) for p in (block.query, block.key, block.value))
        place = torch.full_like(batch.gene, -1)
        place[tokens] = torch.arange(len(tokens), device=tokens.device)
        own = place[at]
        found = attention_derivative(by_head(slope @ block.out.weight), query, key, value, at, own, *changes)
        inside = (own >= 0).nonzero()[:, 0]
        found[inside, own[inside]] += (slope[own[inside]] * vectors[inside]).sum(dim=-1)  # past the attention
        return found

    def _slope(
        self, block: Any, middle: Float[Tensor, "some d_model"], gene: Int[Tensor, " some"]
    ) -> Float[Tensor, "some d_model"]:
        """Derivative of the output at each token by its stream between attention and feed-forward."""
        with torch.enable_grad():
            leaf = middle.detach().requires_grad_()
            y = block.norm2(leaf)
            last = leaf + block.down(F.silu(block.gate(y)) * block.up(y))
            said = self.head(self.final_norm(last))
            said = said if self.head.rates is None else self.head.rates(said[None], last[None], gene)[0]
            return torch.autograd.grad(said.sum(), leaf)[0]
