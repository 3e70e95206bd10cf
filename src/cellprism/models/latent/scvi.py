"""scVI in plain torch: the mean of q(z | x) as the activation, the decoder's shares of counts as the prediction.

- Only what these two need is kept. Batch norms are folded into the linear layers before them and dropout is off, so
  encoder and decoder are chains of linear layers and ReLU. No scvi-tools is needed to load or run a model.
- What an scVI user gets is the same: ``get_latent_representation()`` and ``get_normalized_expression()`` at a library
  of 1e4, then log1p.

Source of the model: Lopez et al. 2018, Deep generative modeling for single-cell transcriptomics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellprism.cells.genes import GeneTable
from cellprism.models.latent.counts_model import CountsModel
from cellprism.models.latent.files import filled, is_kind, read_folder, write_folder

KIND = "cellprism-scvi"
LOOKS_FOR = f"a folder whose config.json says model_type {KIND}"
TOKENS = "cells"


@dataclass(frozen=True)
class ScviSizes:
    """Sizes of an scVI model."""

    n_genes: int
    """Genes in the model's list."""
    d_model: int
    """Latent dimensions."""
    hidden: int
    """Width of the hidden layers."""
    layers: int
    """Hidden layers of the encoder, and of the decoder."""


class ScviModel(CountsModel):
    """A trained scVI behind the ``CellModel`` protocol."""

    family = "scvi"

    def __init__(self, sizes: ScviSizes, gene_table: GeneTable, **about: Any):
        super().__init__(sizes, gene_table, **about)
        self.encoder = chain(sizes.n_genes, sizes.hidden, sizes.layers, sizes.d_model)
        self.decoder = chain(sizes.d_model, sizes.hidden, sizes.layers, sizes.n_genes)

    def encode(self, counts: Float[Tensor, "cell gene"]) -> Float[Tensor, "cell d_model"]:
        """Mean of q(z | x), x being log1p of the counts; genes that were not measured count as zeros."""
        return self.encoder(torch.log1p(counts.clamp(min=0)))

    def log_shares(self, z: Float[Tensor, "cell d_model"]) -> Float[Tensor, "cell gene"]:
        """Log of scVI's ``px_scale``: a softmax over the model's genes."""
        return torch.log_softmax(self.decoder(z), dim=-1)


def recognises(path: Path) -> bool:
    """Whether ``path`` is a folder of this family."""
    return is_kind(path, KIND)


def load(path: Path) -> ScviModel:
    """Load a folder that ``save`` wrote; see ``read_folder`` for its errors."""
    sizes, stored = read_folder(path, KIND, ScviSizes)
    model = ScviModel.random(sizes, stored.genes, 0, **stored.about)
    filled(model, stored.tensors, path)
    return model


def save(model: ScviModel, folder: Path, card: Mapping[str, Any]) -> None:
    """Write the model's folder; ``card`` goes with it, and the weights' checksum becomes the revision."""
    write_folder(folder, KIND, model, card)


def chain(inputs: int, hidden: int, layers: int, outputs: int) -> nn.Sequential:
    """``layers`` hidden layers with ReLU after each, then a linear layer."""
    widths = pairwise([inputs, *[hidden] * layers])
    parts = [part for a, b in widths for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*parts, nn.Linear(hidden, outputs))
