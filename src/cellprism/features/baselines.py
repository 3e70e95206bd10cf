"""What features are compared with: raw neurons, and autoencoders that were never trained.

Notable choices

- A neuron is an axis of the residual stream. It is centred and its two tails are kept apart, as two rows,
  because an axis that is high means something else than an axis that is low.
  Departs from Yanovsky and Chernomoretz 2026: there |activation|, not centred, both signs in one.
- An untrained autoencoder shares the trained one's centring, mean and shapes; only its directions are random.
  Thresholds mean nothing to random directions: where the trained one has them, it keeps as many features a token as
  the trained one does on average.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.equations.footprint import participation_ratio
from cellprism.errors import ConfigError
from cellprism.features.association import association_of, in_blocks
from cellprism.features.collect import BY_ACTIVATION, BY_ASSOCIATION, centring_of, expressed
from cellprism.features.origin import check_site, forced_past
from cellprism.features.tokens.cell_tokens import CellTokens, tokens_at
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
    tokens: CellTokens | None = None,
    force: bool = False,
) -> AnnData:
    """Mean activation of each neuron's two tails at each gene, in the form of ``feature_genes``.

    Rows ``n12+`` and ``n12-`` hold the means over cells of max(x - m, 0) and max(m - x, 0) for axis 12,
    with m its mean over all tokens. For a model that reads a cell as a whole they hold the tails' association with
    expression, as its features' do.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is read, from 0.
        centre: take each axis' mean off first; False: m = 0.
        sae: take this autoencoder's centre per gene off first, so that neurons and features see the same
            vectors.
        batch_size: cells per forward pass. The cells pass through the model once where their residuals fit
            into 2 GiB, else twice.
        tokens: the cells' tokens at this layer, where several tables are made from them.
        force: take an autoencoder that was trained on another model, layer or order of genes.

    Raises:
        ModelError: the layer does not exist, or the autoencoder does not fit the model.
        InputError: there are no cells.
    """
    site = Site(layer, model.n_layers) if sae is None else check_site(model, sae, layer, force)
    tokens = CellTokens(model, adata, [layer], batch_size=batch_size) if tokens is None else tokens
    mean = _mean(_axis_values(model, adata, layer, tokens, sae)) if centre else torch.zeros(model.d_model)
    recipe = {
        "model": model.name,
        "layer": layer,
        "site": str(site),
        "centred": centre,
        "centring": centring_of(sae),
        "forced": "" if sae is None else forced_past(model, sae, layer),
        "gene_filter": "none",
    }
    if model.tokens != "genes":
        values = _axis_values(model, adata, layer, tokens, sae)
        tails = (_tails(x - mean.to(x.device)).cpu().numpy() for x, _ in values)
        recipe |= {"tokens": "cells", "table": BY_ASSOCIATION}
        table = association_of(in_blocks(tails, adata.n_obs), adata, _names(model.d_model), recipe)
        table.obs["neuron"] = _axes(model.d_model)
        return table
    column = torch.from_numpy(adata.var_names.get_indexer(pd.Index(model.genes)))
    sums: _TailSums | None = None
    for x, gene in _axis_values(model, adata, layer, tokens, sae):
        sums = _TailSums(adata.n_vars, model.d_model, x.device) if sums is None else sums
        sums.add(x - mean.to(x.device), column.to(x.device)[gene])
    assert sums is not None, "no cells are refused"
    return sums.table(adata, recipe | {"tokens": "genes", "table": BY_ACTIVATION})


def _tails(x: Float[Tensor, "token d_model"]) -> Float[Tensor, "token tail"]:
    """Both tails of every axis: n0+, n0-, n1+, ..."""
    return torch.stack([x.relu(), (-x).relu()], dim=2).flatten(1)


def _names(d_model: int) -> pd.Index:
    return pd.Index([f"n{axis}{tail}" for axis in range(d_model) for tail in "+-"], name="neuron_tail")


def _axes(d_model: int) -> Int[np.ndarray, " tail"]:
    return np.repeat(np.arange(d_model), 2)


class _TailSums:
    """Sums over cells of both tails of every axis at every gene; columns are n0+, n0-, n1+, ..."""

    def __init__(self, n_genes: int, d_model: int, device: torch.device):
        self.total = torch.zeros(n_genes, 2 * d_model, dtype=torch.float64, device=device)
        self.fired = torch.zeros_like(self.total)
        self.largest = torch.zeros(n_genes, 2 * d_model, device=device)
        self.cells = torch.zeros(n_genes, dtype=torch.float64, device=device)

    def add(self, x: Float[Tensor, "token d_model"], gene: Int[Tensor, " token"]) -> None:
        tails = _tails(x)
        self.total.index_add_(0, gene, tails.double())
        self.fired.index_add_(0, gene, (tails > 0).double())
        self.largest.scatter_reduce_(0, gene[:, None].expand_as(tails), tails, "amax")
        self.cells.index_add_(0, gene, torch.ones_like(gene, dtype=self.cells.dtype))

    def table(self, adata: AnnData, recipe: dict[str, Any]) -> AnnData:
        """Tails x genes, as ``neuron_genes`` describes it."""
        total, fired, largest, cells = (t.cpu() for t in (self.total, self.fired, self.largest, self.cells))
        expressing = cells.clamp(min=1)[:, None]
        enough = expressed(cells.long().numpy(), adata.n_obs)
        mean = np.where(enough, (total / expressing).T.float().numpy(), np.float32(0))
        obs = pd.DataFrame(
            {
                "neuron": _axes(len(mean) // 2),
                "firing_rate": (fired.sum(dim=0) / cells.sum()).numpy(),
                "participation_ratio": participation_ratio(mean.astype(np.float64)),
            },
            index=_names(len(mean) // 2),
        )
        layers = {"max": largest.T.numpy(), "frac": (fired / expressing).T.float().numpy()}
        var = pd.DataFrame(adata.var).assign(n_cells=cells.long().numpy(), expressed=enough)
        return AnnData(X=mean, obs=obs, var=var, layers=layers, uns={"cellprism": recipe})


def _axis_values(
    model: CellModel, adata: AnnData, layer: int, tokens: CellTokens, sae: SparseAutoencoder | None
) -> Iterator[tuple[Float[Tensor, "token d_model"], Int[Tensor, " token"]]]:
    """Residuals without the autoencoder's centre, where there is one, and the gene of each; where they are kept."""
    for held in tokens_at(model, adata, [layer], shared=tokens):
        x, gene = held.x[0].float(), held.gene.long()
        if sae is not None:
            x, gene = x.to(sae.W_dec.device), gene.to(sae.W_dec.device)
            x = sae.centred(x, gene)
        yield x, gene


