"""The shapes that everything else speaks in: no logic beyond the invariants, checked when made.

Axis words, everywhere: cell, token, gene, feature, d_model, k, term. A *token* is a gene at its place in a model's
input; models may have tokens that are no genes (depth, mask), whose gene index is -1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.display import ShowsShapes
from cellprism.errors import ModelError

TokenKind = Literal["genes", "cells"]
OutputKind = Literal["expression", "token_logit", "nothing"]
TrainedAt = Literal["hidden", "visible"]


@dataclass(frozen=True)
class Site:
    """Where in a model: the residual stream after block ``layer``, counted from 0, of ``n_layers`` blocks."""

    layer: int
    n_layers: int

    def __post_init__(self):
        if not hasattr(self.layer, "__index__") or not 0 <= self.layer < self.n_layers:
            last = self.n_layers - 1
            raise ModelError(
                f"layer {self.layer!r} does not exist: this model has layers 0 to {last}; choose one of them"
            )

    def __str__(self) -> str:
        place = self.layer + 1
        ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
        return f"block {self.layer}, the {place}{ending} of {self.n_layers}"


@dataclass(frozen=True, repr=False)
class CellBatch(ShowsShapes):
    """Some cells as a model reads them.

    ``values`` are the model's own input, one number a token. ``gene`` holds indices into the model's ``genes``, -1
    where a token is no gene; one row for all cells or one a cell. ``present`` marks tokens that stand for something
    the data set measured: only these are averaged over, learned from and steered. ``cell`` holds row numbers of the
    AnnData they came from.

    A model that reads a cell as a whole has one token a cell, present, with gene -1; what it reads is in ``inputs``.
    """

    values: Float[Tensor, "cell token"]
    gene: Int[Tensor, " token"] | Int[Tensor, "cell token"]
    present: Bool[Tensor, "cell token"]
    cell: Int[Tensor, " cell"]
    inputs: Float[Tensor, "cell input"] | None = None

    def __post_init__(self):
        one_row, row_each = self.values.shape[1:], self.values.shape
        if self.gene.shape not in (one_row, row_each) or self.present.shape != self.values.shape:
            raise ModelError(
                f"a CellBatch needs equal lengths; found values {tuple(self.values.shape)}, "
                f"gene {tuple(self.gene.shape)}, present {tuple(self.present.shape)}"
            )
        if self.cell.shape[0] != self.values.shape[0]:
            raise ModelError(f"a CellBatch of {self.values.shape[0]} cells has {self.cell.shape[0]} cell numbers")
        if self.inputs is not None and self.inputs.shape[0] != self.values.shape[0]:
            raise ModelError(f"a CellBatch of {self.values.shape[0]} cells has inputs for {self.inputs.shape[0]}")

    def to(self, device: torch.device) -> "CellBatch":
        """The same batch on another device."""
        values, gene, present, cell = (t.to(device) for t in (self.values, self.gene, self.present, self.cell))
        return CellBatch(values, gene, present, cell, None if self.inputs is None else self.inputs.to(device))


@dataclass(frozen=True, repr=False)
class CellOutput(ShowsShapes):
    """What a model says of some cells.

    ``expression``: predicted log1p of counts per ten thousand (natural log), the batch's gene tokens in order, or all
    of the model's genes where it reads a cell as a whole; None for models that do not predict amounts.
    ``embedding``: mean over present tokens of the final hidden state. ``token``: that hidden state itself.
    ``token_logit``: for models that predict genes rather than amounts, the logit of each token's own gene at its place
    (0 where a token is no gene).
    """

    expression: Float[Tensor, "cell gene"] | None
    embedding: Float[Tensor, "cell d_model"]
    token: Float[Tensor, "cell token d_model"] | None = None
    token_logit: Float[Tensor, "cell token"] | None = None


@dataclass(frozen=True, repr=False)
class SparseCode(ShowsShapes):
    """Which features fire at each token, and how strongly: k of ``n_features`` a token, never densified by default.

    Tokens at which fewer than k features fire are filled up with value 0.
    """

    values: Float[Tensor, "*token k"]
    features: Int[Tensor, "*token k"]
    n_features: int

    def dense(self) -> Float[Tensor, "*token feature"]:
        """Every feature's value at each token, most of them 0; gradients pass through."""
        zeros = self.values.new_zeros(*self.values.shape[:-1], self.n_features)
        return zeros.scatter_add(-1, self.features, self.values)


