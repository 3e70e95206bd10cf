"""Plots on your own axes, which they return, as ``scanpy.pl`` does: ``cp.pl``. They need the extra ``plot``."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.errors import CellsError, InputError
from cellprism.notebook import get
from cellprism.notebook.opened import OpenRun, as_run
from cellprism.notebook.slots import KEY, column_of, name_of
from cellprism.report.theme import OURS

__all__ = ["by_group", "doses", "embedding", "genes"]
COLOURS = "viridis"


def __dir__() -> list[str]:
    return __all__


def embedding(
    adata: AnnData, feature: int, *, basis: str = "X_umap", ax: Any = None, key: str = KEY, size: float | None = None
) -> Any:
    """Your own map of the cells, coloured by a feature; strong cells on top.

    Args:
        adata: cells with the slots of ``cp.tl.features``.
        feature: its number.
        basis: the map, in ``obsm``; ``umap`` stands for ``X_umap``.
        ax: where to draw; by default on axes of its own.
        key: name of the slots.
        size: area of a point, in points squared; by default the more cells, the smaller.

    Returns:
        The axes.

    Raises:
        CellsError: there is no such map, or nothing was written by ``cp.tl.features``.
    """
    name = basis if basis in adata.obsm else f"X_{basis}"
    if name not in adata.obsm:
        raise CellsError(
            "the AnnData", [f"there is no map {basis!r} in obsm; it has {', '.join(adata.obsm) or 'none'}"]
        )
    values, place = column_of(adata, feature, key), np.asarray(adata.obsm[name])
    if place.ndim != 2 or place.shape[1] < 2:
        raise CellsError("the AnnData", [f"obsm[{name!r}] has shape {place.shape}; a map has at least two columns"])
    order, ax = np.argsort(values, kind="stable"), _axes(ax)
    area = size if size is not None else float(np.clip(40_000 / max(adata.n_obs, 1), 1, 40))
    drawn = ax.scatter(*place[order, :2].T, c=values[order], s=area, cmap=COLOURS, linewidths=0, rasterized=True)
    ax.figure.colorbar(drawn, ax=ax, label="mean activation")
    ax.set(xticks=[], yticks=[], xlabel=f"{basis} 1", ylabel=f"{basis} 2")
    _name(ax, adata.uns.get(f"{key}_features"), feature)
    return ax


def by_group(adata: AnnData, feature: int, groupby: str, *, ax: Any = None, key: str = KEY) -> Any:
    """A feature in groups of cells, such as cell types: quartiles, and whiskers to the 5th and 95th percentile; groups
    by their median, strongest first. Arguments as in ``embedding``; ``groupby`` is a column of ``obs``.

    Raises:
        CellsError: there is no such column.
    """
    if groupby not in adata.obs:
        raise CellsError(
            "the AnnData",
            [f"there is no column {groupby!r} in obs; it has {', '.join(map(str, adata.obs.columns)) or 'none'}"],
        )
    values = pd.Series(column_of(adata, feature, key), index=adata.obs_names)
    groups = {str(name): part.to_numpy() for name, part in values.groupby(adata.obs[groupby], observed=True)}
    order, ax = sorted(groups, key=lambda name: float(np.median(groups[name]))), _axes(ax)
    ax.boxplot([groups[n] for n in order], orientation="horizontal", whis=(5, 95), showfliers=False, widths=0.6)
    ax.set_yticks(range(1, len(order) + 1), [f"{name} ({len(groups[name]):,})" for name in order])
    ax.set_xlabel("mean activation")
    _name(ax, adata.uns.get(f"{key}_features"), feature)
    return ax


def genes(run: OpenRun | str | Path, feature: int, n: int = 15, *, ax: Any = None) -> Any:
    """The genes at which a feature is strongest; those of its list are filled.

    Args:
        run: a run, or its folder.
        feature: its number.
        n: how many.
        ax: where to draw; by default on axes of its own.

    Returns:
        The axes.
    """
    run, ax = as_run(run), _axes(ax)
    table = get.genes(run, feature).head(n)[::-1]
    colours = [OURS if inside else "none" for inside in table["in_list"]]
    ax.barh(table.index, table["activation"], color=colours, edgecolor=OURS)
    ax.set_xlabel("mean activation at the gene")
    _name(ax, run.features, feature)
    return ax


def doses(run: OpenRun | str | Path, feature: int, *, ax: Any = None) -> Any:
    """Mean effect of a feature's strengths on its own genes, and on all others. Arguments as in ``genes``.

    Raises:
        RunError: the run did not steer this feature.
    """
    run, ax = as_run(run), _axes(ax)
    table = get.doses(run, feature)
    for inside, colour, label in ((True, OURS, "its own genes"), (False, "0.6", "other genes")):
        means = table[table["on_target"] == inside].groupby("alpha")["effect"].mean()
        ax.plot(means.index, means.to_numpy(), marker="o", color=colour, label=label)
    ax.axhline(0, color="0.8", linewidth=1, zorder=0)
    ax.axvline(1, color="0.8", linewidth=1, zorder=0)
    ax.set(xlabel="strength (1: as it is)", ylabel="change of predicted log1p(CP10k)")
    ax.legend(frameon=False)
    _name(ax, run.features, feature)
    return ax


def _axes(ax: Any) -> Any:
    """The axes given, or new ones.

    Raises:
        InputError: matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise InputError('plots need matplotlib: pip install "cellprism[plot]"') from error
    return plt.subplots(constrained_layout=True)[1]


def _name(ax: Any, features: pd.DataFrame | None, feature: int) -> None:
    """Write above the axes which feature it is, in words where they are known."""
    ax.set_title(f"feature {feature}" if features is None else name_of(features, feature), fontsize="medium")
