"""scGPT in plain torch: a post-norm transformer over a cell's genes, cut in two at any block.

- Written from the published tensor names, shapes and settings; agrees with torch's own encoder layers.
- Every column of the cells is a token, zeros included, behind ``<cls>``: the same genes in every cell, so that effects
  per gene can be averaged. Time grows with the square of the number of genes: give it a selection of variable genes,
  as the published fine-tuning does. Departs from scGPT: pretraining showed expressed genes only, at most 1,200 of them
  drawn at random, and so does the published embedding of cells.
- ``CellBatch.values`` are log1p counts per ten thousand, as in the other models; the network bins them itself
  (``cellprism.models.scgpt.bins``), over the genes of the batch.
- The decoder predicts bins. They are read back through the cell's own values, so predictions are in the unit of every
  model, but only as good as that: nothing about a cell's depth can be predicted, and weights that were pretrained on
  expressed genes alone say of a silent gene what it would amount to if it were expressed.
- The tokens have no order. The residual stream after a block has passed its last norm: every site is normalised.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from cellprism.cells.columns import columns_of, refuse_empty
from cellprism.cells.genes import GeneTable
from cellprism.errors import ModelError
from cellprism.models.scgpt.bins import amounts, bin_levels, bin_values
from cellprism.models.shown import ShownModel
from cellprism.types import CellBatch, CellOutput, Site

READS = "every gene of the cells, zeros included; the published pretraining showed expressed genes only"
PREDICTS = (
    "bins among the cell's expressed genes, read back as log1p counts per ten thousand through the cell's own values; "
    "after the published pretraining, of a silent gene what it would amount to if it were expressed"
)


@dataclass(frozen=True)
class ScGptConfig:
    """Sizes and input conventions of one model of the family."""

    vocabulary: int
    """Tokens with an embedding: genes and special ones."""
    hidden: int
    """Width of the residual stream (d_model)."""
    layers: int
    """Number of blocks."""
    heads: int
    """Attention heads; the head dimension is hidden / heads."""
    intermediate: int
    """Width of the feed-forward layer."""
    n_bins: int = 51
    """Value bins, the one for zero included."""
    cls_value: float = -2.0
    """Value at ``<cls>``: that of padding, as in the published pretraining and embedding of cells."""
    mask_value: float = -1.0
    """Value that stands for a hidden gene."""

    def __post_init__(self):
        if self.heads < 1 or self.hidden % self.heads:
            raise ModelError(f"embsize {self.hidden} is not a multiple of nheads {self.heads}; correct args.json")
        if self.n_bins < 3:
            raise ModelError(f"n_bins {self.n_bins} leaves no bins to tell amounts apart; correct args.json")


class ValueEmbedding(nn.Module):
    """e(v) = norm(W2 relu(w1 v + b1) + b2) of a bin, or of the negative values that stand for something else."""

    def __init__(self, hidden: int):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(1, hidden), nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, bins: Float[Tensor, "cell token"]) -> Float[Tensor, "cell token d_model"]:
        """Embed one number a token."""
        return self.norm(self.linear2(F.relu(self.linear1(bins[..., None]))))


class Block(nn.Module):
    """x = norm(x + O(attention(x))); x = norm(x + down(relu(up(x)))). Not causal, all projections biased."""

    def __init__(self, config: ScGptConfig):
        super().__init__()
        h, f = config.hidden, config.intermediate
        self.heads = config.heads
        self.qkv, self.out, self.norm1 = nn.Linear(h, 3 * h), nn.Linear(h, h), nn.LayerNorm(h)
        self.up, self.down, self.norm2 = nn.Linear(h, f), nn.Linear(f, h), nn.LayerNorm(h)

    def forward(self, x: Float[Tensor, "cell token d_model"]) -> Float[Tensor, "cell token d_model"]:
        """The residual stream after this block."""
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in self.qkv(x).chunk(3, dim=-1))
        x = self.norm1(x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)))
        return self.norm2(x + self.down(F.relu(self.up(x))))


class ScGpt(ShownModel, nn.Module):
    """A cell model of the scGPT family behind the ``CellModel`` protocol."""

    family = "scgpt"
    tokens: Literal["genes"] = "genes"
    predicts: Literal["expression"] = "expression"
    trained_at: Literal["hidden"] = "hidden"
    gene_token: Tensor

    def __init__(
        self,
        config: ScGptConfig,
        gene_table: GeneTable,
        gene_token: Sequence[int],
        cls_token: int,
        *,
        name: str = "unnamed",
        revision: str = "local",
        licence: str = "unknown",
        card: Mapping[str, Any] | None = None,
    ):
        """Random weights.

        Args:
            config: sizes and conventions.
            gene_table: the genes of the vocabulary.
            gene_token: place of each of them in the vocabulary.
            cls_token: place of ``<cls>``.
            name: what to call the model.
            revision: which version of it.
            licence: of the weights.
            card: what else is known of it, in plain JSON values.
        """
        super().__init__()
        self.config, self.gene_table, self.cls_token = config, gene_table, cls_token
        self.genes: tuple[str, ...] = gene_table.symbol
        self.name, self.revision, self.licence = name, revision, licence
        self.card = {"reads": READS, "predicts": PREDICTS, **(card or {})}
        self.n_layers, self.d_model = config.layers, config.hidden
        h = config.hidden
        self.register_buffer("gene_token", torch.tensor(gene_token, dtype=torch.long), persistent=False)
        self.gene_embedding, self.gene_norm = nn.Embedding(config.vocabulary, h), nn.LayerNorm(h)
        self.value_embedding = ValueEmbedding(h)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.decoder = nn.Sequential(
            nn.Linear(h, h), nn.LeakyReLU(), nn.Linear(h, h), nn.LeakyReLU(), nn.Linear(h, 1)
        )  # fmt: skip

    def reads_with(self) -> dict[str, Any]:
        """Sizes, bins and the values that stand for something else."""
        return {**asdict(self.config), "cls_token": self.cls_token}

    @classmethod
    def random(
        cls,
        genes: Sequence[str],
        *,
        hidden: int = 64,
        layers: int = 3,
        heads: int = 2,
        intermediate: int = 64,
        n_bins: int = 51,
        seed: int = 0,
    ) -> "ScGpt":
        """A model with random weights (torch's default initialisation), for controls and tests."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = ScGptConfig(len(genes) + 1, hidden, layers, heads, intermediate, n_bins)
            model = cls(
                config, GeneTable.of(genes), range(len(genes)), cls_token=len(genes),
                name="random", revision=f"seed {seed}", licence="none",
            )  # fmt: skip
        return model.eval().requires_grad_(False)

    def reinitialised(self, seed: int) -> "ScGpt":
        """The same architecture and genes with fresh random weights: the control for what training has taught."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = ScGpt(
                replace(self.config), self.gene_table, self.gene_token.tolist(), self.cls_token,
                name=f"{self.name}, untrained", revision=f"seed {seed}", licence="none",
            )  # fmt: skip
        return fresh.eval().requires_grad_(False)

    def mask(self, batch: CellBatch, hidden: Bool[Tensor, "cell token"]) -> CellBatch:
        """The batch with the input value of a hidden gene at the tokens ``hidden``; bins are of the genes left."""
        return replace(batch, values=batch.values.masked_fill(hidden, self.config.mask_value))

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """Cut cells with raw counts into batches; columns must be genes of the model (``read_cells`` sees to it).

        Counts per ten thousand are of ``obs["total_counts"]`` where present, else of the sums over the columns; the
        bins are the same either way.

        Raises:
            CellsError: a column is no gene of this model, or a cell has no counts at all.
        """
        columns = columns_of(adata, self.gene_table, self.name)
        counts = sp.csr_matrix(adata.X)
        sums = np.asarray(counts.sum(axis=1), dtype=np.float32).ravel()
        refuse_empty(sums)
        totals = np.asarray(adata.obs["total_counts"], dtype=np.float32) if "total_counts" in adata.obs else sums
        gene = torch.from_numpy(np.append(-1, columns))
        for start in range(0, adata.n_obs, size):
            rows = slice(start, min(start + size, adata.n_obs))
            dense = torch.from_numpy(counts[rows].toarray().astype(np.float32))
            cp10k = dense / torch.from_numpy(totals[rows])[:, None] * 1e4
            values = F.pad(torch.log1p(cp10k), (1, 0), value=self.config.cls_value)
            batch = CellBatch(values, gene, (gene >= 0).expand(values.shape), torch.arange(rows.start, rows.stop))
            yield batch.to(self.gene_token.device)

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``layer``; later blocks are not run."""
        return self.residuals(batch, [layer])[0]

    def residuals(self, batch: CellBatch, layers: Sequence[int]) -> list[Float[Tensor, "cell token d_model"]]:
        """Residual streams after several blocks from one pass, in the order asked."""
        sites = [Site(layer, self.n_layers).layer for layer in layers]
        x, found = self._embed(batch), {}
        for number, block in enumerate(self.blocks[: max(sites, default=-1) + 1]):
            x = block(x)
            if number in sites:
                found[number] = x
        return [found[site] for site in sites]

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """The rest of the forward pass from the residual stream after block ``layer``.

        ``expression`` is the decoder's bins as log1p counts per ten thousand, each cell's own values telling what a
        bin amounts to (``bins.amounts``). ``embedding`` is the mean over genes; the published embedding of a cell is
        its ``<cls>``, ``token[:, 0]``, scaled to length 1.
        """
        x = self.between(batch, layer, x, self.n_layers - 1)
        weight = batch.present.to(x.dtype)[..., None]
        embedding = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        is_gene = batch.gene >= 0
        levels = bin_levels(batch.values[:, is_gene], self.config.n_bins)
        return CellOutput(amounts(self.decoder(x[:, is_gene])[..., 0], levels), embedding, x)

    def between(
        self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"], to: int
    ) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``to`` when that after block ``layer`` is ``x``."""
        for block in self.blocks[Site(layer, self.n_layers).layer + 1 : Site(to, self.n_layers).layer + 1]:
            x = block(x)
        return x

    def _embed(self, batch: CellBatch) -> Float[Tensor, "cell token d_model"]:
        gene = batch.gene
        if gene.ndim != 1 or int((gene < 0).sum()) != 1 or int(gene.max()) >= len(self.genes):
            raise ModelError(
                f"{self.name!r} reads one row of gene indices below {len(self.genes)} for all cells of a batch and "
                f"one token that is no gene, <cls>; found gene {tuple(gene.shape)}, largest {int(gene.max())}, "
                f"{int((gene < 0).sum())} without a gene; make batches with model.batches"
            )
        is_gene = gene >= 0
        bins = batch.values.clone()
        bins[:, is_gene] = bin_values(batch.values[:, is_gene], self.config.n_bins)
        token = torch.where(is_gene, self.gene_token[gene.clamp(min=0)], self.cls_token)
        return self.gene_norm(self.gene_embedding(token)) + self.value_embedding(bins)
