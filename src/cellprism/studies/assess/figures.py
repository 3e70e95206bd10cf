"""How good the cell model is, beside simpler things that do the same job."""

from collections.abc import Mapping

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, listing, percent, wrapped
from cellprism.studies.assess.labels import ERROR_LABELS, GAIN_LABELS, OURS, TYPE_LABELS
from cellprism.studies.assess.tables import Assessment, MaskedError, Measure


def error_figure(found: Assessment, verdicts: Mapping[str, str], files: tuple[str, ...]) -> Figure | None:
    """Masked error on held-out cells beside the baselines."""
    rows = {name: found.held_out[name] for name in ERROR_LABELS if name in found.held_out}
    if "model" not in rows or len(rows) < 2:
        return None
    title = _beats("fills in hidden genes", {ERROR_LABELS[n]: verdicts[n] for n in rows if n in verdicts})
    low = min(m.interval[0] if m.interval else m.value for m in rows.values())
    return _dot_plot(
        "held-out-error",
        title,
        rows,
        ERROR_LABELS,
        "error on hidden genes (gene mean = 1)",
        ".3f",
        [min(low - 0.03, 0.9), 1.02],
        "On cells that it was not trained on, some genes are hidden and the model guesses them from the "
        "rest. Further left is better. 1 is the error of always answering the gene's mean. The type's mean "
        "is told the cell's label, which the model never sees. Most of the error that is left is counting "
        "noise, which nothing can predict. Whether one beats the other is judged cell by cell, which is "
        "sharper than comparing the bars.",
        files,
    )


def gain_figure(found: Assessment, verdicts: Mapping[str, str], files: tuple[str, ...]) -> Figure | None:
    """What a latent model gains over the gene means on held-out counts, beside the baselines."""
    rows = {name: found.reconstruction[name] for name in GAIN_LABELS if name in found.reconstruction}
    if "model" not in rows or len(rows) < 2:
        return None
    title = _beats("predicts counts", {GAIN_LABELS[n]: verdicts[n] for n in rows if n in verdicts})
    ends = [edge for m in rows.values() for edge in (m.interval or (m.value,))]
    low, high = min(0.0, *ends), max(ends)
    return _dot_plot(
        "held-out-gain",
        title,
        rows,
        GAIN_LABELS,
        "gain over the gene means (nats per count)",
        ".3f",
        [low - 0.1 * (high - low), high + 0.1 * (high - low)],
        "The counts of each held-out cell are dealt into two halves. The model makes its numbers from one half and "
        "says where the counts of the other fall. Further right is better; 0 is the gene means. The type's mean is "
        "told the cell's label, which the model never sees.",
        files,
    )


def reading_figure(found: Assessment, files: tuple[str, ...]) -> Figure | None:
    """How well cell types are read from the model, beside raw expression and the untrained network."""
    rows = {name: found.cell_types[name] for name in TYPE_LABELS if name in found.cell_types}
    ours = next((name for name in OURS if name in rows), None)
    if ours is None or len(rows) < 2:
        return None
    others_read = [name for name in rows if name not in (ours, "largest type")]
    others = [f"{percent(rows[name].value)} from {TYPE_LABELS[name]}" for name in others_read]
    title = f"Cell types are read at {percent(rows[ours].value)} from the model" + (
        f"; {listing(others)}" if others else ""
    )
    state = "the mean of the model's inner state over genes" if ours == "residuals" else "the model's inner state"
    return _dot_plot(
        "cell-types-readable",
        title,
        rows,
        TYPE_LABELS,
        "cells whose type is read correctly",
        ".0%",
        [0.0, 1.02],
        f"A simple classifier reads the cell type from {state}, on "
        "held-out cells. The same classifier on raw expression shows what can be had at all; on the "
        "untrained network, what the architecture alone gives away.",
        files,
    )


def _dot_plot(
    id: str,
    title: str,
    rows: Mapping[str, Measure] | Mapping[str, MaskedError],
    labels: Mapping[str, str],
    axis: str,
    form: str,
    span: list[float],
    reading: str,
    files: tuple[str, ...],
) -> Figure:
    """A row of dots with intervals; ours in blue, baselines in grey."""
    traces = [_dot(name, rows[name], wrapped(labels[name]), form) for name in reversed(list(rows))]
    plot = canvas(
        traces,
        showlegend=False,
        xaxis={"title": {"text": axis}, "range": span, "tickformat": ".0%" if "%" in form else None},
        yaxis={"ticks": "", "showline": False, "range": [-0.5, len(rows) - 0.35]},
    )
    table = [
        (
            labels[n],
            format(m.value, form),
            f"{m.interval[0]:{form}} to {m.interval[1]:{form}}" if m.interval else "–",
        )
        for n, m in rows.items()
    ]
    alt = f"Dot plot, {axis}: " + "; ".join(f"{what} {value}" for what, value, _ in table)
    return Figure(
        id,
        title,
        plot,
        reading,
        alt,
        files,
        height=90 + 50 * len(rows),
        narrow={"yaxis.tickfont.size": 11},
        numbers=NumberTable(("predictor", "value", "95 % interval"), table),
    )


def _dot(name: str, measure: Measure | MaskedError, label: str, form: str) -> go.Scatter:
    """One dot with its interval."""
    low, high = measure.interval or (measure.value, measure.value)
    ours = name in ("model", *OURS)
    colour = theme.OURS if ours else theme.CONTROL
    return go.Scatter(
        x=[measure.value],
        y=[label],
        mode="markers+text",
        text=[format(measure.value, form)],
        textposition="top center",
        marker={"color": colour, "symbol": "circle" if ours else "square", "size": 10},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - measure.value],
            "arrayminus": [measure.value - low],
            "color": colour,
            "thickness": 2,
            "width": 5,
        },
        hovertemplate=f"<b>%{{y}}</b>: %{{x:{form}}}<br>95 %: {low:{form}} to {high:{form}}<extra></extra>",
    )


def _beats(does: str, verdicts: Mapping[str, str]) -> str:
    """A title that says which baselines the model beats, and which not, as its claims do."""
    beaten = [label for label, verdict in verdicts.items() if verdict == "above chance"]
    others = [label for label, verdict in verdicts.items() if verdict != "above chance"]
    title = f"The model {does} better than {listing(beaten)}" if beaten else "The model beats no baseline"
    return f"{title}, but not clearly better than {listing(others)}" if beaten and others else title
