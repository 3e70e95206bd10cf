"""What models that read a cell as a whole have in common: one token a cell, one site, all genes predicted at once.

- The token is present and is no gene; what the model reads is in ``CellBatch.inputs``.
- Inputs of the models that read counts are the counts of all their genes, -1 at genes that the data did not measure:
  an encoder has to take them for zeros, a decoder alone can leave them out.
- Predicted expression is per ten thousand counts in the model's genes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal, TypeVar

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor, nn

from cellprism.cells.columns import columns_of, refuse_empty
from cellprism.cells.genes import GeneTable
from cellprism.errors import ModelError
from cellprism.models.shown import ShownModel
from cellprism.types import CellBatch, CellOutput, Site

NOT_MEASURED = -1.0

Kind = TypeVar("Kind", bound="CountsModel")


def as_one_token(inputs: Float[Tensor, "cell input"], start: int) -> CellBatch:
    """A batch of whole cells, the first of which is row ``start`` of the AnnData."""
    n = len(inputs)
    return CellBatch(
        values=inputs.new_zeros(n, 1),
        gene=torch.full((1,), -1, device=inputs.device),
        present=torch.ones(n, 1, dtype=torch.bool, device=inputs.device),
        cell=torch.arange(start, start + n, device=inputs.device),
        inputs=inputs,
    )


def vectors_of(batch: CellBatch, width: int, name: str) -> Float[Tensor, "cell input"]:
    """What the cells of a batch are read from.

    Raises:
        ModelError: the batch has no inputs, or inputs of another width.
    """
    if batch.inputs is None or batch.inputs.shape[1] != width:
        found = "none" if batch.inputs is None else f"{batch.inputs.shape[1]} a cell"
        raise ModelError(f"{name} reads {width} inputs a cell, found {found}; make batches with model.batches(cells)")
    return batch.inputs


class CountsModel(ShownModel, nn.Module, ABC):
    """A model with one vector a cell and a decoder to each gene's share of the cell's counts.

    Subclasses build their layers from ``sizes``, and give ``encode`` and ``log_shares``.
    """

    n_layers = 1
    tokens: Literal["cells"] = "cells"
    predicts: Literal["expression"] = "expression"
    trained_at: Literal["visible"] = "visible"

    def __init__(
        self,
        sizes: Any,
        gene_table: GeneTable,
        *,
        name: str = "unnamed",
        revision: str = "local",
        licence: str = "unknown",
        card: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if len(gene_table) != sizes.n_genes:
            raise ModelError(f"the gene list has {len(gene_table)} genes but the model has {sizes.n_genes}; "
                             "pass the list that it was trained with")  # fmt: skip
        self.sizes, self.d_model = sizes, sizes.d_model
        self.gene_table, self.genes = gene_table, gene_table.symbol
        self.name, self.revision, self.licence = name, revision, licence
        self.card = dict(card or {})

    def reads_with(self) -> dict[str, Any]:
        """Sizes, and how vectors are searched for."""
        return asdict(self.sizes)

    @abstractmethod
    def encode(self, counts: Float[Tensor, "cell gene"]) -> Float[Tensor, "cell d_model"]:
        """Each cell's vector, from counts (-1: not measured); no cell depends on the others."""

    @abstractmethod
    def log_shares(self, z: Float[Tensor, "cell d_model"]) -> Float[Tensor, "cell gene"]:
        """Natural logarithm of each gene's expected share of a cell's counts; shares add up to 1."""

    @classmethod
    def random(cls: type[Kind], sizes: Any, gene_table: GeneTable, seed: int, **about: Any) -> Kind:
        """A model with random weights (torch's default initialisation); nobody else's random numbers change."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(sizes, gene_table, **about).eval().requires_grad_(False)

    def reinitialised(self: Kind, seed: int) -> Kind:
        """The same architecture and genes with fresh random weights: the control for what training has taught."""
        about = {"name": f"{self.name}, untrained", "revision": f"seed {seed}", "licence": "none"}
        return self.random(self.sizes, self.gene_table, seed, **about)

    @property
    def device(self) -> torch.device:
        """Where the parameters lie, and everything is computed."""
        return next(self.parameters()).device

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """Cut cells with raw counts into batches; columns must be genes of the model (``read_cells`` sees to it).

        Raises:
            CellsError: a column is no gene of this model, or a cell has no counts at all.
        """
        columns = torch.from_numpy(columns_of(adata, self.gene_table, self.name))
        counts = sp.csr_matrix(adata.X)
        refuse_empty(np.asarray(counts.sum(axis=1)).ravel())
        device = self.device
        for start in range(0, adata.n_obs, size):
            dense = torch.from_numpy(counts[start : start + size].toarray().astype(np.float32))
            inputs = torch.full((len(dense), len(self.genes)), NOT_MEASURED)
            inputs[:, columns] = dense
            yield as_one_token(inputs, start).to(device)

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """Each cell's vector, as its one token; ``layer`` must be 0."""
        Site(layer, self.n_layers)
        return self.encode(vectors_of(batch, len(self.genes), self.name))[:, None]

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """log1p of the expected counts per ten thousand of every gene of the model; the embedding is ``x`` itself."""
        Site(layer, self.n_layers)
        z = x[:, 0]
        return CellOutput(torch.log1p(1e4 * self.log_shares(z).exp()), embedding=z, token=x)
