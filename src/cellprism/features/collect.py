"""Feature x gene and cell x feature tables, streamed from a model and its autoencoder.

Notable choices

- One pass over the cells gives all tables and the variance shares (``survey``); ``feature_genes`` and
  ``cell_features`` are parts of it.
- Means are over the cells that carry a gene, silent ones included. For models that read every gene of every
  cell that is all cells.
- The result does not depend on the number of cells per forward pass or on their order, beyond rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellprism.equations.footprint import participation_ratio
from cellprism.equations.variance import VarianceShares, group_squares, two_way_shares
from cellprism.errors import ModelError
from cellprism.features.tables import CellSums, GeneSums
from cellprism.features.tokens import residual_tokens
from cellprism.features.train import source_of
from cellprism.features.variance import ResidualSums
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import CellModel, Site, SparseCode


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over the cells says of an autoencoder's features."""

    genes: AnnData
    """Features x genes, see ``feature_genes``."""
    cells: AnnData
    """Cells x features, see ``cell_features``."""
    residual: dict[str, float]
    """Shares of the residuals' variance: gene, cell, gene_by_cell."""


@torch.no_grad()
def survey(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Survey:
    """Feature x gene table, cell x feature table and variance shares in one pass over the cells.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is read, from 0.
        batch_size: cells per forward pass.
        progress: called after every forward pass with the number of cells done.

    Raises:
        ModelError: the layer does not exist, or the autoencoder has another width than the model.
        InputError: there are no cells.
    """
    site = check_site(model, sae, layer)
    column = torch.from_numpy(adata.var_names.get_indexer(pd.Index(model.genes)))
    by_gene = GeneSums(sae.n_features, adata.n_vars)
    by_cell = CellSums(adata.n_obs, sae.n_features)
    residual = ResidualSums(adata.n_vars, adata.n_obs, model.d_model)
    for x, gene, cell in residual_tokens(model, adata, layer, batch_size):
        code = sae.encode(x, None if sae.centre is None else gene)
        code = SparseCode(code.values.cpu(), code.features.cpu(), code.n_features)
        place, cell = column[gene.cpu()], cell.cpu()
        assert int(place.min()) >= 0, "present genes are columns of the AnnData"
        by_gene.add(code, place)
        by_cell.add(code, cell)
        residual.add(x, place, cell)
        if progress is not None:
            progress(int(cell.max()) + 1)
    recipe = recipe_of(model, sae, adata, site)
    shares = two_way_shares(
        int(by_gene.cells.sum()),
        by_gene.total.sum(axis=1),
        by_gene.squares,
        group_squares(by_gene.total.T, by_gene.cells),
        by_cell.squares(),
    )
    genes = _gene_table(by_gene, shares, adata, recipe | {"table": "mean activation, features x genes"})
    cells = AnnData(
        X=by_cell.mean(),
        obs=cast(pd.DataFrame, adata.obs).copy(),
        var=cast(pd.DataFrame, genes.obs).copy(),
        uns={"cellprism": recipe | {"table": "mean activation over present genes, cells x features"}},
    )
    return Survey(genes, cells, residual.shares())


def feature_genes(
    model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int = 32
) -> AnnData:
    """Mean activation of each feature at each gene.

    Returns:
        AnnData, features x genes. ``X`` is the mean over the cells that carry the gene, zeros included; layer
        ``max`` the largest activation, layer ``frac`` the share of cells in which the feature fires there.
        obs: ``firing_rate`` (share of tokens), ``participation_ratio``, ``n_genes`` (genes at which it ever
        fires), and how its variance splits: ``gene_share`` (between genes), ``cell_share`` (between cells),
        ``state_share`` (all but gene_share); NaN for features that never fire. var is that of ``adata``.
        ``uns["cellprism"]`` is the recipe.

    Arguments and errors are those of ``survey``, which gives both tables in one pass.
    """
    return survey(model, sae, adata, layer, batch_size).genes


def cell_features(
    model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int = 32
) -> AnnData:
    """Mean activation of each feature in each cell.

    Returns:
        AnnData, cells x features: ``X`` (sparse) is the mean over the cell's present genes, zeros included.
        obs is that of ``adata``; var holds what ``feature_genes`` has in obs.

    Arguments and errors are those of ``survey``, which gives both tables in one pass.
    """
    return survey(model, sae, adata, layer, batch_size).cells


def check_site(model: CellModel, sae: SparseAutoencoder, layer: int) -> Site:
    """The site, if the model has it and the autoencoder fits it.

    Raises:
        ModelError: no such layer, or an autoencoder of another width or for another gene list.
    """
    site = Site(layer, model.n_layers)
    if sae.d_model != model.d_model:
        raise ModelError(
            f"the autoencoder reads {sae.d_model} dimensions but {model.name!r} has {model.d_model}; "
            "use the autoencoder that was trained on this model"
        )
    if sae.centre is not None and len(sae.centre) != len(model.genes):
        raise ModelError(
            f"the autoencoder is centred on {len(sae.centre)} genes but {model.name!r} has "
            f"{len(model.genes)}; use the autoencoder that was trained on this model"
        )
    return site


def recipe_of(model: CellModel, sae: SparseAutoencoder, adata: AnnData, site: Site) -> dict[str, Any]:
    """How a table was made, in values that an h5ad file can hold."""
    return {
        "model": model.name,
        "revision": model.revision,
        "licence": model.licence,
        "layer": site.layer,
        "site": str(site),
        "sae": {"architecture": "topk", "k": sae.k, "n_features": sae.n_features, "relu": sae.relu},
        "centring": "none" if sae.centre is None else "group",
        "gene_filter": "none",
        "cells": {"n_cells": adata.n_obs, **source_of(adata)},
    }


def _gene_table(sums: GeneSums, shares: VarianceShares, adata: AnnData, recipe: dict[str, Any]) -> AnnData:
    mean = sums.mean()
    obs = pd.DataFrame(
        {
            "firing_rate": sums.fired.sum(axis=1) / sums.cells.sum(),
            "participation_ratio": participation_ratio(mean.astype(np.float64)),
            "n_genes": (sums.fired > 0).sum(axis=1),
            "gene_share": shares.gene,
            "cell_share": shares.cell,
            "state_share": shares.state,
        },
        index=pd.Index([str(i) for i in range(len(mean))], name="feature"),
    )
    return AnnData(
        X=mean,
        obs=obs,
        var=cast(pd.DataFrame, adata.var).copy(),
        layers={"max": sums.largest(), "frac": sums.frequency()},
        uns={"cellprism": recipe},
    )