@dataclass(frozen=True)
class PassPlan:
    """How a model is to be run; ``str`` says it in one line."""

    cells: int
    """Cells a pass, at least 1."""
    checkpointing: bool
    """Whether blocks are to be calculated again when their gradient is asked for."""
    tokens: int
    """Tokens a cell."""
    blocks: int
    """Blocks under gradients; 0 without."""
    cell_bytes: int
    """Memory one cell is expected to need, weights and the process itself aside."""
    free: int
    """Bytes that were free."""
    share: float = 0.8
    """Share of the free memory that is used."""

    @property
    def fits(self) -> bool:
        """Whether the pass is expected to fit into the share of free memory that is used."""
        return self.cells * self.cell_bytes <= self.share * self.free

    def __str__(self) -> str:
        how = f", gradients through {self.blocks} blocks" if self.blocks else ""
        how += ", each calculated twice to save memory" if self.checkpointing else ""
        needed, free = self.cells * self.cell_bytes / 1e9, self.free / 1e9
        cells = "1 cell" if self.cells == 1 else f"{self.cells} cells"
        line = f"{cells} of {self.tokens:,} tokens a pass{how}: about {needed:.2g} GB of {free:.2g} GB free"
        return line if self.fits else f"{line}; expect to run out of memory, or give fewer genes or more memory"


@runtime_checkable
class CellModel(Protocol):
    """A cell model cut in two: ``residual`` runs up to a site and stops, ``resume`` runs the rest.

    ``resume(batch, layer, residual(batch, layer))`` is the whole forward pass, bit for bit, at every layer.

    What else a model may be able to do is in protocols of its own, below: ``isinstance(model, HidesGenes)``.
    """

    name: str
    revision: str
    licence: str
    n_layers: int
    d_model: int
    gene_table: Any
    """``cellprism.cells.genes.GeneTable``: symbols, Ensembl ids, aliases; None where there is no gene list."""

    @property
    def tokens(self) -> TokenKind:
        """What a present token stands for: a gene, or the cell as a whole (one token a cell)."""
        ...

    @property
    def predicts(self) -> OutputKind:
        """Which field of ``CellOutput`` speaks of genes; ``nothing`` where neither does."""
        ...

    @property
    def trained_at(self) -> TrainedAt:
        """Where the output means something: at tokens that are hidden from the model (``HidesGenes``), or at those that
        it sees; ``visible`` for models that read a cell as a whole."""
        ...

    @property
    def card(self) -> Mapping[str, Any]:
        """Origin, settings and measures in plain JSON values; empty where nothing is known."""
        ...

    @property
    def genes(self) -> Sequence[str]:
        """Symbols in the model's order; empty where the weights came without a gene list."""
        ...

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """Cut cells (raw counts, aligned by ``read_cells``) into batches of at most ``size`` cells."""
        ...

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``layer``; later blocks are not run."""
        ...

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """The model's output when the residual stream after block ``layer`` is ``x``."""
        ...


@runtime_checkable
class ReadsSeveralLayers(Protocol):
    """A model that gives the residual streams after several blocks from one pass."""

    def residuals(self, batch: CellBatch, layers: Sequence[int]) -> Sequence[Float[Tensor, "cell token d_model"]]:
        """What ``residual`` gives at each of ``layers``, in the order asked."""
        ...


@runtime_checkable
class RunsBetween(Protocol):
    """A model that can be run from one block to another."""

    def between(
        self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"], to: int
    ) -> Float[Tensor, "cell token d_model"]:
        """Residual stream after block ``to`` when that after block ``layer`` is ``x``; ``x`` itself where both are the
        same. ``to`` does not come before ``layer``."""
        ...


@runtime_checkable
class ReadsSomeGenes(Protocol):
    """A model that can leave out the output at tokens that nobody asks for, which makes its last block cheap."""

    def resume_at(
        self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"], tokens: Int[Tensor, " some"]
    ) -> CellOutput:
        """``resume``, of which only some tokens that are genes are wanted.

        ``expression`` and ``token`` are those at ``tokens``, in their order; ``embedding`` is of these alone, and
        that of ``resume`` where they are all that are present. For batches whose cells all have the same tokens.
        """
        ...


