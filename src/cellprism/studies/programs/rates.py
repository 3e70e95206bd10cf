"""How often features match a known program, beside lists of genes that chance, popularity or co-expression
make."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, percent, plain, wrapped
from cellprism.report.published import NUMBERS

OWN = {
    "features": "features",
    "untrained": "untrained autoencoders (E4)",
    "neurons": "raw neurons, tails apart (E8)",
    "neurons, gene means removed": "raw neurons, gene means removed (E8)",
    "uniform": "uniform random lists (E0)",
    "popularity": "popularity-matched lists (E1)",
    "gene_use": "lists reusing genes as often (E1)",
    "coexpression": "co-expression modules (E3)",
    "noise cells": "the same features on noise cells",
}
"""Words for the rows of rates.json, before what is said of a fixed length; a row of another name is shown under it."""
RULES = {" genes each": "top {} genes", " genes by correlation": "top {} by correlation"}

JUDGED = "features, 20 genes each"
"""The row that the title speaks of."""
PUBLISHED = {"features": "annotated-features", "neurons": "annotated-neurons"}


def label_of(row: dict[str, Any]) -> str:
    """What a row of rates.json is called on the page."""
    name = str(row["name"])
    for rule, words in RULES.items():
        if name.endswith(rule):
            start, _, size = name.removesuffix(rule).rpartition(", ")
            return f"{OWN.get(start, start)}, {words.format(size)}"
    return OWN.get(name, name)


def rate_figure(rates: dict[str, Any], verdicts: Mapping[str, str], files: tuple[str, ...]) -> Figure:
    """Annotated rate of features and of every control, each with its interval."""
    rows = sorted(rates["rows"], key=lambda row: row["rate"])
    labels = [wrapped(label_of(row)) for row in rows]
    looks = {
        "ours": ("features", theme.OURS, "circle"),
        "variant": ("features, lists of fixed length", theme.OURS, "circle-open"),
        "control": ("controls", theme.CONTROL, "square"),
        "other size": ("controls with other lists", theme.CONTROL, "square-open"),
    }
    kinds = [_kind(row) for row in rows]
    traces = [
        _dots([(r, y) for r, y, kind in zip(rows, labels, kinds, strict=True) if kind == wanted], *look)
        for wanted, look in looks.items()
        if wanted in kinds
    ]
    traces.append(_published(rows, labels))
    plot = canvas(
        traces,
        xaxis={
            "title": {"text": f"lists that match a program (q < {rates['alpha']:g})"},
            "tickformat": ".0%",
            "range": [0, 1.02],
            "showgrid": True,
        },
        yaxis={"categoryorder": "array", "categoryarray": labels, "ticks": "", "showline": False},
    )
    return Figure(
        "annotated-rate",
        rate_title(rates, verdicts),
        plot,
        f"A list of genes is annotated when it overlaps at least one of {rates['n_terms']:,} programs "
        f"({rates['collection']}) more than a draw from the {rates['background_size']:,} measured genes would "
        f"({rates['family']} correction). The blue circle is the share of our features that pass. Grey squares "
        "are controls, put through the same test: random lists of the same sizes, lists drawn by how often "
        "genes appear in programs, groups of genes that merely rise and fall together in the raw counts, an "
        "untrained autoencoder, the model's own neurons. Noise cells have the depths and the frequent genes of these "
        "cells and no states: what features match there is no news about cells. Bars hold 95 % of replicates. Only "
        "what lies to the right of a control goes beyond it. Hollow marks have lists of another length or made by "
        "another rule: long lists match more easily, and lists by correlation over cells more easily than lists by "
        "where a feature fires. Compare those of one length and rule with each other. Diamonds are published values "
        "from another model and can not be compared as equals either.",
        "Dot plot of the share of gene lists that match a program: "
        + "; ".join(f"{label_of(r)} {percent(r['rate'])}" for r in reversed(rows)),
        files,
        height=110 + 54 * len(rows),
        narrow={"yaxis.tickfont.size": 11},
        numbers=_numbers(rows),
    )


def rate_title(rates: dict[str, Any], verdicts: Mapping[str, str]) -> str:
    """The finding: which control with lists of 20 genes, of those that features do not exceed, has the highest rate.

    ``verdicts`` are those of the claims, by the name of the control.
    """
    rows = {row["name"]: row for row in rates["rows"]}
    if JUDGED not in rows:
        return "How often lists of genes match a known program"
    start = f"{percent(rows[JUDGED]['rate'])} of features, 20 genes each, match a known program"
    fair = [row for name, row in rows.items() if row["against"] == JUDGED and row["comparable"] and name in verdicts]
    if not fair:
        return f"{start} (no control was measured)"
    rivals = [row for row in fair if verdicts[row["name"]] != "above chance"]
    if not rivals:
        return f"{start}, more than any control with lists as long"
    best = max(rivals, key=lambda row: row["rate"])
    words = "fewer than" if verdicts[best["name"]] == "below chance" else "not clearly more than"
    return f"{start}, {words} the {percent(best['rate'])} of {label_of(best)}"


def _kind(row: dict[str, Any]) -> str:
    """ours, variant (our features in lists of fixed length), control, or other size."""
    if row["name"].startswith("features"):
        return "ours" if row["name"] == "features" else "variant"
    return "control" if row["comparable"] and row["against"] == "features" else "other size"


def _dots(part: list[tuple[dict[str, Any], str]], name: str, colour: str, symbol: str) -> go.Scatter:
    """Rows with the places of their labels, as dots with intervals."""
    spans = [r["interval"] or [r["rate"], r["rate"]] for r, _ in part]
    return go.Scatter(
        x=[r["rate"] for r, _ in part],
        y=[y for _, y in part],
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 11},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - r["rate"] for (r, _), (_, high) in zip(part, spans, strict=True)],
            "arrayminus": [r["rate"] - low for (r, _), (low, _) in zip(part, spans, strict=True)],
            "color": colour,
            "thickness": 2,
            "width": 5,
        },
        customdata=[
            [
                percent(low),
                percent(high),
                r["n_lists"],
                f"{r['mean_set_size']:.1f}",
                f"{r['distinct_terms']:.0f}",
            ]
            for (r, _), (low, high) in zip(part, spans, strict=True)
        ],
        hovertemplate="<b>%{y}</b><br>%{x:.1%} annotated (95 %: %{customdata[0]} to %{customdata[1]})<br>"
        "%{customdata[2]} lists of %{customdata[3]} genes on average<br>%{customdata[4]} distinct "
        "programs<extra></extra>",
    )


def _published(rows: list[dict], labels: list[str]) -> go.Scatter:
    found = [(y, NUMBERS[PUBLISHED[r["name"]]]) for r, y in zip(rows, labels, strict=True) if r["name"] in PUBLISHED]
    return go.Scatter(
        x=[number.value for _, number in found],
        y=[y for y, _ in found],
        mode="markers",
        name="published, AIDO.Cell-100M",
        marker={"color": theme.PUBLISHED, "symbol": "diamond-open", "size": 11, "line": {"width": 2}},
        customdata=[[plain(number.text), plain(number.model)] for _, number in found],
        hovertemplate="<b>published</b>: %{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    )


def _numbers(rows: list[dict]) -> NumberTable:
    header = (
        "lists",
        "annotated",
        "95 % interval",
        "features exceed it by [95 %]",
        "distinct programs",
        "lists tested",
        "mean size",
        "replicates",
    )
    body = [
        (
            label_of(r),
            percent(r["rate"]),
            f"{percent(r['interval'][0])} to {percent(r['interval'][1])}" if r["interval"] else "–",
            _excess(r),
            f"{r['distinct_terms']:.0f}",
            str(r["n_lists"]),
            f"{r['mean_set_size']:.1f}",
            str(r["replicates"] or "–"),
        )
        for r in reversed(rows)
    ]
    return NumberTable(header, body)


def _excess(row: dict[str, Any]) -> str:
    """The features' rate minus this one, with lists and draws resampled together, where that was done."""
    if "excess" not in row:
        return "–"
    low, high = row["excess_interval"]
    return f"{percent(row['excess'])} [{percent(low)}, {percent(high)}]"
