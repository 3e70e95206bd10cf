"""What features are compared with: raw neurons, and autoencoders that were never trained.

Notable choices

- A neuron is an axis of the residual stream. It is centred and its two tails are kept apart, as two rows,
  because an axis that is high means something else than an axis that is low.
  Departs from Yanovsky and Chernomoretz 2026: there |activation|, not centred, both signs in one.
- An untrained autoencoder shares the trained one's centring, mean and shapes; only its directions are random.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.footprint import participation_ratio
from cellprism.features.collect import check_site
from cellprism.features.source import CellTokens, Held
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.initial import random_directions
from cellprism.types import CellModel, Site


@torch.no_grad()
def neuron_genes(
    model: CellModel,
    adata: AnnData,
    layer: int,
    centre: bool = True,
    *,
    sae: SparseAutoencoder | None = None,
    batch_size: int = 32,
) -> AnnData:
    """Mean activation of each neuron's two tails at each gene, in the form of ``feature_genes``.

    Rows ``n12+`` and ``n12-`` hold the means over cells of max(x - m, 0) and max(m - x, 0) for axis 12,
    with m its mean over all tokens.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is read, from 0.
        centre: take each axis' mean off first; False: m = 0.
        sae: take this autoencoder's centre per gene off first, so that neurons and features see the same
            vectors.
        batch_size: cells per forward pass. The cells pass through the model once where their residuals fit
            into 2 GiB, else twice.

    Raises:
        ModelError: the layer does not exist, or the autoencoder does not fit the model.
        InputError: there are no cells.
    """
    site = Site(layer, model.n_layers) if sae is None else check_site(model, sae, layer)
    tokens = CellTokens(model, adata, [layer], batch_size=batch_size)
    column = torch.from_numpy(adata.var_names.get_indexer(pd.Index(model.genes)))
    mean = _mean(tokens, sae) if centre else torch.zeros(model.d_model)
    sums = _TailSums(adata.n_vars, model.d_model)
    for part in tokens.in_order():
        sums.add(_read(part, sae) - mean, column[part.gene.long().cpu()])
    recipe = {
        "table": "mean activation of neuron tails, tails x genes",
        "model": model.name,
        "layer": layer,
        "site": str(site),
        "centred": centre,
        "centring": "none" if sae is None or sae.centre is None else "group",
        "gene_filter": "none",
    }
    return sums.table(cast(pd.DataFrame, adata.var).copy(), recipe)


class _TailSums:
    """Sums over cells of both tails of every axis at every gene; columns are n0+, n0-, n1+, ..."""

    def __init__(self, n_genes: int, d_model: int):
        self.total = torch.zeros(n_genes, 2 * d_model, dtype=torch.float64)
        self.fired = torch.zeros(n_genes, 2 * d_model, dtype=torch.float64)
        self.largest = torch.zeros(n_genes, 2 * d_model)
        self.cells = torch.zeros(n_genes, dtype=torch.float64)

    def add(self, x: Float[Tensor, "token d_model"], gene: Int[Tensor, " token"]) -> None:
        tails = torch.stack([x.relu(), (-x).relu()], dim=2).flatten(1)
        self.total.index_add_(0, gene, tails.double())
        self.fired.index_add_(0, gene, (tails > 0).double())
        self.largest.scatter_reduce_(0, gene[:, None].expand_as(tails), tails, "amax")
        self.cells += torch.bincount(gene, minlength=len(self.cells))

    def table(self, var: pd.DataFrame, recipe: dict[str, Any]) -> AnnData:
        """Tails x genes, as ``neuron_genes`` describes it."""
        carriers = self.cells.clamp(min=1)[:, None]
        mean = (self.total / carriers).T.float().numpy()
        axes = np.arange(mean.shape[0] // 2)
        obs = pd.DataFrame(
            {
                "neuron": np.repeat(axes, 2),
                "firing_rate": (self.fired.sum(dim=0) / self.cells.sum()).numpy(),
                "participation_ratio": participation_ratio(mean.astype(np.float64)),
            },
            index=pd.Index([f"n{axis}{tail}" for axis in axes for tail in "+-"], name="neuron_tail"),
        )
        layers = {"max": self.largest.T.numpy(), "frac": (self.fired / carriers).T.float().numpy()}
        return AnnData(X=mean, obs=obs, var=var, layers=layers, uns={"cellprism": recipe})


def _read(part: Held, sae: SparseAutoencoder | None) -> Float[Tensor, "token d_model"]:
    x = part.x[0].float()
    return (x if sae is None else sae.centred(x, part.gene.long())).cpu()


def _mean(tokens: CellTokens, sae: SparseAutoencoder | None) -> Float[Tensor, " d_model"]:
    """Mean over all tokens."""
    total, count = torch.zeros(tokens.model.d_model, dtype=torch.float64), 0
    for part in tokens.in_order():
        total += _read(part, sae).double().sum(dim=0)
        count += len(part.gene)
    return (total / count).float()


def untrained_sae(sae: SparseAutoencoder, seed: int) -> SparseAutoencoder:
    """An autoencoder like ``sae`` that has learned nothing: random directions of norm 1, encoder tied, no
    encoder bias.

    Shapes, k, relu, the centre per group and b_dec are those of ``sae``: what it sees is the same.
    """
    directions = random_directions(sae.n_features, sae.d_model, seed).to(sae.W_dec)
    return replace(
        sae,
        W_enc=directions.T.contiguous(),
        b_enc=torch.zeros_like(sae.b_enc),
        W_dec=directions,
        firing_rate=None,
        history=None,
        metadata={**sae.metadata, "untrained": True, "seed": seed},
    )
