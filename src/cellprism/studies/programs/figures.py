"""What the features are: a map of all of them, and where the readable ones fire."""

import re
import textwrap
from collections import Counter

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.context import Context
from cellprism.report.figure import (
    Figure,
    NumberTable,
    canvas,
    joined,
    log_axis,
    percent,
    plain,
    small,
)
from cellprism.report.frames import numbers, ordered, records, texts, where
from cellprism.studies.programs.tables import Programs, signed_term

MAP_PROGRAMS = 7  # as many colours as can be told apart
HEAT_ROWS = 24


def feature_map(found: Programs, context: Context, files: tuple[str, ...]) -> Figure | None:
    """All features that fire: how many genes each spreads over, against how specific it is to cell types."""
    if found.specificity is None:
        return None
    alpha, chance = found.rates["alpha"], found.specificity.chance_share
    table = found.features
    table = where(table, (table["firing_rate"] > 0) & (table["participation_ratio"] > 0))
    matched, term_of = numbers(table, "best_padj") < alpha, np.array(texts(table, "best_term"))
    frequent = [term for term, _ in Counter(term_of[matched]).most_common(MAP_PROGRAMS)]
    other = matched & ~np.isin(term_of, frequent)
    fires = context.words.tokens
    traces = [_points(where(table, ~matched), "no program", theme.CONTROL, "circle-open", 0.75, fires)]
    traces.append(_points(where(table, other), "another program", theme.CONTROL, "circle", 0.9, fires))
    for colour, symbol, term in zip(theme.PROGRAMS, theme.SYMBOLS, frequent, strict=False):
        rows = where(table, matched & (term_of == term))
        traces.append(_points(rows, _short(term, 30), colour, symbol, 0.95, fires))
    specific = int((numbers(table, "type_padj") < alpha).sum())
    title = (
        f"{specific} of {len(table)} firing features differ between cell types beyond shuffled labels (q < {alpha:g})"
    )
    plot = canvas(
        [trace for count, trace in traces if count],
        xaxis={
            "title": {"text": "participation ratio (effective number of genes)"},
            **log_axis(numbers(table, "participation_ratio")),
        },
        yaxis={
            "title": {"text": "variance between cell types (share)"},
            "range": [-0.03, 1.03],
            "tickformat": ".0%",
        },
        shapes=[_chance_line(chance)],
        annotations=[_chance_label(chance)],
        legend={"font": {"size": 11.5}, "itemsizing": "constant"},
    )
    return Figure(
        "feature-map",
        title,
        plot,
        "Each mark is a feature. To the left are features that speak of a few genes, to the right those "
        "that speak of many. High up are features that are strong in some cell types and weak in others. "
        "Below the dotted line lies what a feature shows when cell-type labels are shuffled (95 % of "
        "features). Larger marks fire more often. Colour and shape give the best matching program. Point at "
        "a mark to see its top genes; choose it to find it in the table of features.",
        f"Scatter plot of {len(table)} features: participation ratio against the share of variance between "
        f"cell types. {specific} are specific beyond shuffled labels after correction, {int(matched.sum())} "
        "match a program.",
        files,
        height=520,
        narrow={"height": 560},
    )


def program_heatmap(found: Programs, files: tuple[str, ...]) -> Figure | None:
    """The most type-specific feature of each program, over cell types."""
    if found.specificity is None:
        return None
    chosen = _best_of_each_program(found.features, found.rates["alpha"])
    if chosen.empty:
        return None
    contrast = found.types.drop(columns="feature")
    types = list(contrast.columns)
    values = np.asarray(contrast.loc[chosen.index])
    order = np.lexsort((-values.max(axis=1), values.argmax(axis=1)))[::-1]
    values, chosen = values[order], chosen.iloc[order]
    limit = float(np.ceil(10 * np.abs(values).max()) / 10) or 1.0
    heat = _heat(values, chosen, types, [found.specificity.types[t] for t in types])
    peaks = [types[i] for i in values.argmax(axis=1)]
    title = (
        f"Programs have their places: the features of {len(chosen)} programs peak in {len(set(peaks))} of "
        f"{len(types)} cell types"
    )
    plot = canvas(
        [heat],
        coloraxis={"cmin": -limit, "cmax": limit, "colorbar": {"title": {"text": "SD from the mean cell"}}},
        xaxis={"side": "top", "tickangle": -40, "showline": False, "ticks": "", "tickfont": {"size": 11.5}},
        yaxis={"showline": False, "ticks": "", "tickfont": {"size": 11.5}},
        margin={"r": 8, "t": 90, "b": 12},
    )
    strongest = [
        (f"{signed_term(t, s)} (feature {f})", p, f"{v.max():+.2f}")
        for t, s, f, p, v in zip(chosen["best_term"], chosen["sign"], chosen["feature"], peaks, values, strict=True)
    ][::-1]
    return Figure(
        "program-heatmap",
        title,
        plot,
        "One row per program: among the features that match it, the one that differs most between cell "
        "types. Blue: the feature is stronger in that cell type than in the average cell; vermilion: "
        "weaker; pale: the same. “low: …” is a feature that is strong where the "
        "program's genes are low. The unit is the standard deviation between cells. Pointing at a field also "
        "gives the range that shuffled labels would show there.",
        f"Heat map of {len(chosen)} programs by {len(types)} cell types. "
        + "; ".join(f"{t} peaks in {p}" for t, p, _ in strongest[:6]),
        files,
        height=150 + 30 * len(chosen),
        narrow={"coloraxis.showscale": False, "yaxis.tickfont.size": 10, "xaxis.tickangle": -60},
        numbers=NumberTable(("program", "peaks in", "SD from the mean cell"), strongest),
    )


