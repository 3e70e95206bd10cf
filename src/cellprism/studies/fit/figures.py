"""The training of the autoencoder, how often features fire, and which genes are reconstructed."""

from itertools import pairwise

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.context import Context
from cellprism.report.figure import Figure, NumberTable, canvas, log_axis, percent, wrapped
from cellprism.studies.fit.labels import CONTROL_LABELS
from cellprism.studies.fit.tables import Fit, Measures


def training_figure(found: Fit, context: Context, files: tuple[str, ...]) -> Figure:
    """The autoencoder's loss over training steps."""
    history, training = found.history, found.measures
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
    if context.tokens == "genes":
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


def firing_figure(measures: Measures, context: Context, files: tuple[str, ...]) -> Figure:
    """Features by how often they fire."""
    edges, counts = measures.firing.log10_edges, measures.firing.features
    total = sum(counts) + measures.firing.never
    often = sum(c for low, c in zip(edges, counts, strict=False) if low >= -1)
    where = context.words.tokens
    title = (
        f"{percent(measures.firing.never / total)} of features never fire, {percent(often / total)} fire in a tenth of "
        f"the {where} or more"
    )
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    shown = [f"once in {10**-m:,.0f} {where}" for m in middles]
    bars = go.Bar(
        x=middles,
        y=counts,
        marker={"color": theme.OURS},
        customdata=shown,
        hovertemplate="about %{customdata}: %{y} features<extra></extra>",
    )
    ticks = list(range(-6, 1))
    words = ["1 in a million", "1 in 100,000", "1 in 10,000", "1 in 1,000", "1 in 100", "1 in 10", "always"]
    plot = canvas(
        [bars],
        xaxis={
            "title": {"text": f"share of {where} in which a feature fires"},
            "tickvals": ticks,
            "ticktext": words,
        },
        yaxis={"title": {"text": "features"}},
        bargap=0.08,
        showlegend=False,
    )
    rows = [(f"{10**m:.1e}", f"{c}") for m, c in zip(middles, counts, strict=True) if c]
    return Figure(
        "feature-firing",
        title,
        plot,
        "Each bar counts the features that fire about as often as the place on the axis says. Features far on the left "
        "are so rare that little can be said of them; features on the right fire nearly everywhere and mean little.",
        f"Histogram of {total} features by how often they fire; {measures.firing.never} never do.",
        files,
        height=320,
        narrow={"xaxis.tickangle": -45},
        numbers=NumberTable((f"share of {where}", "features"), [("never", f"{measures.firing.never}"), *rows]),
    )


def class_table(measures: Measures) -> NumberTable | None:
    """Fit per class of genes."""
    if not measures.classes:
        return None
    rows = [
        (
            row.name, f"{row.genes}", percent(row.variance_share, 1), percent(row.error_share, 1),
            "–" if row.explained_variance is None else percent(row.explained_variance, 1),
        )
        for row in measures.classes
    ]  # fmt: skip
    return NumberTable(("genes", "how many", "share of variance", "share of error", "variance explained"), rows)


def beside_figure(measures: Measures, files: tuple[str, ...]) -> Figure | None:
    """The variance that the trained directions explain, beside directions that nobody trained; None without any."""
    fair = measures.fair
    if fair is None:
        return None
    rows = sorted(fair.rows, key=lambda row: -row.explained)
    names = [CONTROL_LABELS[row.kind] for row in rows]
    dots = [
        go.Scatter(
            x=[row.explained for row in rows], y=[wrapped(name) for name in names], mode="markers",
            marker={"color": theme.CONTROL, "symbol": "square", "size": 10},
            error_x={
                "type": "data", "symmetric": False, "color": theme.CONTROL, "thickness": 2, "width": 5,
                "array": [row.interval[1] - row.explained for row in rows],
                "arrayminus": [row.explained - row.interval[0] for row in rows],
            },
            hovertemplate="<b>%{y}</b>: %{x:.1%}<extra></extra>",
        ),
        go.Scatter(
            x=[fair.trained], y=["the trained autoencoder"], mode="markers",
            marker={"color": theme.OURS, "symbol": "circle", "size": 11}, hovertemplate="%{x:.1%}<extra></extra>",
        ),
    ]  # fmt: skip
    plot = canvas(
        dots,
        xaxis={"title": {"text": "variance explained"}, "tickformat": ".0%", "showgrid": True},
        yaxis={"ticks": "", "showline": False, "type": "category", "autorange": "reversed",
               "categoryarray": ["the trained autoencoder", *map(wrapped, names)]},
        showlegend=False,
    )  # fmt: skip
    table = [("the trained autoencoder", f"{measures.n_features}", percent(fair.trained, 1), "–", "–")]
    for name, row in zip(names, rows, strict=True):
        low, high = row.interval
        shown = f"{percent(row.explained, 1)} [{percent(low, 1)}, {percent(high, 1)}]"
        table.append((name, f"{row.atoms}", shown, f"{row.p:.2g}", f"{row.draws}"))
    return Figure(
        "sae-beside-untrained",
        f"The trained autoencoder explains {percent(fair.trained, 1)}, {names[0]} {percent(rows[0].explained, 1)}",
        plot,
        f"Each of {fair.tokens:,} vectors is rebuilt from {fair.k} directions at a time, by the same matching pursuit. "
        "Grey: directions that nobody trained, taken from other cells; the bar holds 95 % of their draws. Training is "
        "worth something where the blue mark lies to the right of all.",
        "Dot plot of variance explained: " + "; ".join(f"{row[0]} {row[2]}" for row in table),
        files,
        height=120 + 50 * len(table),
        narrow={"yaxis.tickfont.size": 11},
        numbers=NumberTable(("directions", "how many", "variance explained", "p", "draws"), table),
    )
