"""The excess of features over every control, autoencoder by autoencoder."""

from collections.abc import Mapping

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, percent, wrapped
from cellprism.studies.programs.over_seeds import Excess
from cellprism.studies.programs.rates import label_of
from cellprism.studies.programs.tables import Seeds


def seed_figure(found: Seeds, verdicts: Mapping[str, str], files: tuple[str, ...]) -> Figure | None:
    """Excess of the annotated rate over each control; ``verdicts`` are those of the claims, by the control's name."""
    rows = sorted((row for row in found.rows if row.name in verdicts), key=lambda row: row.mean)
    if not rows:
        return None
    labels = [wrapped(label_of({"name": row.name}), 32) for row in rows]
    plot = canvas(
        [_seeds(rows, labels), _means(rows, labels)],
        xaxis={
            "title": {"text": "lists that match a program,<br>features minus control"},
            "tickformat": ".0%",
            "showgrid": True,
            "zeroline": True,
        },
        yaxis={"categoryorder": "array", "categoryarray": labels, "ticks": "", "showline": False},
    )
    beyond = sum(verdicts[row.name] == "above chance" for row in rows)
    n = len(found.seeds)
    return Figure(
        "seed-excess",
        f"Over {n} autoencoder{'s' if n > 1 else ''}, features exceed {beyond} of {len(rows)} controls",
        plot,
        "Each small circle is an autoencoder: trained on the same tokens from another start, its features put beside a "
        "control with lists of the same rule, number and length. The filled mark is the mean, its bar the 95 % t "
        "interval over autoencoders. To the right of zero features match programs more often than the control. What is "
        "judged is this; the figure above shows this run's own autoencoder, with every length of lists.",
        "Dot plot of the excess over controls: "
        + "; ".join(f"{label_of({'name': r.name})} {_shown(r)}" for r in rows[::-1]),
        files,
        height=110 + 44 * len(rows),
        narrow={"yaxis.tickfont.size": 11},
        numbers=_numbers(rows, verdicts),
    )


def _seeds(rows: list[Excess], labels: list[str]) -> go.Scatter:
    points = [
        (ours - control, label)
        for row, label in zip(rows, labels, strict=True)
        for ours, control in zip(row.shares, row.controls, strict=True)
    ]
    return go.Scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="markers",
        name="one autoencoder",
        marker={"color": theme.OURS, "symbol": "circle-open", "size": 7},
        hovertemplate="<b>%{y}</b><br>%{x:+.1%}<extra></extra>",
    )


def _means(rows: list[Excess], labels: list[str]) -> go.Scatter:
    spans = [row.interval or (row.mean, row.mean) for row in rows]
    return go.Scatter(
        x=[row.mean for row in rows],
        y=labels,
        mode="markers",
        name="mean and 95 % t interval",
        marker={"color": theme.OURS, "symbol": "circle", "size": 11},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - row.mean for row, (_, high) in zip(rows, spans, strict=True)],
            "arrayminus": [row.mean - low for row, (low, _) in zip(rows, spans, strict=True)],
            "color": theme.OURS,
            "thickness": 2,
            "width": 5,
        },
        hovertemplate="<b>%{y}</b><br>mean %{x:+.1%}<extra></extra>",
    )


def _numbers(rows: list[Excess], verdicts: Mapping[str, str]) -> NumberTable:
    header = ("control", "features", "control's", "excess [95 %]", "p over autoencoders", "p among draws", "verdict")
    body = [
        (
            label_of({"name": row.name}),
            percent(row.share),
            percent(row.control),
            _shown(row),
            "–" if row.p_seeds is None else f"{row.p_seeds:.2g}",
            "–" if row.p_draws is None else f"{row.p_draws:.2g}",
            verdicts[row.name],
        )
        for row in reversed(rows)
    ]
    return NumberTable(header, body)


def _shown(row: Excess) -> str:
    if row.interval is None:
        return f"{percent(row.mean)}"
    low, high = row.interval
    return f"{percent(row.mean)} [{percent(low)}, {percent(high)}]"
