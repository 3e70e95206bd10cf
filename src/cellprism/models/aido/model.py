"""AIDO.Cell in plain torch: a pre-norm transformer over genes, cut in two at any block.

- Written from the published tensor names, shapes and settings; agrees with the reference to float32 rounding.
- The reference builds a token x token attention mask that has no effect on its output. There is none here, so memory
  grows with the number of tokens, not with its square.
- Absent genes are zeros in the published models. A model trained on gene subsets (``gene_subset``) leaves them out.
- A gene's identity is its position embedding; its value enters through a soft lookup in 100 learned bins.
- In bfloat16, the default on a GPU, only the blocks' products and attention are: inputs, value bins, residual stream,
  norms and head stay in float32, so that small changes of a prediction survive.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cellprism.cells.columns import columns_of, refuse_empty
from cellprism.cells.genes import GeneTable
from cellprism.cells.totals import totals_of
from cellprism.equations.likelihood import expected_log1p
from cellprism.errors import ModelError
from cellprism.models.aido.last_block import DerivesItsLastBlock
from cellprism.models.aido.memory import plan_pass
from cellprism.models.aido.model_input import DEPTH_TOKENS, model_input
from cellprism.models.aido.parts import Block, Head, ValueEmbedding, norm
from cellprism.models.aido.rates import CellFactors, log_rate
from cellprism.models.aido.settings import AidoConfig
from cellprism.models.shown import ShownModel
from cellprism.types import CellBatch, CellOutput, OutputKind, PassPlan, Site, TrainedAt


def _trained_at(card: Mapping[str, Any], name: str) -> TrainedAt:
    """At hidden genes, as this family is pretrained, unless the card of the weights says otherwise."""
    said = card.get("trained_at", "hidden")
    if said not in get_args(TrainedAt):
        raise ModelError(f"the card of {name!r} says trained_at {said!r}; expected one of {list(get_args(TrainedAt))}")
    return said


def _pooled(
    x: Float[Tensor, "cell token d_model"], present: Bool[Tensor, "cell token"]
) -> Float[Tensor, "cell d_model"]:
    """Mean over the present tokens of each cell."""
    weight = present.to(x.dtype)[..., None]
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


class AidoCell(ShownModel, DerivesItsLastBlock, nn.Module):
    """A cell model of the AIDO.Cell family behind the ``CellModel`` protocol.

    ``gene_table`` may be missing for weights that come without a gene list; such a model runs on batches made by
    hand but cannot read cells. ``compute_dtype`` is what the blocks calculate in: float32, bfloat16, or None for
    bfloat16 on a GPU and float32 elsewhere. With ``checkpointing``, gradients through ``resume`` keep one residual a
    block and calculate the rest again: a third more time, a fraction of the memory (``plan`` decides).
    """

    family = "aido"
    tokens: Literal["genes"] = "genes"

    def __init__(
        self,
        config: AidoConfig,
        gene_table: GeneTable | None = None,
        *,
        name: str = "unnamed",
        revision: str = "local",
        licence: str = "unknown",
        card: Mapping[str, Any] | None = None,
        head: bool = True,
    ):
        super().__init__()
        if gene_table is not None and len(gene_table.symbol) != config.n_genes:
            raise ModelError(
                f"the gene list has {len(gene_table.symbol)} genes but the model's position embedding has room for "
                f"{config.n_genes}; pass the list that the model was trained with"
            )
        self.config, self.gene_table = config, gene_table
        self.name, self.revision, self.licence = name, revision, licence
        self.card = dict(card or {})
        self.trained_at: TrainedAt = _trained_at(self.card, name)
        self.genes: tuple[str, ...] = gene_table.symbol if gene_table is not None else ()
        self.n_layers, self.d_model = config.layers, config.hidden
        self.value_embedding = ValueEmbedding(config)
        self.position_embedding = nn.Embedding(config.n_genes + DEPTH_TOKENS, config.hidden)
        self.factors = CellFactors(config) if config.factors else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = norm(config)
        self.head = Head(config) if head else None
        self.compute_dtype: torch.dtype | None = None
        self.checkpointing = False

    @classmethod
    def random(
        cls,
        genes: Sequence[str],
        *,
        hidden: int = 64,
        layers: int = 3,
        heads: int = 2,
        intermediate: int = 160,
        seed: int = 0,
        gene_subset: bool = True,
    ) -> "AidoCell":
        """A model with random weights (torch's default initialisation), for controls and tests."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            table = GeneTable(symbol=tuple(genes), ensembl=("",) * len(genes), alias={})
            total = "cell" if gene_subset else "aligned"
            config = AidoConfig(len(genes), hidden, layers, heads, intermediate, gene_subset=gene_subset, total=total)
            return (
                cls(config, table, name="random", revision=f"seed {seed}", licence="none").eval().requires_grad_(False)
            )

    def reinitialised(self, seed: int) -> "AidoCell":
        """The same architecture and genes with fresh random weights: the control for what training has taught."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = AidoCell(
                replace(self.config), self.gene_table, name=f"{self.name}, untrained", revision=f"seed {seed}",
                licence="none", head=self.head is not None,
                card={name: said for name, said in self.card.items() if name == "trained_at"},
            )  # fmt: skip
        fresh.compute_dtype = self.compute_dtype
        return fresh.eval().requires_grad_(False)

    def with_random_blocks(self, seed: int) -> "AidoCell":
        """The same model with fresh random weights in its blocks alone: embeddings, last norm and head are kept."""
        fresh = self.reinitialised(seed)
        kept = {name: value for name, value in self.state_dict().items() if not name.startswith("blocks.")}
        fresh.load_state_dict(fresh.state_dict() | kept)
        fresh.name = f"{self.name}, blocks untrained"
        return fresh

    def gene_embeddings(self) -> Float[Tensor, "gene d_model"]:
        """What a token has of its gene before its value and the blocks."""
        return self.position_embedding.weight[: self.config.n_genes]

    @property
    def predicts(self) -> OutputKind:
        """Expression, where the weights came with their prediction head."""
        return "nothing" if self.head is None else "expression"

    @property
    def device(self) -> torch.device:
        """Where the parameters lie, and everything is computed."""
        return self.position_embedding.weight.device

    def mask(self, batch: CellBatch, hidden: Bool[Tensor, "cell token"]) -> CellBatch:
        """The batch with the input value of a hidden gene at the tokens ``hidden``."""
        return replace(batch, values=batch.values.masked_fill(hidden, self.config.mask_value))

    def plan(self, n_genes: int, *, layer: int = 0, gradient: bool = False, free: int | None = None) -> PassPlan:
        """How many cells of ``n_genes`` measured genes fit into a pass; see ``aido.memory.plan_pass``."""
        tokens = (n_genes if self.config.gene_subset else self.config.n_genes) + DEPTH_TOKENS
        return plan_pass(self.config, self.block_dtype, self.device, tokens, layer, gradient, free)

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """Cut cells with raw counts into batches; columns must be genes of the model (``read_cells`` sees to it).

        Raises:
            ModelError: the model came without a gene list.
            CellsError: a column is no gene of this model, or a cell has no counts at all.
        """
        if self.gene_table is None:
            raise ModelError(
                f"model {self.name!r} came without a gene list, so it cannot read cells; load it with genes=TABLE, or "
                "fetch the published list once: cellprism models fetch MODEL"
            )
        columns = torch.from_numpy(columns_of(adata, self.gene_table, self.name))
        counts = sp.csr_matrix(adata.X)
        totals = totals_of(adata, counts, own_genes=self.config.total == "aligned").astype(np.float32)
        refuse_empty(totals)
        device = self.device
        for start in range(0, adata.n_obs, size):
            rows = slice(start, min(start + size, adata.n_obs))
            dense = torch.from_numpy(counts[rows].toarray().astype(np.float32))
            yield self._batch(dense, torch.from_numpy(totals[rows]), columns, start).to(device)

    def _batch(
        self,
        counts: Float[Tensor, "cell column"],
        totals: Float[Tensor, " cell"],
        columns: Int[Tensor, " column"],
        start: int,
    ) -> CellBatch:
        if not self.config.gene_subset:
            full = counts.new_zeros(counts.shape[0], self.config.n_genes)
            full[:, columns] = counts
            counts, measured = full, columns
            columns = torch.arange(self.config.n_genes)
            present = torch.zeros(self.config.n_genes, dtype=torch.bool)
            present[measured] = True
        else:
            present = torch.ones(len(columns), dtype=torch.bool)
        depth = torch.full((DEPTH_TOKENS,), -1, dtype=torch.long)
        present = torch.cat([present, torch.zeros(DEPTH_TOKENS, dtype=torch.bool)])
        values = model_input(counts, totals, self.config.depth_floor)
        cell = torch.arange(start, start + len(counts))
        return CellBatch(values, torch.cat([columns, depth]), present.expand(values.shape), cell)

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``layer``; later blocks are not run."""
        return self.residuals(batch, [layer])[0]

    def residuals(self, batch: CellBatch, layers: Sequence[int]) -> list[Float[Tensor, "cell token d_model"]]:
        """Residual streams after each of ``layers``, in their order, in one pass up to the deepest."""
        wanted = [Site(layer, self.n_layers).layer for layer in layers]
        x, done, found = self._embedded(batch), 0, {}
        for layer in sorted(set(wanted)):
            x = self._through(x, done, layer + 1)
            done, found[layer] = layer + 1, x
        return [found[layer] for layer in wanted]

    def between(
        self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"], to: int
    ) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``to`` when that after block ``layer`` is ``x``."""
        return self._through(x, Site(layer, self.n_layers).layer + 1, Site(to, self.n_layers).layer + 1)

    def _embedded(self, batch: CellBatch) -> Float[Tensor, "cell token d_model"]:
        position = batch.gene
        extra = position < 0
        if position.ndim != 1 or int(extra.sum()) > DEPTH_TOKENS or int(position.max()) >= self.config.n_genes:
            raise ModelError(
                f"{self.name!r} reads one row of gene indices below {self.config.n_genes} for all cells of a "
                f"batch, and at most {DEPTH_TOKENS} tokens that are no genes; found gene {tuple(position.shape)}, "
                f"largest {int(position.max())}, {int(extra.sum())} without a gene; make batches with model.batches"
            )
        position = torch.where(extra, extra.cumsum(0) - 1 + self.config.n_genes, position)
        x = self.value_embedding(batch.values) + self.position_embedding(position)
        return x if self.factors is None else x + self._state(self.factors, batch)[:, None]

    def _state(self, factors: CellFactors, batch: CellBatch) -> Float[Tensor, "cell d_model"]:
        genes = batch.gene >= 0
        if genes.all():
            raise ModelError(
                f"{self.name!r} reads a cell's depth, and the batch has no token for it; use model.batches"
            )
        values = batch.values[:, genes]
        seen = (values != self.config.mask_value) & (values != self.config.pad_value)
        return factors(values, seen.to(values.dtype), batch.gene[genes], batch.values[:, ~genes][:, 0])

    def _through(
        self, x: Float[Tensor, "cell token d_model"], start: int, stop: int
    ) -> Float[Tensor, "cell token d_model"]:
        """Blocks ``start`` to ``stop`` - 1, in the precision and with the memory that the model is set to."""
        again = self.checkpointing and torch.is_grad_enabled() and x.requires_grad
        with self._precision():
            for block in self.blocks[start:stop]:
                x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False) if again else block(x)
        return x

    @property
    def block_dtype(self) -> torch.dtype:
        """What the blocks calculate in where the model lies now."""
        return self.compute_dtype or (torch.bfloat16 if self.device.type == "cuda" else torch.float32)

    def _precision(self) -> AbstractContextManager:
        """For blocks only: under autocast a residual stream in float32 stays in float32, and so do its norms."""
        if self.block_dtype == torch.float32:
            return nullcontext()  # a caller's own autocast, as in pretraining, is left alone
        return torch.autocast(self.device.type, dtype=self.block_dtype)

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """The rest of the forward pass from the residual stream after ``layer``; without a head, embeddings alone."""
        site = Site(layer, self.n_layers)
        last = self._through(x, site.layer + 1, self.n_layers)
        x = self.final_norm(last)
        embedding = _pooled(x, batch.present)
        if self.head is None:
            return CellOutput(None, embedding, x)
        genes = batch.gene >= 0
        said = self.head(x)[:, genes]
        if self.head.rates is not None:
            said = self.head.rates(said, last[:, genes], batch.gene[genes])
        return CellOutput(said, embedding, x)

    def resume_at(
        self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"], tokens: Int[Tensor, " some"]
    ) -> CellOutput:
        """``resume``, of which only some tokens that are genes are wanted: the last block answers these alone.
        ``embedding`` is the mean of those that are present."""
        site = Site(layer, self.n_layers)
        last = self.n_layers - 1
        if site.layer == last:
            x = x.index_select(1, tokens)
        else:
            x = self._through(x, site.layer + 1, last)
            with self._precision():
                x = self.blocks[last](x, tokens)
        normed = self.final_norm(x)
        embedding = _pooled(normed, batch.present.index_select(1, tokens))
        if self.head is None:
            return CellOutput(None, embedding, normed)
        said = self.head(normed)
        if self.head.rates is not None:
            said = self.head.rates(said, x, batch.gene[tokens])
        return CellOutput(said, embedding, normed)

    def as_counted(self, batch: CellBatch, expression: Float[Tensor, "cell gene"]) -> Float[Tensor, "cell gene"]:
        """log1p of counts per ten thousand to expect at the cells' own depth where their expression is ``expression``.

        Where few counts are expected this lies far below the logarithm of the rate: most readings are zero. Models
        without rates predict what is counted in the first place.
        """
        if self.head is None or self.head.rates is None:
            return expression
        genes = batch.gene >= 0
        scale = 1e4 / 10 ** batch.values[:, ~genes][:, 0].double()
        log_mean = log_rate(expression) - scale.log()[:, None]
        return expected_log1p(log_mean, self.head.rates.log_dispersion[batch.gene[genes]], scale).to(expression.dtype)

    def reads_with(self) -> dict[str, object]:
        """Whether absent genes are left out, of what counts are shares, and sizes."""
        return self.settings()

    def settings(self) -> dict[str, object]:
        """The configuration as plain JSON values."""
        return asdict(self.config)
