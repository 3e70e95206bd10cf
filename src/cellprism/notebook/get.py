"""Data frames from a run or from your AnnData, as ``scanpy.get`` gives them: ``cp.get``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.errors import ConfigError, RunError
from cellprism.notebook.opened import OpenRun, as_run
from cellprism.notebook.slots import KEY, activity_of

__all__ = ["activations", "cells", "doses", "features", "genes", "terms"]


def __dir__() -> list[str]:
    return __all__


def activations(adata: AnnData, features: Sequence[int] | None = None, *, key: str = KEY) -> pd.DataFrame:
    """Cells x features from the slots that ``cp.tl.features`` writes.

    Args:
        adata: your cells.
        features: which features; all by default.
        key: name of the slots.

    Raises:
        CellsError: nothing was written yet.
        ConfigError: there is no such feature.
    """
    activity: Any = activity_of(adata, key)
    chosen = list(range(activity.shape[1])) if features is None else list(features)
    if wrong := [f for f in chosen if not 0 <= f < activity.shape[1]]:
        raise ConfigError(f"there is no feature {wrong[0]}: they are numbered from 0 to {activity.shape[1] - 1}")
    columns = pd.Index(chosen, name="feature")
    return pd.DataFrame(activity[:, chosen].toarray(), index=adata.obs_names, columns=columns)


def features(run: OpenRun | str | Path, *, gene: str | None = None, term: str | None = None) -> pd.DataFrame:
    """Features of a run, one a row: all, those that have a gene in their list, or those that match a term.

    Args:
        run: a run, or its folder.
        gene: a gene's symbol; strongest place in the list first.
        term: part of a term's name, in any case; smallest q first. ``padj`` is then that of the best such term.
    """
    run = as_run(run)
    table = run.features
    if gene is not None:
        lists = run.tables["programs/lists"]
        ranks = lists[lists["gene"] == gene].set_index("feature")["rank"]
        table = table.loc[ranks.sort_values(kind="stable").index]
    if term is not None:
        found = run.tables["programs/enrichment"]
        found = found[found["term"].astype(str).str.contains(term, case=False, regex=False)]
        found = found.assign(feature=found["feature"].astype(int))
        best = found.sort_values("padj", kind="stable").drop_duplicates("feature").set_index("feature")
        best = best[best.index.isin(table.index)]
        table = table.loc[best.index].assign(term=best["term"], padj=best["padj"])
    return table


def genes(run: OpenRun | str | Path, feature: int) -> pd.DataFrame:
    """The genes of one feature, strongest first: mean and largest activation, share of cells in which it fires there,
    and whether the gene is in its list."""
    run = as_run(run)
    held: Any = run.feature_genes
    row = _row(held.n_obs, feature)
    lists = run.tables["programs/lists"]
    table = pd.DataFrame(
        {"activation": np.asarray(held.X[row]).ravel(), "largest": _dense(held.layers["max"][row]),
         "fires_in": _dense(held.layers["frac"][row])},
        index=pd.Index(held.var_names, name="gene"),
    )  # fmt: skip
    table["in_list"] = table.index.isin(lists.loc[lists["feature"] == feature, "gene"])
    return table.sort_values("activation", ascending=False, kind="stable")


def terms(run: OpenRun | str | Path, feature: int, *, most: float = 1.0) -> pd.DataFrame:
    """The gene sets that the list of one feature overlaps, smallest q first; only those with q up to ``most``."""
    found = as_run(run).tables["programs/enrichment"]
    found = found[(found["feature"].astype(int) == feature) & (found["padj"] <= most)]
    return found.sort_values(["padj", "pvalue"], kind="stable").drop(columns="feature").set_index("term")


def cells(run: OpenRun | str | Path, feature: int, n: int = 20) -> pd.DataFrame:
    """The cells in which a feature is strongest, with what is known of them."""
    held: Any = as_run(run).cell_features
    values = _dense(held.X[:, _row(held.n_vars, feature)])
    order = np.argsort(-values, kind="stable")[:n]
    return held.obs.iloc[order].assign(activation=values[order])


def doses(run: OpenRun | str | Path, feature: int) -> pd.DataFrame:
    """What the model predicts of each gene when a feature is turned up and down, as far as the run steered it.

    Raises:
        RunError: the run did not steer this feature.
    """
    run = as_run(run)
    found = [run.tables[name] for name in run.tables if name.startswith("steer/") and name.endswith("/effects")]
    mine = [table[table["feature"] == feature] for table in found if "feature" in table]
    mine = [table for table in mine if len(table)]
    if not mine:
        raise RunError(
            f"run {run.name!r} did not steer feature {feature}; `cellprism steer {run.folder} --feature {feature}` does"
        )
    return mine[0].drop(columns="feature").reset_index(drop=True)


def _row(count: int, feature: int) -> int:
    if not 0 <= feature < count:
        raise ConfigError(f"there is no feature {feature}: they are numbered from 0 to {count - 1}")
    return feature


def _dense(values: Any) -> np.ndarray:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values).ravel()