@runtime_checkable
class DerivesLastBlock(Protocol):
    """A model that knows in closed form what its last block makes of vectors added at single tokens: how all features
    move all genes then costs by the places at which features fire, not by their number."""

    def token_derivatives(
        self,
        batch: CellBatch,
        x: Float[Tensor, "1 token d_model"],
        tokens: Int[Tensor, " some"],
        at: Int[Tensor, " pair"],
        vectors: Float[Tensor, "pair d_model"],
    ) -> Float[Tensor, "pair some"]:
        """Derivative of one cell's expression at ``tokens`` along each vector added at its token ``at`` to the residual
        stream ``x`` before the last block."""
        ...


@runtime_checkable
class HidesGenes(Protocol):
    """A model that can be asked for genes it does not see: those that predict expression get a masked error.

    What a caller calls ``present`` changes what the embedding is averaged over, never what the network computes.
    """

    def mask(self, batch: CellBatch, hidden: Bool[Tensor, "cell token"]) -> CellBatch:
        """The batch with the values of the tokens ``hidden`` replaced by what the model takes for unknown."""
        ...


@runtime_checkable
class ExpectsCounts(Protocol):
    """A model whose expression is that of a cell read to endless depth, and which knows what is counted at a finite
    one: errors on counts are taken of the latter."""

    def as_counted(self, batch: CellBatch, expression: Float[Tensor, "cell gene"]) -> Float[Tensor, "cell gene"]:
        """log1p of counts per ten thousand to expect at the depth of the batch's cells where their expression, at the
        batch's gene tokens, is ``expression``."""
        ...


@runtime_checkable
class PredictsShares(CellModel, Protocol):
    """A model of a cell's counts: its vector says which share of them each gene has."""

    def log_shares(self, z: Float[Tensor, "cell d_model"]) -> Float[Tensor, "cell gene"]:
        """Natural logarithm of every gene's expected share of a cell's counts; shares add up to 1."""
        ...


@runtime_checkable
class PlansPasses(Protocol):
    """A model that knows what a pass costs; others are run with a fixed number of cells."""

    def plan(self, n_genes: int, *, layer: int = 0, gradient: bool = False, free: int | None = None) -> PassPlan:
        """How many cells of ``n_genes`` measured genes fit into a pass.

        Args:
            n_genes: genes of the cells, as ``read_cells`` returns them.
            layer: the site that ``resume`` starts from, for gradients.
            gradient: whether gradients are taken through ``resume``.
            free: bytes to plan for; by default what is free where the model lies.
        """
        ...


@runtime_checkable
class MovesToDevice(Protocol):
    """A model that can be computed elsewhere than on the processor; its batches are then made there."""

    def to(self, device: torch.device) -> Any:
        """The same object, with everything it computes with on ``device``."""
        ...


@runtime_checkable
class FitsToCells(Protocol):
    """A model that takes width and genes from the cells; before ``fitted`` it is known by name alone."""

    def fitted(self, adata: AnnData) -> CellModel:
        """The model for these cells."""
        ...


@runtime_checkable
class StatesLimits(Protocol):
    """A model that knows what it cannot do with some cells."""

    def limits_on(self, adata: AnnData) -> Sequence[str]:
        """Sentences for the card among a run's results; none where there is nothing to say."""
        ...


@runtime_checkable
class Reinitialises(Protocol):
    """A model with an untrained control."""

    def reinitialised(self, seed: int) -> CellModel:
        """The same architecture and genes with fresh random weights: what training taught is not in it."""
        ...


@runtime_checkable
class ReinitialisesBlocks(Protocol):
    """A model whose blocks alone can be untrained."""

    def with_random_blocks(self, seed: int) -> CellModel:
        """The same model with fresh random weights in its blocks; what stands before and after them is kept."""
        ...


@runtime_checkable
class EmbedsGenes(Protocol):
    """A model whose tokens begin with a vector of their gene's own, whatever the cell."""

    def gene_embeddings(self) -> Float[Tensor, "gene d_model"]:
        """These vectors, in the order of the model's genes."""
        ...


@runtime_checkable
class HasWeights(Protocol):
    """A model whose weights can be told from others; those that have none are told by name and revision."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Every tensor that decides what is computed, by name."""
        ...


@runtime_checkable
class StatesReading(Protocol):
    """A model of which more than its weights decides what is computed."""

    def reads_with(self) -> Mapping[str, Any]:
        """These settings, in plain JSON values, by name."""
        ...


@runtime_checkable
class Edit(Protocol):
    """A change of the residual stream; at its neutral strength it is the identity, bit for bit."""

    def __call__(self, x: Float[Tensor, "cell token d_model"], batch: CellBatch) -> Float[Tensor, "cell token d_model"]:
        """Edited residual stream of the same shape."""
        ...