def _mean(values: Iterable[tuple[Float[Tensor, "_ d_model"], Int[Tensor, " _"]]]) -> Float[Tensor, " d_model"]:
    """Mean over all tokens."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for x, gene in values:
        total = total.to(x.device) + x.double().sum(dim=0)
        count += len(gene)
    return (total / count).float()


def untrained_sae(sae: SparseAutoencoder, seed: int) -> SparseAutoencoder:
    """An autoencoder like ``sae`` that has learned nothing: random directions of norm 1, encoder tied, no
    encoder bias.

    Shapes, k, relu, the centre per group and b_dec are those of ``sae``: what it sees is the same. One that selects by
    a threshold is matched by one that keeps the k largest, k being its mean number of firing features a token, rounded.

    Raises:
        ConfigError: the autoencoder selects by a threshold, and how often its features fire was never measured.
    """
    directions = random_directions(sae.n_features, sae.d_model, seed).to(sae.W_enc)
    written = directions if not sae.is_transcoder else random_directions(*sae.W_dec.shape, seed=seed + 1).to(sae.W_dec)
    return replace(
        sae,
        W_enc=directions.T.contiguous(),
        b_enc=torch.zeros_like(sae.b_enc),
        W_dec=written,
        k=features_a_token(sae),
        threshold=None,
        slope=None,
        shift=None,
        architecture="topk",
        firing_rate=None,
        history=None,
        metadata={**sae.metadata, "untrained": True, "seed": seed},
    )


def features_a_token(sae: SparseAutoencoder) -> int:
    """How many features fire at a token: k, or the mean number where it is not fixed, rounded.

    Raises:
        ConfigError: the autoencoder selects by a threshold, and how often its features fire was never measured.
    """
    if sae.k is not None:
        return sae.k
    if sae.firing_rate is None:
        raise ConfigError(
            f"this {sae.architecture} autoencoder selects by a threshold, and how often its features fire was not "
            "measured, so no untrained one can be as sparse; give it the firing_rate that evaluate measures"
        )
    return min(max(1, round(float(sae.firing_rate.double().sum()))), sae.n_features)
