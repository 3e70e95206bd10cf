"""Tools that write named slots into your own AnnData, as ``scanpy.tl`` does: ``cp.tl``.

What else the AnnData has (embeddings, layers, neighbours) stays as it is. The slots are those of ``notebook.slots``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.errors import CellsError
from cellprism.notebook.opened import OpenRun, as_run
from cellprism.notebook.slots import KEY, fill

__all__ = ["features", "from_run", "steer"]


def __dir__() -> list[str]:
    return __all__


def features(
    adata: AnnData,
    run: OpenRun | str | Path,
    *,
    counts: str | None = None,
    symbols: str | None = None,
    totals: str | None = None,
    key: str = KEY,
    batch_size: int = 32,
) -> None:
    """Read your cells with a run's model and autoencoder, and write what its features do in them.

    Args:
        adata: your cells; ``obsm["X_cellprism"]``, ``uns["cellprism_features"]`` and ``uns["cellprism_recipe"]`` are
            written, nothing else changes.
        run: a run, or its folder.
        counts: which matrix holds raw counts: ``"X"`` (the default), ``"layers/NAME"`` or ``"raw"``.
        symbols: column of ``var`` with gene symbols, where the index holds something else.
        totals: column of ``obs`` with each cell's count over all genes, where the matrix holds only some of them: a
            model reads counts per ten thousand of all.
        key: name of the slots.
        batch_size: cells per forward pass.

    Raises:
        CellsError: the cells cannot be used; everything that is wrong is said at once.
        RunError: the run is not finished so far.
    """
    from cellprism.features.collect import cell_features

    run = as_run(run)
    cells = read(adata, run, counts, symbols, totals)
    table = cell_features(run.model, run.sae, cells, run.layer, batch_size)
    recipe = table.uns["cellprism"] | {"notes": cells.uns["cellprism"]["notes"]}
    fill(adata, table.X, run.features, recipe, key)


def from_run(adata: AnnData, run: OpenRun | str | Path, *, key: str = KEY) -> None:
    """Write what a run already says of these cells, found by their names; no model is run.

    Raises:
        CellsError: some cells are not among the run's.
    """
    run = as_run(run)
    held = run.cell_features
    rows = held.obs_names.get_indexer(adata.obs_names)
    if (rows < 0).any():
        absent = adata.obs_names[rows < 0]
        raise CellsError(
            "the AnnData",
            [f"{len(absent):,} of {adata.n_obs:,} cells are not among the {held.n_obs:,} of run {run.name!r}, such as "
             f"{absent[0]!r}: take the run's cells alone, or read all with cp.tl.features(adata, run)"],
        )  # fmt: skip
    activity: Any = held.X
    fill(adata, activity[rows], run.features, dict(held.uns["cellprism"]), key)


def steer(
    adata: AnnData,
    run: OpenRun | str | Path,
    strengths: Mapping[int, Any],
    *,
    counts: str | None = None,
    symbols: str | None = None,
    totals: str | None = None,
    key: str = "cellprism_steered",
    batch_size: int = 32,
) -> None:
    """Turn features up or down in your cells, and write what the model then predicts.

    Args:
        adata: your cells. Written are ``var[key]``, the mean change over cells of each gene's predicted log1p counts
            per ten thousand (missing for genes that the model does not have); ``obsm["X_" + key]`` and
            ``obsm["X_" + key + "_baseline"]``, the model's embedding of each cell with and without the edit; and
            ``uns[key]``, how it was made.
        run: a run, or its folder.
        strengths: what is done to each feature, as in ``cp.steer``: 1 does nothing, 5 makes it five times as strong.
        counts: which matrix holds raw counts.
        symbols: column of ``var`` with gene symbols, where the index holds something else.
        totals: column of ``obs`` with each cell's count over all genes, where the matrix holds only some of them: a
            model reads counts per ten thousand of all.
        key: name of the slots.
        batch_size: cells per forward pass.

    Raises:
        CellsError: the cells cannot be used.
        ConfigError: there is no such feature.
        ModelError: the model says nothing of genes.
    """
    from cellprism.steering.intervene import steer as steered

    run = as_run(run)
    cells = read(adata, run, counts, symbols, totals)
    out = steered(run.model, run.sae, cells, run.layer, strengths, batch_size=batch_size)
    change: Any = out.layers["steered"] - out.layers["baseline"]
    means = pd.Series(np.asarray(change.mean(axis=0)).ravel(), index=cells.var["names_in_data"])
    by_gene = {name: value for names, value in means.items() for name in str(names).split("|")}
    shown = adata.var_names if symbols is None else adata.var[symbols].astype(str)
    adata.var[key] = [by_gene.get(str(gene), np.nan) for gene in shown]
    adata.obsm[f"X_{key}"] = np.asarray(out.obsm["embedding_steered"])
    adata.obsm[f"X_{key}_baseline"] = np.asarray(out.obsm["embedding_baseline"])
    adata.uns[key] = {"strengths": {str(f): str(s) for f, s in strengths.items()}, "run": run.name}


def read(adata: AnnData, run: OpenRun, counts: str | None, symbols: str | None, totals: str | None) -> AnnData:
    """Your cells as the run's model reads them; yours are left as they are.

    Raises:
        CellsError: there is no such column of ``var``, or the cells cannot be used.
    """
    from cellprism.cells.read import read_cells

    if symbols is not None:
        if symbols not in adata.var:
            raise CellsError(
                "the AnnData",
                [f"there is no column {symbols!r} in var; it has {', '.join(map(str, adata.var.columns)) or 'none'}"],
            )
        renamed = pd.DataFrame(index=pd.Index(adata.var[symbols].astype(str)))
        tables: Any = {"layers": dict(adata.layers), "obsm": dict(adata.obsm)}
        adata = AnnData(adata.X, obs=cast(pd.DataFrame, adata.obs), var=renamed, **tables)
    return read_cells(adata, run.model, counts=counts, totals=totals)
