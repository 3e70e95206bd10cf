"""scVI in plain torch: the mean of q(z | x) as the activation, the decoder's shares of counts as the prediction.

- Only what these two need is kept. Batch norms are folded into the linear layers before them and dropout is off, so
  encoder and decoder are chains of linear layers and ReLU. No scvi-tools is needed to load or run a model.
- What an scVI user gets is the same: ``get_latent_representation()`` and ``get_normalized_expression()`` at a library
  of 1e4, then log1p.

Source of the model: Lopez et al. 2018, Deep generative modeling for single-cell transcriptomics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellprism.cells.genes import GeneTable
from cellprism.errors import ModelError
from cellprism.models.latent.files import filled, is_kind, read_folder, save_model
from cellprism.models.latent.whole import CountsModel

KIND = "cellprism-scvi"


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

    def __init__(self, sizes: ScviSizes, gene_table: GeneTable, **about: Any):
        super().__init__(gene_table, sizes.d_model, **about)
        if len(gene_table) != sizes.n_genes:
            raise ModelError(f"the gene list has {len(gene_table)} genes but the model reads {sizes.n_genes}")
        self.sizes = sizes
        self.encoder = chain(sizes.n_genes, sizes.hidden, sizes.layers, sizes.d_model)
        self.decoder = chain(sizes.d_model, sizes.hidden, sizes.layers, sizes.n_genes)

    @classmethod
    def load(cls, path: str | Path) -> "ScviModel":
        """Load a folder that ``save`` wrote; see ``read_folder`` for its errors."""
        return load(Path(path))

    def save(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Write the model's folder; ``card`` goes with it, and the weights' checksum becomes the revision."""
        self.revision = save_model(folder, KIND, self, self.sizes, card)

    def reinitialised(self, seed: int) -> "ScviModel":
        """The same architecture and genes with fresh random weights (torch's default initialisation)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            about = {"name": f"{self.name}, untrained", "revision": f"seed {seed}", "licence": "none"}
            return ScviModel(self.sizes, self.gene_table, **about).eval().requires_grad_(False)

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
    """Load a folder that ``ScviModel.save`` wrote; see ``read_folder`` for its errors."""
    sizes, stored = read_folder(path, KIND, ScviSizes)
    model = ScviModel(sizes, stored.genes, **stored.about)
    filled(model, stored.tensors, path)
    return model


def chain(inputs: int, hidden: int, layers: int, outputs: int) -> nn.Sequential:
    """``layers`` hidden layers with ReLU after each, then a linear layer."""
    widths = [inputs, *[hidden] * layers]
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return nn.Sequential(*(part for a, b in pairs for part in (nn.Linear(a, b), nn.ReLU())), nn.Linear(hidden, outputs))
