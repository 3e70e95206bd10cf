"""The network of Geneformer behind the ``CellModel`` protocol: a BERT, cut in two at any block.

- ``CellBatch.values`` are token ids, which float32 holds exactly up to 2^24: the network's own input, from which
  ``residual`` reads genes, ``<cls>``, ``<eos>`` and padding alike. ``gene`` says the same for genes as indices into
  ``genes``, one row a cell; it is -1, and ``present`` False, at all other tokens.
- Blocks are post-norm, so the residual stream after a block is that block's normalised output; the embeddings before
  block 0 are normalised too. There is no norm behind the last block.
- Padding is known by its token id, not by ``present``: what a caller calls present changes what is averaged, never
  what the network computes.
- On a CPU a block runs over each cell's own tokens, one cell after the other: twice as fast as over PBMC3K's padding,
  and a cell's residual stream is the same, bit for bit, whatever batch it is in. Elsewhere the batch runs as a whole
  with padding hidden from attention.
- The logit of each token's own gene is one inner product. The library's head makes all of them, 25,426 a token in V1,
  which is a hundred times the residual stream.
- Attention is torch's fused one whatever the configuration says, since a mask of one row a cell is enough for it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import Module
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM

from cellprism.cells.columns import columns_of, refuse_empty
from cellprism.cells.genes import GeneTable
from cellprism.errors import ModelError
from cellprism.models.geneformer.dictionaries import CLS, EOS, MASK, PAD, Dictionary
from cellprism.models.geneformer.tokens import ranked_columns
from cellprism.models.shown import ShownModel
from cellprism.types import CellBatch, CellOutput, Site


class Geneformer(ShownModel, Module):
    """A Geneformer, V1 or V2, with the dictionary of its genes.

    Of a cell it reads the expressed genes that it has a token for, from the one highest above its usual level down;
    those that do not fit into ``input_size`` tokens are not read.
    """

    family = "geneformer"
    tokens: Literal["genes"] = "genes"
    predicts: Literal["token_logit"] = "token_logit"
    trained_at: Literal["hidden"] = "hidden"

    def __init__(
        self,
        network: BertForMaskedLM,
        dictionary: Dictionary,
        *,
        name: str = "unnamed",
        revision: str = "local",
        licence: str = "unknown",
        card: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        config = network.config
        if config.vocab_size != len(dictionary.tokens):
            raise ModelError(
                f"the dictionary has {len(dictionary.tokens):,} tokens but the network embeds {config.vocab_size:,}; "
                "pass the dictionary that it was trained with"
            )
        network.set_attn_implementation("sdpa")
        self.network, self.dictionary = network.eval().requires_grad_(False), dictionary
        self.name, self.revision, self.licence = name, revision, licence
        self.card = {**(card or {}), "gene_dictionary": dict(dictionary.source)}
        self.gene_table = dictionary.gene_table()
        self.genes: tuple[str, ...] = self.gene_table.symbol
        self.n_layers, self.d_model = config.num_hidden_layers, config.hidden_size
        self.input_size: int = config.max_position_embeddings
        self._token = np.array([dictionary.tokens[gene] for gene in dictionary.genes])
        self._median = np.array([dictionary.medians[gene] for gene in dictionary.genes], dtype=np.float64)

    def reads_with(self) -> dict[str, Any]:
        """What shapes do not tell: heads, the rounding of norms, the genes' usual levels, by their hash."""
        config = self.network.config
        names = ("num_attention_heads", "hidden_act", "layer_norm_eps")
        levels = hashlib.sha256(self._median.tobytes()).hexdigest()
        return {name: getattr(config, name) for name in names} | {"usual_levels": levels}

    @classmethod
    def random(
        cls,
        genes: Sequence[str] | Dictionary,
        *,
        hidden: int = 64,
        layers: int = 3,
        heads: int = 2,
        intermediate: int = 128,
        input_size: int = 2048,
        special: bool = True,
        seed: int = 0,
    ) -> "Geneformer":
        """A model with random weights (the library's initialisation), for controls and tests.

        Args:
            genes: symbols, which then all have the usual level 1, so that counts alone rank them; or a dictionary,
                such as ``Dictionary.of_cells(adata)``.
            hidden: width of the residual stream.
            layers: blocks.
            heads: attention heads.
            intermediate: width of the feed-forward layers.
            input_size: tokens of a cell at most, ``<cls>`` and ``<eos>`` among them.
            special: with symbols: read cells between ``<cls>`` and ``<eos>``, as V2 does.
            seed: seed of the weights.
        """
        if not isinstance(genes, Dictionary):
            genes = Dictionary.of(GeneTable.of(list(genes)), [1.0] * len(genes), special)
        config = BertConfig(
            vocab_size=len(genes.tokens), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=intermediate, max_position_embeddings=input_size, hidden_act="relu",
            hidden_dropout_prob=0.02, attention_probs_dropout_prob=0.02, pad_token_id=genes.tokens[PAD],
        )  # fmt: skip
        return cls(
            _drawn(config, seed), genes, name="Geneformer, random weights", revision=f"seed {seed}", licence="none"
        )

    def reinitialised(self, seed: int) -> "Geneformer":
        """The same architecture and genes with fresh random weights: the control for what training has taught."""
        return Geneformer(
            _drawn(deepcopy(self.network.config), seed), self.dictionary,
            name=f"{self.name}, untrained", revision=f"seed {seed}", licence="none",
        )  # fmt: skip

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """Cut cells with raw counts into batches; columns must be genes of the model (``read_cells`` sees to it).

        A batch is as wide as its fullest cell; the others are filled up with padding.

        Raises:
            CellsError: a column is no gene of this model, or a cell has no counts at all.
        """
        gene = columns_of(adata, self.gene_table, self.name)
        counts = sp.csr_matrix(adata.X)
        refuse_empty(np.asarray(counts.sum(axis=1)).ravel())
        for start in range(0, adata.n_obs, size):
            yield self._batch(counts[start : start + size], gene, start).to(self.network.device)

    def mask(self, batch: CellBatch, hidden: Bool[Tensor, "cell token"]) -> CellBatch:
        """The batch with ``<mask>`` at the tokens ``hidden``: that a gene stands there is known, not which.

        Raises:
            ModelError: the dictionary has no such token.
        """
        if MASK not in self.dictionary.tokens:
            raise ModelError(f"the gene dictionary of {self.name!r} has no token {MASK!r}, so no gene can be hidden")
        return replace(batch, values=batch.values.masked_fill(hidden, self.dictionary.tokens[MASK]))

    def limits_on(self, adata: AnnData) -> list[str]:
        """How many of the cells' expressed genes do not fit into ``input_size`` tokens, where there are such."""
        room = self.input_size - 2 * self.dictionary.special
        expressed = np.bincount(sp.coo_matrix(adata.X).nonzero()[0], minlength=adata.n_obs)
        unread = np.maximum(expressed - room, 0)
        if not unread.any():
            return []
        share = unread.sum() / expressed.sum()
        return [
            f"it reads the {room:,} genes of a cell that stand highest above their usual level; of the genes that "
            f"these cells express, {share:.1%} are not read, in {np.count_nonzero(unread):,} of {adata.n_obs:,} cells"
        ]

    def _batch(self, counts: sp.csr_matrix, gene: Int[np.ndarray, " column"], start: int) -> CellBatch:
        tokens, special = self.dictionary.tokens, 2 * self.dictionary.special
        column = ranked_columns(counts, self._median[gene], self._token[gene], self.input_size - special)
        genes = np.where(column >= 0, gene[column], -1)
        ids = np.where(column >= 0, self._token[genes], tokens[PAD])
        if special:
            genes = np.pad(genes, ((0, 0), (1, 1)), constant_values=-1)
            ids = np.pad(ids, ((0, 0), (1, 1)), constant_values=tokens[PAD])
            ids[:, 0] = tokens[CLS]
            ids[np.arange(len(ids)), (genes >= 0).sum(axis=1) + 1] = tokens[EOS]
        places = torch.from_numpy(genes)
        cell = torch.arange(start, start + len(ids))
        return CellBatch(torch.from_numpy(ids).float(), places, places >= 0, cell)

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``layer``, 0 at padding; later blocks are not run.

        Raises:
            ModelError: no such layer, or a batch that this network cannot read.
        """
        return self.residuals(batch, [layer])[0]

    def residuals(self, batch: CellBatch, layers: Sequence[int]) -> list[Float[Tensor, "cell token d_model"]]:
        """Residual streams after several blocks from one pass, in the order asked; errors as for ``residual``."""
        wanted = [Site(layer, self.n_layers).layer for layer in layers]
        ids, after = self._ids(batch), {}
        x, lengths = self.network.bert.embeddings(input_ids=ids), self._lengths(ids)
        for layer in range(max(wanted) + 1):
            x = self._block(layer, x, lengths)
            if layer in wanted:
                after[layer] = x
        return [after[layer] for layer in wanted]

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """The rest of the forward pass from the residual stream after block ``layer``.

        ``expression`` is None. ``token_logit`` is the logit of each token's own gene where it stands, hidden by
        ``mask`` or not; 0 at tokens that are no genes.
        """
        x, ids = self.between(batch, layer, x, self.n_layers - 1), self._ids(batch)
        weight = batch.present.to(x.dtype)[..., None]
        embedding = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        head = self.network.cls.predictions
        gene_ids = torch.from_numpy(self._token).to(ids.device)[batch.gene.clamp(min=0)]
        own_ids = torch.where(batch.gene >= 0, gene_ids, ids)
        own = F.embedding(own_ids, head.decoder.weight)
        logit = (head.transform(x) * own).sum(-1) + head.decoder.bias[own_ids]
        return CellOutput(None, embedding, x, logit.masked_fill(batch.gene < 0, 0.0))

    def between(
        self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"], to: int
    ) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``to`` when that after block ``layer`` is ``x``; errors as for ``residual``."""
        lengths = self._lengths(self._ids(batch))
        for later in range(Site(layer, self.n_layers).layer + 1, Site(to, self.n_layers).layer + 1):
            x = self._block(later, x, lengths)
        return x

    def _block(
        self, layer: int, x: Float[Tensor, "cell token d_model"], lengths: list[int]
    ) -> Float[Tensor, "cell token d_model"]:
        run = one_by_one if x.device.type == "cpu" else together
        return run(self.network.bert.encoder.layer[layer], x, lengths)

    def _ids(self, batch: CellBatch) -> Int[Tensor, "cell token"]:
        ids, most = batch.values.long(), len(self.dictionary.tokens)
        if ids.shape[1] > self.input_size or ids.min() < 0 or ids.max() >= most or (ids != batch.values).any():
            raise ModelError(
                f"{self.name!r} reads token ids below {most:,}, {self.input_size:,} a cell at most; found values from "
                f"{batch.values.min():g} to {batch.values.max():g}, {ids.shape[1]:,} a cell; make batches with "
                "model.batches"
            )
        return ids

    def _lengths(self, ids: Int[Tensor, "cell token"]) -> list[int]:
        """Tokens of each cell; what follows is padding."""
        seen = ids != self.dictionary.tokens[PAD]
        if (seen[:, 1:] & ~seen[:, :-1]).any() or not seen[:, 0].all():
            raise ModelError(
                f"{self.name!r} reads cells with padding behind their tokens alone; found a cell with padding before "
                "or between them, or without tokens; make batches with model.batches"
            )
        return seen.sum(dim=1).tolist()


def one_by_one(
    block: Module, x: Float[Tensor, "cell token d_model"], lengths: list[int]
) -> Float[Tensor, "cell token d_model"]:
    """A block's output for every cell by itself, 0 at padding."""
    parts = [block(cell[None, :length])[0] for cell, length in zip(x, lengths, strict=True)]
    return torch.stack([F.pad(part, (0, 0, 0, x.shape[1] - len(part))) for part in parts])


def together(
    block: Module, x: Float[Tensor, "cell token d_model"], lengths: list[int]
) -> Float[Tensor, "cell token d_model"]:
    """A block's output for all cells at once, 0 at padding, which no token attends to."""
    seen = torch.arange(x.shape[1], device=x.device) < torch.tensor(lengths, device=x.device)[:, None]
    return block(x, seen[:, None, None, :]).masked_fill(~seen[..., None], 0.0)


def _drawn(config: BertConfig, seed: int) -> BertForMaskedLM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertForMaskedLM(config)
