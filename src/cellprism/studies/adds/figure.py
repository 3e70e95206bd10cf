"""What the trained autoencoder exceeds every other source of directions by, a panel a measure."""

from typing import Any

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.context import Context
from cellprism.report.figure import Figure, NumberTable, canvas, wrapped
from cellprism.studies.adds.labels import SHORT_NAMES, SOURCES, form_of, label_of, shown
from cellprism.studies.adds.tables import Adds, Column

TALL = 165  # pixels a panel
GAP = 0.42  # of a panel's place, for its axis


def rival_figure(found: Adds, context: Context, files: tuple[str, ...]) -> Figure:
    """Each measure: by which share of it the trained autoencoder exceeds the best source that nobody trained."""
    columns = found.columns[::-1]
    labels = [wrapped(label_of(column.name, context), 34) for column in columns]
    scale = [abs(column.beside.control) or 1.0 for column in columns]
    mean = [column.beside.mean / unit for column, unit in zip(columns, scale, strict=True)]
    spans = [
        tuple(end / unit for end in (column.interval or (column.beside.mean,) * 2))
        for column, unit in zip(columns, scale, strict=True)
    ]
    look = {1: (theme.OURS, "triangle-right"), -1: (theme.OPPOSITE, "triangle-left"), 0: (theme.CONTROL, "circle-open")}
    names = {1: "training leads", -1: "directions that nobody trained lead", 0: "not told apart"}
    traces = []
    for told, name in names.items():
        at = [i for i, column in enumerate(columns) if column.told == told]
        colour, symbol = look[told]
        traces.append(go.Scatter(
            x=[mean[i] for i in at], y=[labels[i] for i in at], mode="markers", name=name,
            marker={"color": colour, "symbol": symbol, "size": 12},
            error_x={
                "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 5,
                "array": [spans[i][1] - mean[i] for i in at], "arrayminus": [mean[i] - spans[i][0] for i in at],
            },
            text=[SHORT_NAMES[columns[i].rival] for i in at],
            hovertemplate="<b>%{y}</b><br>%{x:+.1%} beside %{text}<extra></extra>",
        ))  # fmt: skip
    leads = [column.told for column in found.columns]
    rows = [
        (label_of(c.name, context), SOURCES[c.rival], shown(c.beside.share, c.name), shown(c.beside.control, c.name),
         names[c.told])
        for c in found.columns
    ]  # fmt: skip
    return Figure(
        "adds-best-rival",
        f"Training leads in {leads.count(1)} of {len(leads)} measures, untrained directions in {leads.count(-1)}",
        canvas(
            traces,
            xaxis={"title": {"text": "trained minus best untrained, share of it"}, "tickformat": "+.0%",
                   "zeroline": True, "showgrid": True},
            yaxis={"type": "category", "categoryarray": labels, "ticks": "", "showline": False},
        ),
        "Each line is a measure. The mark says by how much the trained autoencoder exceeds the best of the directions "
        "that nobody trained, as a share of what these have; the bar is the 95 % interval over autoencoders, wide "
        "enough for the best having been picked. To the right of zero training adds something.",
        "Dot plot, trained beside best untrained: " + "; ".join(f"{row[0]} {row[2]} and {row[3]}" for row in rows),
        files,
        height=130 + 44 * len(rows),
        narrow={"yaxis.tickfont.size": 10.5},
        numbers=NumberTable(("measure", "best that nobody trained", "trained", "theirs", "who leads"), rows),
    )  # fmt: skip


def excess_figure(found: Adds, context: Context, files: tuple[str, ...]) -> Figure:
    """Dots with intervals, one line a source; to the right of zero the trained autoencoder has more."""
    traces, layout = [], {}
    n = len(found.columns)
    for number, column in enumerate(found.columns):
        traces += _panel(column, number)
        layout |= _axes(column, number, n, context)
    leads = [column.told for column in found.columns]
    return Figure(
        "adds-excess",
        f"Training leads in {leads.count(1)} of {n} measures, untrained directions in {leads.count(-1)}",
        canvas(traces, **layout),
        "Each panel is a measure, each line directions that nobody trained. Dots say by how much the trained "
        "autoencoder exceeds them, with as many lists or features of each: a small circle is one autoencoder beside "
        "its own draw, the filled mark the mean, its bar the 95 % t interval over autoencoders. To the right of zero "
        "training adds something; to the left the directions do better without it. Vectors of the inner state, random "
        "directions with its covariance and its principal components say what the model alone gives, projections of "
        "the counts what the counts alone give.",
        "Dot plots of what the trained autoencoder exceeds others by: "
        + "; ".join(
            f"{label_of(column.name, context)}: "
            + ", ".join(f"{SOURCES[row.name]} {shown(row.mean, column.name, '+')}" for row in column.rows)
            for column in found.columns
        ),
        files,
        height=60 + (TALL + 60) * n,
        narrow={f"yaxis{number or ''}.tickfont.size": 11 for number in _numbers(n)},
    )


def _numbers(n: int) -> list[int]:
    """Numbers of plotly's axes: none for the first, then from 2."""
    return [0, *range(2, n + 1)]


def _panel(column: Column, number: int) -> list[Any]:
    place = str(number + 1) if number else ""
    rows, labels = column.rows[::-1], [wrapped(SHORT_NAMES[row.name], 30) for row in column.rows[::-1]]
    points = [
        (ours - theirs, label)
        for row, label in zip(rows, labels, strict=True)
        for ours, theirs in zip(row.shares, row.controls, strict=True)
    ]
    spans = [row.interval or (row.mean, row.mean) for row in rows]
    form = f"%{{x:+{form_of(column.name)}}}"
    axes = {"xaxis": f"x{place}", "yaxis": f"y{place}"}
    seeds = go.Scatter(
        x=[x for x, _ in points], y=[y for _, y in points], mode="markers", name="one autoencoder",
        marker={"color": theme.OURS, "symbol": "circle-open", "size": 7}, showlegend=not number,
        hovertemplate=f"<b>%{{y}}</b><br>{form}<extra></extra>", **axes,
    )  # fmt: skip
    means = go.Scatter(
        x=[row.mean for row in rows], y=labels, mode="markers", name="mean and 95 % t interval",
        marker={"color": theme.OURS, "symbol": "circle", "size": 10}, showlegend=not number,
        error_x={
            "type": "data", "symmetric": False, "color": theme.OURS, "thickness": 2, "width": 5,
            "array": [high - row.mean for row, (_, high) in zip(rows, spans, strict=True)],
            "arrayminus": [row.mean - low for row, (low, _) in zip(rows, spans, strict=True)],
        },
        hovertemplate=f"<b>%{{y}}</b><br>mean {form}<extra></extra>", **axes,
    )  # fmt: skip
    return [seeds, means]


def _axes(column: Column, number: int, n: int, context: Context) -> dict[str, Any]:
    """Axes of a panel, the first on top."""
    place = str(number + 1) if number else ""
    share = 1 / (n - GAP)
    top = 1 - number * share
    return {
        f"xaxis{place}": {
            "title": {"text": wrapped(label_of(column.name, context), 30)}, "anchor": f"y{place}", "zeroline": True,
            "showgrid": True,
        },
        f"yaxis{place}": {
            "domain": [max(0.0, top - (1 - GAP) * share), top], "anchor": f"x{place}", "ticks": "", "showline": False,
            "type": "category",
        },
    }  # fmt: skip
