"""Some cells through a model and a dictionary: each cell's mean activations, and how much of it they explain."""

from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.ratio import share
from cellprism.features.origin import target_layer
from cellprism.features.tables import CellSums
from cellprism.features.tokens.residuals import present_tokens
from cellprism.sae.autoencoder import SparseAutoencoder, centre_of
from cellprism.types import CellModel, FitsToCells, MovesToDevice

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model and an autoencoder that was trained on it, ready to encode cells."""

    model: CellModel
    sae: SparseAutoencoder
    layer: int
    cells_a_pass: int
    device: torch.device

    def block(self, cells: AnnData) -> Arrays:
        """Encode some cells.

        Args:
            cells: raw counts aligned to the model's genes.

        Returns:
            ``data``, ``indices`` and ``indptr`` of the mean activations [cell, feature] over a cell's present tokens,
            zeros included; ``tokens``, how many these are; ``error``, the squared error of the reconstruction, and
            ``about``, the squared distance from what the autoencoder takes for the mean, and ``size``, the squares
            themselves, all summed over the tokens.
        """
        model = fitted(self.model, cells, self.device)
        sums = CellSums(cells.n_obs, self.sae.n_features)
        error, about, size = torch.zeros(3, cells.n_obs, dtype=torch.float64, device=self.device)
        layers = [self.layer, *([target_layer(self.sae)] if self.sae.is_transcoder else [])]
        for x, gene, cell in present_tokens(model, cells, layers, self.cells_a_pass):
            gene, cell = gene.to(self.device), cell.to(self.device)
            goal = x[-1].to(self.device).to(self.sae.W_dec.dtype)
            group = None if self.sae.centre is None else gene
            code = self.sae.encode(x[0].to(self.device), group)
            sums.add(code, cell)
            error.index_add_(0, cell, (self.sae.decode(code, group) - goal).double().square().sum(dim=1))
            about.index_add_(0, cell, (goal - self._mean(group)).double().square().sum(dim=1))
            size.index_add_(0, cell, goal.double().square().sum(dim=1))
        mean = sums.mean()
        return {
            "data": mean.data.astype(np.float32), "indices": mean.indices.astype(np.int32),
            "indptr": mean.indptr.astype(np.int64), "tokens": sums.tokens,
            "error": error.cpu().numpy(), "about": about.cpu().numpy(), "size": size.cpu().numpy(),
        }  # fmt: skip

    def _mean(self, group: Int[Tensor, " token"] | None) -> Float[Tensor, "_ d_model"]:
        """What is rebuilt of a token without features: its gene's mean, that of all, or the decoder bias."""
        centre = self.sae.target_centre if self.sae.is_transcoder else self.sae.centre
        return self.sae.b_dec if centre is None else centre_of(centre, group)


def fitted(model: CellModel, cells: AnnData, device: torch.device) -> CellModel:
    """The model on its device; one that takes width and genes from the cells, for these."""
    model = model.fitted(cells) if isinstance(model, FitsToCells) else model
    if isinstance(model, MovesToDevice):
        model.to(device)
    return model


def explained(found: Arrays) -> Float[np.ndarray, " cell"]:
    """Share of each cell's inner state about the training's mean that its features explain; NaN where there is none."""
    return 1 - share(found["error"], found["about"], found["size"])
