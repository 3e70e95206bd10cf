"""How good the cell model and its autoencoder are, beside simpler things that do the same job."""

from collections.abc import Mapping

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.facts import MaskedError, Measure, ModelFacts, TrainingFacts
from cellprism.report.figures.figure import Figure, NumberTable, canvas, listing, log_axis, percent, wrapped

ERROR_LABELS = {
    "model": "the model",
    "ridge": "ridge regression on the other genes",
    "type mean": "mean of the cell's own type",
    "gene mean": "mean of the gene",
}
TYPE_LABELS = {
    "residuals": "the model's inner state",
    "vectors": "the model's inner state",
    "raw expression": "raw expression",
    "untrained network": "the same network, untrained",
    "largest type": "always naming the largest type",
}
OURS = ("residuals", "vectors")
"""What of the model cell types are read from."""
GAIN_LABELS = {
    "model": "the model",
    "type mean": "mean of the cell's own type",
    "untrained network": "the same model, untrained",
}
CONTROL_LABELS = {"gene_mean": "gene identity alone", "untrained": "untrained autoencoder"}


def error_figure(model: ModelFacts, files: tuple[str, ...]) -> Figure | None:
    """Masked error on held-out cells beside the yardsticks."""
    rows = {name: model.held_out[name] for name in ERROR_LABELS if name in model.held_out}
    if "model" not in rows or len(rows) < 2:
        return None
    beaten = [ERROR_LABELS[n] for n, m in rows.items() if n != "model" and m.behind[0] > 0]
    others = [ERROR_LABELS[n] for n, m in rows.items() if n != "model" and m.behind[0] <= 0]
    title = _beats("fills in hidden genes", beaten, others)
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


def gain_figure(model: ModelFacts, files: tuple[str, ...]) -> Figure | None:
    """What a latent model gains over the gene means on held-out counts, beside the yardsticks."""
    rows = {name: model.reconstruction[name] for name in GAIN_LABELS if name in model.reconstruction}
    if "model" not in rows or len(rows) < 2:
        return None
    ours = rows["model"].interval or (rows["model"].value,) * 2
    spans = {n: m.interval or (m.value,) * 2 for n, m in rows.items() if n != "model"}
    beaten = [GAIN_LABELS[n] for n, (_, high) in spans.items() if ours[0] > high]
    others = [GAIN_LABELS[n] for n, (_, high) in spans.items() if ours[0] <= high]
    title = _beats("predicts counts", beaten, others)
    low, high = min(0.0, *(s[0] for s in spans.values()), ours[0]), max(ours[1], *(s[1] for s in spans.values()))
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


def reading_figure(model: ModelFacts, files: tuple[str, ...]) -> Figure | None:
    """How well cell types are read from the model, beside raw expression and the untrained network."""
    rows = {name: model.cell_types[name] for name in TYPE_LABELS if name in model.cell_types}
    ours = next((name for name in OURS if name in rows), None)
    if ours is None or len(rows) < 2:
        return None
    rivals = [name for name in rows if name not in (ours, "largest type")]
    others = [f"{percent(rows[name].value)} from {TYPE_LABELS[name]}" for name in rivals]
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


def training_figure(training: TrainingFacts, files: tuple[str, ...]) -> Figure:
    """The autoencoder's loss over training steps."""
    history = training.history
    names = {name: CONTROL_LABELS.get(name, name) for name in training.controls}
    against = [f"{names[n]} {percent(v)}" for n, v in training.controls.items()]
    title = (
        f"{training.k:g} of {training.n_features} features at a time explain "
        f"{percent(training.explained_variance)} of the inner state"
    )
    title += f" ({'; '.join(against)})" if against else " (no control was measured)"
    loss = go.Scatter(
        x=history["step"].to_numpy(),
        y=history["mse"].to_numpy(),
        mode="lines",
        name="error",
        line={"color": theme.OURS, "width": 2},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )
    plot = canvas(
        [loss],
        xaxis={"title": {"text": "training step"}},
        yaxis={"title": {"text": "mean squared error (log scale)"}, **log_axis(history["mse"])},
        showlegend=False,
    )
    said = "The controls matter more than the number itself."
    if training.measures is None or training.measures.tokens == "genes":
        said = "Much of the inner state only says which gene a token is, so the controls matter more than the number."
    rows = [("the trained autoencoder", percent(training.explained_variance, 1))]
    rows += [(names[n], percent(v, 1)) for n, v in training.controls.items()]
    return Figure(
        "sae-training",
        title,
        plot,
        "The autoencoder learns to rebuild the model's inner state from a few features at a time. The curve "
        f"should fall and level off. {percent(training.dead_share)} of its features never fire on these "
        f"cells, {percent(training.dense_share)} fire nearly always. {said}",
        f"Line plot of the training error, from {history['mse'].iloc[0]:.3g} to "
        f"{history['mse'].iloc[-1]:.3g} over {int(history['step'].iloc[-1])} steps.",
        files,
        height=320,
        numbers=NumberTable(("predictor", "variance explained"), rows),
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
    """A row of dots with intervals; ours in blue, yardsticks in grey."""
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


def _beats(does: str, beaten: list[str], others: list[str]) -> str:
    """A title that says which yardsticks the model beats, and which not."""
    title = f"The model {does} better than {listing(beaten)}" if beaten else "The model beats no yardstick"
    return f"{title}, but not clearly better than {listing(others)}" if beaten and others else title
