"""The shapes that everything else speaks in: no logic beyond the invariants, checked when made.

Axis words, everywhere: cell, token, gene, feature, d_model, k, term. A *token* is a gene at its place in a model's
input; models may have tokens that are no genes (depth, mask), whose gene index is -1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.errors import ModelError


@dataclass(frozen=True)
class Site:
    """Where in a model: the residual stream after block ``layer``, counted from 0, of ``n_layers`` blocks."""

    layer: int
    n_layers: int

    def __post_init__(self):
        if not 0 <= self.layer < self.n_layers:
            last = self.n_layers - 1
            raise ModelError(
                f"layer {self.layer} does not exist: this model has layers 0 to {last}; choose one of them"
            )

    def __str__(self) -> str:
        place = self.layer + 1
        ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
        return f"block {self.layer}, the {place}{ending} of {self.n_layers}"


@dataclass(frozen=True)
class CellBatch:
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


@dataclass(frozen=True)
class CellOutput:
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


@dataclass(frozen=True)
class SparseCode:
    """Which features fire at each token, and how strongly: k of ``n_features`` a token, never densified by default.

    Tokens at which fewer than k features fire are filled up with value 0.
    """

    values: Float[Tensor, "token k"]
    features: Int[Tensor, "token k"]
    n_features: int


@runtime_checkable
class CellModel(Protocol):
    """A cell model cut in two: ``residual`` runs up to a site and stops, ``resume`` runs the rest.

    ``resume(batch, layer, residual(batch, layer))`` is the whole forward pass, bit for bit, at every layer.

    Members that a model may have besides, used where they are there:

    - ``residuals(batch, layers)``: the residual streams after several blocks from one pass, in the order asked.
    - ``fitted(adata)``: for a model that takes width and genes from the cells, the model for these cells.
    - ``reinitialised(seed)``: the same architecture with fresh random weights, the control for what training taught.
    - ``limits_on(adata)``: sentences on what it cannot do with these cells, for the card among a run's results.
    """

    name: str
    revision: str
    licence: str
    n_layers: int
    d_model: int
    gene_table: Any
    """``cellprism.cells.genes.GeneTable``: symbols, Ensembl ids, aliases; None where there is no gene list."""

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
class Edit(Protocol):
    """A change of the residual stream; at its neutral strength it is the identity, bit for bit."""

    def __call__(self, x: Float[Tensor, "cell token d_model"], batch: CellBatch) -> Float[Tensor, "cell token d_model"]:
        """Edited residual stream of the same shape."""
        ...
