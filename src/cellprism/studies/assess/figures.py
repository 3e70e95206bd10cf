"""How good the cell model is, beside simpler things that do the same job."""

from collections.abc import Mapping

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, listing, percent, wrapped
from cellprism.studies.assess.labels import AGREEMENT_LABELS, ERROR_LABELS, GAIN_LABELS, NOISE, OURS, TYPE_LABELS
from cellprism.studies.assess.tables import Assessment, Gain, MaskedError, Measure


def error_figure(found: Assessment, verdicts: Mapping[str, str], files: tuple[str, ...]) -> Figure | None:
    """Error on hidden genes of the run's cells beside the baselines."""
    if found.hidden_genes is None:
        return None
    methods = found.hidden_genes.methods
    rows = {name: methods[name] for name in ERROR_LABELS if name in methods}
    edges = [edge for m in rows.values() for edge in m.interval or (m.value,)]
    return _dot_plot(
        "hidden-gene-error",
        _beats("fills in hidden genes", {ERROR_LABELS[n]: verdicts[n] for n in rows if n in verdicts}),
        rows,
        ERROR_LABELS,
        "error on hidden genes (gene mean = 1)",
        ".3f",
        [min(min(edges) - 0.03, 0.9), max(max(edges) + 0.02, 1.02)],
        f"On {found.cells:,} cells of this run some genes are hidden and guessed from the rest. Further left is "
        "better. 1 is the error of always answering the gene's mean over other cells of this run, on which the "
        "regression and the types' means were fitted too. Laboratories and platforms shift the means of genes, so the "
        "model is judged with each gene's mean put right; as it is, it stands beside. The type's mean is told the "
        "cell's label, which the model never sees. Most of the error that is left is counting noise, which nothing can "
        "predict. Whether one beats the other is judged cell by cell, which is sharper than comparing the bars.",
        files,
    )


def agreement_figure(found: Assessment, files: tuple[str, ...]) -> Figure | None:
    """How the output goes with the counts over cells, at hidden and at visible tokens, beside noise."""
    if found.hidden_genes is None or not found.hidden_genes.agreement:
        return None
    parts = [("", found.hidden_genes), (NOISE, found.noise)]
    rows = {f"{name}{end}": m for end, part in parts if part for name, m in part.agreement.items()}
    said = [f"{m.value:.2f} at {name} genes" for name, m in found.hidden_genes.agreement.items()]
    edges = [edge for m in rows.values() for edge in m.interval or (m.value,)]
    return _dot_plot(
        "output-follows-counts",
        f"From cell to cell the model's output goes with the counts at {listing(said)}".replace("-", "−"),
        rows,
        AGREEMENT_LABELS,
        "median correlation over cells, gene by gene",
        ".2f",
        [min(min(edges) - 0.1, 0), max(max(edges) + 0.1, 0)],
        "Each gene's output is correlated with its counts over cells; the median over genes is shown. A model that "
        "means what it says is well above 0. Below 0 it says less of a gene the more of it there is: what it says at "
        "such tokens is not expression. The grey rows are the same on counts that were drawn at random with the same "
        "depth of each cell and the same share of each gene.",
        files,
        ours=tuple(found.hidden_genes.agreement),
    )


def gain_figure(found: Assessment, verdicts: Mapping[str, str], files: tuple[str, ...]) -> Figure | None:
    """What a latent model gains over the gene means on hidden counts, beside the baselines."""
    rows = {name: found.hidden_counts[name] for name in GAIN_LABELS if name in found.hidden_counts}
    if not rows:
        return None
    ends = [edge for m in rows.values() for edge in m.interval]
    low, high = min(0.0, *ends), max(ends)
    return _dot_plot(
        "hidden-count-gain",
        _beats("predicts counts", {GAIN_LABELS[n]: verdicts[n] for n in rows if n in verdicts}),
        rows,
        GAIN_LABELS,
        "gain over the gene means (nats per count)",
        ".3f",
        [low - 0.1 * (high - low), high + 0.1 * (high - low)],
        f"The counts of {found.cells:,} cells of this run are dealt into two halves. The model makes its numbers from "
        "one half and says where the counts of the other fall. Further right is better; 0 is the gene means over other "
        "cells of this run. Laboratories and platforms shift the means of genes, so the model is judged with each "
        "gene's mean put right, trained or not; as it is, it stands beside. The type's mean is told the cell's label, "
        "which the model never sees.",
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
        f"A simple classifier reads the cell type from {state}, on cells of this run that it was not fitted on. The "
        "same classifier on raw expression shows what can be had at all; on the untrained network, what the "
        "architecture alone gives away.",
        files,
    )


def _dot_plot(
    id: str,
    title: str,
    rows: Mapping[str, Measure] | Mapping[str, MaskedError] | Mapping[str, Gain],
    labels: Mapping[str, str],
    axis: str,
    form: str,
    span: list[float],
    reading: str,
    files: tuple[str, ...],
    ours: tuple[str, ...] = ("model", *OURS),
) -> Figure:
    """A row of dots with intervals; ours in blue, baselines in grey."""
    traces = [_dot(rows[name], wrapped(labels[name]), form, name in ours) for name in reversed(list(rows))]
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


def _dot(measure: Measure | MaskedError | Gain, label: str, form: str, ours: bool) -> go.Scatter:
    """One dot with its interval."""
    low, high = measure.interval or (measure.value, measure.value)
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

    kinds = {
        "better than": ("above chance",),
        "worse than": ("below chance",),
        "not clearly better than": ("at chance", "cannot be told here"),
    }
    sorted_out = {how: [label for label, verdict in verdicts.items() if verdict in kinds[how]] for how in kinds}
    said = [f"{how} {listing(labels)}" for how, labels in sorted_out.items() if labels]
    if not sorted_out["better than"] and not sorted_out["worse than"]:
        return "The model beats no baseline"
    return f"The model {does} " + ", but ".join([said[0], listing(said[1:])] if len(said) > 1 else said)
