"""The front, and the angle between the two objectives' gradients."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas
from cellprism.report.frames import flags, numbers, ordered, texts, where
from cellprism.studies.pareto.tables import SUMMARY, Summary

FILES = ("pareto/front.parquet", f"pareto/{SUMMARY}")
LEFT_IN, TAKEN_OUT = "left in", "taken out"
COMMON = {LEFT_IN: ("common mode left in", theme.OURS, "circle"),
          TAKEN_OUT: ("common mode taken out", theme.OPPOSITE, "diamond")}  # fmt: skip
CHOSEN = {
    "latent": ("for the inner state alone", theme.OURS, "circle"),
    "both": ("small, for both", "#1a9070", "square"),
    "expression": ("for expression alone", theme.OPPOSITE, "diamond"),
}
PUBLISHED = {"place": "final", "pooling": "all genes"}


def front_figure(summary: Summary, rows: pd.DataFrame) -> Figure:
    """Gains of every recipe on test cells, the front of each unit and the recipes chosen."""
    units = list(dict.fromkeys(rows["unit"]))
    first = units[0]
    own = where(rows, rows["unit"] == first)
    traces = [_dots(own)]
    for unit in units:
        some = where(rows, (rows["unit"] == unit) & flags(rows, "on_front"))
        traces.append(_line(ordered(some, "validation_latent_gain"), unit, unit == first))
    said = []
    for kind, (words, colour, symbol) in CHOSEN.items():
        row = next((r for r in own.to_dict("records") if kind in str(r["chosen"]).split(", ")), None)
        if row is None:
            continue
        traces.append(_chosen(row, words, colour, symbol))
        said.append((words, *(f"{row[c]:.2f}".replace("-", "−") for c in ("latent_gain", "expression_gain")),
                     f"{row['features']:.0f}", f"{row['norm']:.2f}", f"{row['weight']:.2f}"))  # fmt: skip
    low = [min(-0.1, float(np.nanmin(numbers(own, c)))) for c in ("latent_gain", "expression_gain")]
    words = "; ".join(f"{s[0]} {s[1]} and {s[2]} with {s[3]} features" for s in said)
    return Figure(
        "pareto-front",
        f"Gain in the inner state and in expression: {words}",
        canvas(
            traces,
            xaxis={"title": {"text": "gain in the inner state (1 = arrived)"}, "range": [max(low[0], -1) - 0.05, 1.05]},
            yaxis={"title": {"text": "gain in expression (1 = arrived)"}, "range": [max(low[1], -1) - 0.05, 1.05]},
        ),
        "Each grey dot is a recipe: one weight of expression against the inner state, one penalty. Across and up: how "
        "much of the distance between the two types it takes away on test cells, 1 all of it, below 0 it leads away. "
        "The lines join the recipes that no other beats in both on validation cells, one line an autoencoder and donor "
        "(they may bend back, since test cells are others). The large marks were chosen on validation cells; bars are "
        "95 % intervals over test cells.",
        f"Gains of {len(own)} recipes in both objectives. {words}.", FILES, height=460,
        numbers=NumberTable(("recipe", "inner state", "expression", "features", "norm", "weight"), said),
    )  # fmt: skip


def _dots(own: pd.DataFrame) -> go.Scatter:
    labels = [
        f"weight {w:.2f}, {f:.0f} features"
        for w, f in zip(numbers(own, "weight"), numbers(own, "features"), strict=True)
    ]
    return go.Scatter(
        x=numbers(own, "latent_gain"), y=numbers(own, "expression_gain"), mode="markers", name="a recipe", text=labels,
        marker={"color": theme.CONTROL, "size": 5, "opacity": 0.6},
        hovertemplate="<b>%{text}</b><br>inner state %{x:.2f}<br>expression %{y:.2f}<extra></extra>",
    )  # fmt: skip


def _line(some: pd.DataFrame, unit: str, first: bool) -> go.Scatter:
    return go.Scatter(
        x=numbers(some, "latent_gain"), y=numbers(some, "expression_gain"), mode="lines", name=f"front, {unit}",
        line={"color": theme.OURS if first else theme.CONTROL, "width": 2 if first else 1}, hoverinfo="skip",
    )  # fmt: skip


def _chosen(row: dict, words: str, colour: str, symbol: str) -> go.Scatter:
    bars = [
        {"type": "data", "symmetric": False, "array": [max(row[f"{k}_high"] - row[f"{k}_gain"], 0)],
         "arrayminus": [max(row[f"{k}_gain"] - row[f"{k}_low"], 0)], "color": colour, "thickness": 1.5, "width": 4}
        for k in ("latent", "expression")
    ]  # fmt: skip
    return go.Scatter(
        x=[row["latent_gain"]], y=[row["expression_gain"]], error_x=bars[0], error_y=bars[1], mode="markers",
        name=words, marker={"color": colour, "symbol": symbol, "size": 13},
        hovertemplate=f"<b>{words}</b><br>inner state %{{x:.2f}}<br>expression %{{y:.2f}}<extra></extra>",
    )  # fmt: skip


def cosine_figure(summary: Summary, cosines: pd.DataFrame) -> Figure | None:
    """Cosines where nothing is turned, of each way to read the embedding, a dot each way of the common mode."""
    first = where(cosines, (cosines["at"] == "neutral") & (cosines["unit"] == summary.units[0]))
    first = where(first, first["weighting"] == _weighting(first))
    if not len(first):
        return None
    traces, said = [], []
    for common, (name, colour, symbol) in COMMON.items():
        some = where(first, first["common"] == common)
        value, low, high = (numbers(some, c) for c in ("cosine", "low", "high"))
        traces.append(go.Scatter(
            x=value, y=_labels(some), mode="markers", name=name, marker={"color": colour, "symbol": symbol, "size": 9},
            error_x={"type": "data", "symmetric": False, "array": np.maximum(high - value, 0),
                     "arrayminus": np.maximum(value - low, 0), "color": colour, "thickness": 1.5, "width": 3},
            hovertemplate="<b>%{y}</b><br>cosine %{x:.2f}<extra></extra>",
        ))  # fmt: skip
        said.append(f"{value[0]:.2f} with the {name}".replace("-", "−"))
    return Figure(
        "pareto-cosines", f"Cosine of the two objectives' gradients where nothing is turned: {', '.join(said)}",
        canvas(
            traces, xaxis={"title": {"text": "cosine (1 the same way, −1 opposite)"}, "range": [-1.05, 1.05],
                           "zeroline": True},
            yaxis={"autorange": "reversed", "type": "category", "ticks": ""},
        ),
        "Each row is one way to read the inner state: after which block, and over which genes it is a mean. The dot "
        "says whether features that bring it closer to the target also bring expression closer, edits counted at equal "
        "size; bars are 95 % intervals over cells. An edit that is the same at all genes moves a mean over genes and "
        "hardly any gene's expression; orange leaves that common mode out.",
        f"Cosines of {len(first) // 2} ways to read the inner state: {', '.join(said)}.",
        ("pareto/cosines.parquet",), height=140 + 26 * (len(first) // 2),
    )  # fmt: skip


def _weighting(rows: pd.DataFrame) -> str:
    return str(rows["weighting"].iloc[0]) if len(rows) else ""


def _labels(rows: pd.DataFrame) -> list[str]:
    return [f"{place}, {pooling}" for place, pooling in zip(texts(rows, "place"), texts(rows, "pooling"), strict=True)]


def path_figure(cosines: pd.DataFrame, rows: pd.DataFrame) -> Figure | None:
    """Cosines along the paths, against the norm of the edit."""
    path = where(cosines, cosines["at"] == "path")
    if not len(path):
        return None
    named = zip(texts(rows, "unit"), numbers(rows, "weight"), numbers(rows, "lambda"), strict=True)
    norm = dict(zip(named, numbers(rows, "norm").tolist(), strict=True))
    traces = []
    for weight, dash in zip(sorted(path["weight"].unique()), ("solid", "dash", "dot"), strict=False):
        for common, (name, colour, symbol) in COMMON.items():
            if weight not in (path["weight"].min(), path["weight"].max()):
                continue
            some = where(path, (path["weight"] == weight) & (path["common"] == common))
            keys = zip(texts(some, "unit"), numbers(some, "weight"), numbers(some, "lambda"), strict=True)
            x = np.array([norm.get(key, np.nan) for key in keys])
            order = np.argsort(x)
            traces.append(go.Scatter(
                x=x[order], y=numbers(some, "cosine")[order], mode="lines+markers",
                name=f"weight {weight:.1f}, {name}", line={"color": colour, "dash": dash},
                marker={"symbol": symbol, "size": 6},
                hovertemplate="norm %{x:.2f}<br>cosine %{y:.2f}<extra></extra>",
            ))  # fmt: skip
    ends = [f"{v:.2f}".replace("-", "−") for v in (path["cosine"].min(), path["cosine"].max())]
    return Figure(
        "pareto-path-cosines", f"Along the paths the cosine lies between {ends[0]} and {ends[1]}",
        canvas(
            traces, xaxis={"title": {"text": "norm of the edit (1 = difference of means per gene)"}},
            yaxis={"title": {"text": "cosine of the gradients"}, "range": [-1.05, 1.05], "zeroline": True},
        ),
        "The same cosine at the recipes of two paths: for the inner state alone (weight 0), and for expression alone "
        "(weight 1). Where a line falls below 0, what would bring one closer drives the other away.",
        f"Lines of the cosine along the paths, from {ends[0]} to {ends[1]}.", ("pareto/cosines.parquet",), height=400,
    )  # fmt: skip


def shown(figures: Sequence[Figure | None]) -> list[tuple[Figure, ...]]:
    """Those that there are, each in a row of its own."""
    return [(figure,) for figure in figures if figure is not None]