def _heat(values: np.ndarray, chosen: pd.DataFrame, types: list[str], counts: list[int]) -> go.Heatmap:
    """One row per chosen feature, one column per cell type; ``counts`` are cells per type."""
    signed = map(signed_term, texts(chosen, "best_term"), texts(chosen, "sign"))
    names = zip(signed, texts(chosen, "feature"), strict=True)
    hover = [
        [
            [plain(t), joined(str(row.top_genes).split(",")[:8], 4), f"±{1.96 / np.sqrt(n):.2f}", n]
            for t, n in zip(types, counts, strict=True)
        ]
        for row in records(chosen)
    ]
    return go.Heatmap(
        z=values,
        x=[plain(t) for t in types],
        y=[f"{_two_lines(term)} · {feature}" for term, feature in names],
        customdata=hover,
        coloraxis="coloraxis",
        xgap=1.5,
        ygap=1.5,
        hovertemplate="<b>%{y}</b><br>%{customdata[1]}<br>%{customdata[0]} (%{customdata[3]} cells): "
        "%{z:+.2f} SD<br>shuffled labels: %{customdata[2]}<extra></extra>",
    )


def _points(
    rows: pd.DataFrame, name: str, colour: str, symbol: str, opacity: float, tokens: str
) -> tuple[int, go.Scatter]:
    """How many features, and their marks; ``tokens`` is what they fire at, in words."""
    top = [joined(str(genes).split(",")[:10], 5) for genes in texts(rows, "top_genes")]
    size = 6 + 10 * np.sqrt(numbers(rows, "firing_rate"))
    custom = [
        [
            int(r.feature),
            genes,
            plain(signed_term(r.best_term, r.sign)) if r.n_terms else "–",
            small(r.best_padj),
            percent(r.firing_rate),
            plain(r.top_cell_type),
            f"{r.participation_ratio:.1f}",
            percent(r.type_share),
        ]
        for r, genes in zip(records(rows), top, strict=True)
    ]
    marks = go.Scatter(
        x=numbers(rows, "participation_ratio"),
        y=numbers(rows, "type_share"),
        mode="markers",
        name=plain(name),
        customdata=custom,
        marker={"color": colour, "symbol": symbol, "size": size, "opacity": opacity, "line": {"width": 0.8}},
        hovertemplate=(
            "<b>Feature %{customdata[0]}</b> · strongest in %{customdata[5]}<br>%{customdata[1]}<br>"
            "best program: %{customdata[2]} (q = %{customdata[3]})<br>"
            f"fires in %{{customdata[4]}} of {tokens} · %{{customdata[6]}} effective genes<br>"
            "%{customdata[7]} of its variance between cells lies between types"
            "<extra></extra>"
        ),
    )
    return len(rows), marks


def _best_of_each_program(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    matched = where(table, (table["best_padj"] < alpha) & (table["type_padj"] < alpha))
    return ordered(matched, "type_share", rising=False).drop_duplicates("best_term").head(HEAT_ROWS)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _two_lines(term: str) -> str:
    """A term without its accession, on at most two lines, so that the labels of neighbouring rows do not meet."""
    lines = textwrap.wrap(re.sub(r" \([A-Z]+:\w+\)$", "", term), 26)
    return "<br>".join(plain(line) for line in [*lines[:1], *[_short(" ".join(lines[1:]), 24)][: len(lines) - 1]])


def _chance_line(level: float) -> dict:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": level,
        "y1": level,
        "line": {"color": theme.CONTROL, "width": 1.5, "dash": "dot"},
    }


def _chance_label(level: float) -> dict:
    return {
        "xref": "paper",
        "x": 1,
        "y": level,
        "xanchor": "right",
        "yanchor": "bottom",
        "text": "shuffled labels",
    }
