"""Feature x gene and cell x feature tables, streamed from a model and its autoencoder.

Notable choices

- One pass over the cells gives all tables and the variance shares (``feature_statistics``); ``feature_genes`` and
  ``cell_features`` are parts of it.
- Means are over a gene's expressing cells, those in which it has a token: all cells for models that read every gene of
  every cell. Cells in which the feature is silent there count as well. The mean over few expressing cells is mostly
  noise and would head every list, so genes with fewer than ``FEWEST_EXPRESSING`` of them are left out.
- Models that read a cell as a whole have no token a gene: see ``features.association``.
- The result does not depend on the number of cells per forward pass or on their order, beyond rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Bool, Int

from cellprism.equations.footprint import participation_ratio
from cellprism.equations.variance import group_squares, two_way_shares
from cellprism.features.association import association_table
from cellprism.features.origin import check_site, forced_past
from cellprism.features.tables import CellSums, GeneSums
from cellprism.features.tokens.cell_tokens import CellTokens, tokens_at
from cellprism.features.train import source_of
from cellprism.features.variance import ResidualSums
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import CellModel, Site

FEWEST_EXPRESSING = 5
"""Genes with fewer cells (where there are as many) are in no list; see ``expressed``."""
BY_ACTIVATION = "mean activation, features x genes"
BY_ASSOCIATION = "association of activation with expression over cells, in standard deviations, features x genes"


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """What one pass over the cells says of an autoencoder's features."""

    genes: AnnData
    """Features x genes, see ``feature_genes``."""
    cells: AnnData
    """Cells x features, see ``cell_features``."""
    residual: dict[str, float]
    """Shares of the residuals' variance: gene, cell, gene_by_cell; empty for a model that reads a cell as a whole."""


@torch.no_grad()
def feature_statistics(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
    tokens: CellTokens | None = None,
    force: bool = False,
) -> FeatureStatistics:
    """Feature x gene table, cell x feature table and variance shares in one pass over the cells.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is read, from 0.
        batch_size: cells per forward pass.
        progress: called after every forward pass with the number of cells done.
        tokens: the cells' tokens at this layer (``CellTokens``), where several tables are made from them; the model
            runs once for all where they fit into memory.
        force: use an autoencoder that was trained on another model, layer or order of genes.

    Raises:
        ModelError: the layer does not exist, or the autoencoder has another width or was trained on something else.
        InputError: there are no cells.
    """
    recipe = recipe_of(model, sae, adata, check_site(model, sae, layer, force))
    by_cell = CellSums(adata.n_obs, sae.n_features)
    by_gene = residual = None
    device = sae.W_dec.device
    if model.tokens == "genes":
        by_gene = GeneSums(sae.n_features, adata.n_vars, device)
        residual = ResidualSums(adata.n_vars, adata.n_obs, model.d_model, device)
        column = torch.from_numpy(adata.var_names.get_indexer(pd.Index(model.genes))).to(device)
    for held in tokens_at(model, adata, [layer], batch_size, tokens):
        x, gene, cell = held.x[0].to(device), held.gene.long().to(device), held.cell.long().to(device)
        code = sae.encode(x, None if sae.centre is None else gene)
        by_cell.add(code, cell)
        if by_gene is not None and residual is not None:
            place = column[gene]
            assert int(place.min()) >= 0, "present genes are columns of the AnnData"
            by_gene.add(code, place)
            residual.add(x, place, cell)
        if progress is not None:
            progress(int(cell.max()) + 1)
    genes = _gene_table(by_gene, by_cell, adata, recipe)
    over = "present genes" if by_gene is not None else "the cell's one token"
    cells = AnnData(
        X=by_cell.mean(),
        obs=cast(pd.DataFrame, adata.obs).copy(),
        var=cast(pd.DataFrame, genes.obs).copy(),
        uns={"cellprism": recipe | {"tokens": genes.uns["cellprism"]["tokens"],
                                    "table": f"mean activation over {over}, cells x features"}},
    )  # fmt: skip
    return FeatureStatistics(genes, cells, {} if residual is None else residual.shares())


