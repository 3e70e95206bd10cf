"""What a model of the AIDO.Cell family is put together from: value embedding, block and head."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from cellprism.models.aido.rates import GeneRates
from cellprism.models.aido.settings import AidoConfig


class ValueEmbedding(nn.Module):
    """e(x) = softmax(bin_alpha a + W2 a + b2) T with a = LeakyReLU_0.1(w1 x + b1): a soft lookup over value bins."""

    def __init__(self, config: AidoConfig):
        super().__init__()
        self.config = config
        self.linear1 = nn.Linear(1, config.bins)
        self.linear2 = nn.Linear(config.bins, config.bins)
        self.lookup_table = nn.Embedding(config.bins, config.hidden)
        self.mask_embedding = nn.Embedding(1, config.hidden)
        self.pad_embedding = nn.Embedding(1, config.hidden)

    def forward(self, values: Float[Tensor, "cell token"]) -> Float[Tensor, "cell token d_model"]:
        """Embed values; always in float32, since bin scores do not survive bfloat16."""
        with torch.autocast(values.device.type, enabled=False):
            a = F.leaky_relu(self.linear1(values[..., None].float()), 0.1)
            weights = torch.softmax(self.config.bin_alpha * a + self.linear2(a), dim=-1)
            embedded = weights @ self.lookup_table.weight
            hidden = (values == self.config.mask_value)[..., None]
            padded = (values == self.config.pad_value)[..., None]
            embedded = torch.where(hidden, self.mask_embedding.weight[0], embedded)
            return torch.where(padded, self.pad_embedding.weight[0], embedded)


def norm(config: AidoConfig) -> nn.Module:
    """The family's normalisation: of mean and variance, or of the root mean square."""
    kind = nn.LayerNorm if config.norm == "layer" else nn.RMSNorm
    return kind(config.hidden, eps=config.eps)


class Block(nn.Module):
    """x += O(attention(norm(x))); x += down(silu(gate(norm(x))) * up(norm(x))). Not causal, all projections biased."""

    def __init__(self, config: AidoConfig):
        super().__init__()
        h, f = config.hidden, config.intermediate
        self.heads = config.heads
        self.norm1 = norm(config)
        self.query, self.key, self.value, self.out = (nn.Linear(h, h) for _ in range(4))
        self.norm2 = norm(config)
        self.gate, self.up, self.down = nn.Linear(h, f), nn.Linear(h, f), nn.Linear(f, h)

    def forward(
        self, x: Float[Tensor, "cell token d_model"], tokens: Int[Tensor, " some"] | None = None
    ) -> Float[Tensor, "cell some d_model"]:
        """The residual stream after this block, at some tokens or at all."""
        y = self.norm1(x)
        asked = y if tokens is None else y.index_select(1, tokens)
        x = (x if tokens is None else x.index_select(1, tokens)) + self.attended(asked, y)
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))

    def attended(
        self, asked: Float[Tensor, "cell some d_model"], y: Float[Tensor, "cell token d_model"]
    ) -> Float[Tensor, "cell some d_model"]:
        """O(attention of the tokens asked for to all); a method of its own, so that queries, keys and values are gone
        before the feed-forward."""
        pairs = ((self.query, asked), (self.key, y), (self.value, y))
        q, k, v = (project(z).unflatten(-1, (self.heads, -1)).transpose(1, 2) for project, z in pairs)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Head(nn.Module):
    """dense -> exact GELU -> norm -> one number a token: the predicted log1p of counts per ten thousand; with rates, a
    part of the logarithm of each gene's rate, ``rates`` being the other."""

    def __init__(self, config: AidoConfig):
        super().__init__()
        self.rates = GeneRates(config) if config.rates else None
        self.dense = nn.Linear(config.hidden, config.hidden)
        self.norm = norm(config)
        self.decoder = nn.Linear(config.hidden, 1)

    def forward(self, x: Float[Tensor, "cell token d_model"]) -> Float[Tensor, "cell token"]:
        """One number for every token."""
        return self.decoder(self.norm(F.gelu(self.dense(x))))[..., 0]
