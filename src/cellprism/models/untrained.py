"""Models that a training has taught less than the one at hand: what an autoencoder finds on them, training did not put
there.

- ``with_random_weights``: the same architecture with fresh weights, in all of it or in the blocks alone.
- ``GeneVectors``: the vectors that tell genes apart before the first block; nothing of a cell is in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import ModelError
from cellprism.types import (
    CellBatch,
    CellModel,
    CellOutput,
    EmbedsGenes,
    MovesToDevice,
    Reinitialises,
    ReinitialisesBlocks,
    Site,
)


def with_random_weights(model: CellModel, seed: int, blocks_only: bool = False) -> CellModel:
    """The same architecture with fresh random weights.

    Args:
        model: any cell model.
        seed: decides the weights.
        blocks_only: keep what stands before and after the blocks.

    Raises:
        ModelError: the model cannot do that; the message says what it lacks.
    """
    if blocks_only:
        if not isinstance(model, ReinitialisesBlocks):
            raise ModelError(f"{model.name!r} cannot draw its blocks alone anew (it has no with_random_blocks)")
        return model.with_random_blocks(seed)
    if not isinstance(model, Reinitialises):
        raise ModelError(f"{model.name!r} has no random weights to start from (it has no reinitialised)")
    return model.reinitialised(seed)


class GeneVectors:
    """A model's own vectors of genes in place of its residual stream: each token of a gene is the same in all cells.

    Raises:
        ModelError: the model has none.
    """

    n_layers = 1
    predicts: Literal["nothing"] = "nothing"
    tokens: Literal["genes"] = "genes"
    trained_at: Literal["visible"] = "visible"
    card: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, model: CellModel):
        if model.tokens != "genes":
            raise ModelError(f"{model.name!r} reads a cell as a whole, so it has no vectors of genes")
        if not isinstance(model, EmbedsGenes):
            raise ModelError(f"{model.name!r} does not tell its vectors of genes (it has no gene_embeddings)")
        self.model, self.name = model, f"{model.name}, vectors of genes"
        self.revision, self.licence = model.revision, model.licence
        self.d_model, self.gene_table = model.d_model, model.gene_table
        self._vectors = model.gene_embeddings().detach().float()

    @property
    def genes(self) -> Sequence[str]:
        """Those of the model."""
        return self.model.genes

    def state_dict(self) -> dict[str, Tensor]:
        """The vectors."""
        return {"vectors": self._vectors}

    def to(self, device: torch.device) -> "GeneVectors":
        """The same object on ``device``."""
        if isinstance(self.model, MovesToDevice):
            self.model.to(device)
        self._vectors = self._vectors.to(device)
        return self

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """Those of the model."""
        return self.model.batches(adata, size)

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """Each token's gene; zeros where a token is none. ``layer`` must be 0."""
        Site(layer, self.n_layers)
        gene: Int[Tensor, "cell token"] = batch.gene.expand(batch.values.shape)
        return torch.where((gene >= 0)[..., None], self._vectors[gene.clamp(min=0)], 0.0)

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """The mean over present tokens; nothing is predicted."""
        Site(layer, self.n_layers)
        weight = batch.present.to(x.dtype)[..., None]
        return CellOutput(None, (x * weight).sum(1) / weight.sum(1).clamp(min=1), x)