def feature_genes(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int = 32,
    tokens: CellTokens | None = None,
    force: bool = False,
) -> AnnData:
    """How strongly each feature belongs to each gene: its mean activation there.

    For a model that reads a cell as a whole it is the association of the cells' activations with their own expression
    instead, and ``uns["cellprism"]["tokens"]`` is ``cells``: see ``features.association.association_table``.

    Returns:
        AnnData, features x genes. ``X`` is the mean over the cells that express the gene, zeros included, and 0 for
        genes that are not ``expressed``; layer ``max`` the largest activation, layer ``frac`` the share of expressing
        cells in which the feature fires there. obs: ``firing_rate`` (share of tokens), ``participation_ratio``,
        ``n_genes`` (genes at which it ever fires), and how its variance splits: ``gene_share`` (between genes),
        ``cell_share`` (between cells), ``state_share`` (all but gene_share); NaN for features that never fire and where
        tokens are no genes. var is that of ``adata``, with ``n_cells`` (expressing cells) and ``expressed`` (whether
        there are enough of them for lists). ``uns["cellprism"]`` is the recipe; its ``gene_share_by_chance`` is what
        genes would explain of values dealt to the tokens at random, (genes - 1) / (tokens - 1).

    Arguments and errors are those of ``feature_statistics``, which gives both tables in one pass.

    >>> import cellprism as cp
    >>> model = cp.load_model("pbmc2")
    >>> cells = cp.read_cells("bundled:pbmc68k", model=model)[:20].copy()
    >>> config = cp.SaeConfig(k=4, centring="group", epochs=1)
    >>> sae = cp.train_sae(model, cells, layer=1, config=config)
    >>> table = cp.feature_genes(model, sae, cells, layer=1)
    >>> table.shape, sorted(table.layers)
    ((512, 765), ['frac', 'max'])
    """
    return feature_statistics(model, sae, adata, layer, batch_size, tokens=tokens, force=force).genes


def cell_features(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int = 32,
    force: bool = False,
) -> AnnData:
    """Mean activation of each feature in each cell.

    Returns:
        AnnData, cells x features: ``X`` (sparse) is the mean over the cell's present genes, zeros included.
        obs is that of ``adata``; var holds what ``feature_genes`` has in obs.

    Arguments and errors are those of ``feature_statistics``, which gives both tables in one pass.
    """
    return feature_statistics(model, sae, adata, layer, batch_size, force=force).cells


def expressed(cells: Int[np.ndarray, " gene"], n_cells: int) -> Bool[np.ndarray, " gene"]:
    """Genes that enough cells express to speak of: ``FEWEST_EXPRESSING``, or all of fewer cells."""
    return cells >= min(FEWEST_EXPRESSING, n_cells)


def recipe_of(model: CellModel, sae: SparseAutoencoder, adata: AnnData, site: Site) -> dict[str, Any]:
    """How a table was made, in values that an h5ad file can hold; ``forced`` says what was gone past by force."""
    selects = {"k": sae.k} if sae.threshold is None else {"mean_threshold": float(sae.threshold.mean())}
    return {
        "model": model.name,
        "revision": model.revision,
        "licence": model.licence,
        "layer": site.layer,
        "site": str(site),
        "sae": {"architecture": sae.architecture, **selects, "n_features": sae.n_features, "relu": sae.relu},
        "centring": centring_of(sae),
        "forced": forced_past(model, sae, site.layer),
        "gene_filter": "none",
        "cells": {"n_cells": adata.n_obs, **source_of(adata)},
    }


def centring_of(sae: SparseAutoencoder | None) -> str:
    """What is taken off before encoding: ``none``, the ``global`` mean, or each ``group``'s (gene's) own."""
    if sae is None or sae.centre is None:
        return "none"
    return "global" if len(sae.centre) == 1 else "group"


def _gene_table(sums: GeneSums | None, by_cell: CellSums, adata: AnnData, recipe: dict[str, Any]) -> AnnData:
    names = pd.Index([str(i) for i in range(by_cell.shape[1])], name="feature")
    if sums is None:
        table = association_table(by_cell.total, adata, names, recipe | {"tokens": "cells", "table": BY_ASSOCIATION})
        table.obs[["gene_share", "cell_share", "state_share"]] = np.nan
        return table
    tokens = int(sums.cells.sum())
    shares = two_way_shares(
        tokens, sums.total.sum(axis=1), sums.squares, group_squares(sums.total.T, sums.cells), by_cell.squares()
    )
    enough = expressed(sums.cells, adata.n_obs)
    mean = np.where(enough, sums.mean(), np.float32(0))
    obs = pd.DataFrame(
        {
            "firing_rate": sums.fired.sum(axis=1) / tokens,
            "participation_ratio": participation_ratio(mean.astype(np.float64)),
            "n_genes": (sums.fired > 0).sum(axis=1),
            "gene_share": shares.gene,
            "cell_share": shares.cell,
            "state_share": shares.state,
        },
        index=names,
    )
    by_chance = (int((sums.cells > 0).sum()) - 1) / max(tokens - 1, 1)
    return AnnData(
        X=mean,
        obs=obs,
        var=pd.DataFrame(adata.var).assign(n_cells=sums.cells, expressed=enough),
        layers={"max": sums.largest(), "frac": sums.frequency()},
        uns={"cellprism": recipe | {"tokens": "genes", "table": BY_ACTIVATION, "gene_share_by_chance": by_chance}},
    )
