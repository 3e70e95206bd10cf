"""Train a sparse autoencoder on a cell model's residual stream."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.features.tokens import SiteTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.centre import group_means
from cellprism.sae.config import SaeConfig
from cellprism.sae.evaluate import evaluate
from cellprism.sae.fit import Progress, fit_sae
from cellprism.store.atomic import write_json
from cellprism.store.tables import write_table
from cellprism.types import CellModel

Pair = tuple[Float[Tensor, "_ d_model"], Int[Tensor, " _"]]


def train_sae(
    model: CellModel,
    adata: AnnData,
    layer: int,
    config: SaeConfig | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Train a sparse autoencoder on the residuals after one block, at the tokens of present genes.

    With ``centring="group"`` a first pass takes the mean residual of each gene, which is then subtracted:
    what is left is how this cell differs from the average cell at this gene. Genes that no cell has get the
    mean over all tokens.

    Args:
        model: the cell model.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is read, from 0.
        config: settings; the defaults where not given.
        seed: seed of the initial directions and of the order of tokens.
        out: run folder; writes ``sae/L<layer>`` there with the weights, ``metrics.json`` and
            ``history.parquet``.
        batch_size: cells per forward pass of the model.
        progress: called after every step with the number of steps done and the step's figures (see
            ``fit_sae``).

    Returns:
        The autoencoder, with firing rates measured on all tokens, and the measures of ``evaluate`` under
        ``metadata["measures"]``.

    Raises:
        ModelError: the layer does not exist.
        ConfigError: settings that do not fit the model.
        InputError: there are no cells, or the residuals are not finite.
    """
    config = config or SaeConfig()
    tokens = SiteTokens(model, adata, layer, config.memory, batch_size)
    centre = group_means(_pairs(tokens), len(model.genes)) if config.centring == "group" else None
    n_tokens = sum(len(t.x) for t in tokens) if tokens.fits else adata.n_obs * adata.n_vars
    steps = config.epochs * -(-n_tokens // config.batch_size)
    sae = fit_sae(
        _mixed(tokens, config.batch_size, seed),
        config,
        model.d_model,
        steps,
        seed,
        centre=centre,
        metadata=_origin(model, adata, tokens, config, seed),
        progress=progress,
    )
    measures = evaluate(sae, _pairs(tokens))
    sae = replace(sae, firing_rate=measures.firing_rate, metadata={**sae.metadata, "measures": measures.summary()})
    if out is not None:
        _write(sae, Path(out) / "sae" / f"L{layer}")
    return sae


def _write(sae: SparseAutoencoder, folder: Path) -> None:
    """Weights, measures and history into a run folder."""
    sae.save(folder)
    measures = {"n_features": sae.n_features, "k": sae.k, **sae.metadata["measures"]}
    write_json(folder / "metrics.json", measures)
    assert sae.history is not None, "fit_sae keeps a history"
    write_table(folder / "history.parquet", sae.history)


def _pairs(tokens: SiteTokens) -> Iterator[Pair]:
    return ((t.x, t.gene) for t in tokens)


def _mixed(tokens: SiteTokens, batch: int, seed: int) -> Iterator[Pair]:
    """Batches mixed across cells, epoch after epoch, each in another order."""
    epoch = 0
    while True:
        order = int(np.random.default_rng([seed, epoch]).integers(2**31))
        yield from ((t.x, t.gene) for t in tokens.epoch(batch, order))
        epoch += 1


def _origin(model: CellModel, adata: AnnData, tokens: SiteTokens, config: SaeConfig, seed: int) -> dict[str, Any]:
    """What the autoencoder was trained on; the first three names are SAELens'."""
    return {
        "model_name": model.name,
        "hook_name": f"blocks.{tokens.site.layer}.hook_resid_post",
        "hook_layer": tokens.site.layer,
        "site": str(tokens.site),
        "model_revision": model.revision,
        "model_licence": model.licence,
        "cells": {"n_cells": adata.n_obs, "n_genes": adata.n_vars, **source_of(adata)},
        "seed": seed,
        "config": asdict(config),
    }


def source_of(adata: AnnData) -> dict[str, str]:
    """Where cells come from, as far as ``read_cells`` noted it: source and SHA-256."""
    noted = adata.uns.get("cellprism", {})
    return {name: str(noted[name]) for name in ("source", "sha256") if name in noted}
