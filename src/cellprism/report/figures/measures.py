"""How often features fire, and which genes are reconstructed."""

from itertools import pairwise

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.facts import MeasureFacts
from cellprism.report.figures.figure import Figure, NumberTable, canvas, percent
from cellprism.report.words import words_for


def firing_figure(measures: MeasureFacts, files: tuple[str, ...]) -> Figure:
    """Features by how often they fire."""
    edges, counts = measures.firing_edges, measures.firing_counts
    total = sum(counts) + measures.never
    often = sum(c for low, c in zip(edges, counts, strict=False) if low >= -1)
    where = words_for(measures.tokens).tokens
    title = (
        f"{percent(measures.never / total)} of features never fire, {percent(often / total)} fire in a tenth of the "
        f"{where} or more"
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
        f"Histogram of {total} features by how often they fire; {measures.never} never do.",
        files,
        height=320,
        narrow={"xaxis.tickangle": -45},
        numbers=NumberTable((f"share of {where}", "features"), [("never", f"{measures.never}"), *rows]),
    )


def class_table(measures: MeasureFacts) -> NumberTable | None:
    """Fit per class of genes."""
    if not measures.classes:
        return None
    rows = [
        (
            str(row["class"]), f"{row['genes']}", percent(row["variance_share"], 1), percent(row["error_share"], 1),
            percent(row["explained_variance"], 1),
        )
        for row in measures.classes
    ]  # fmt: skip
    return NumberTable(("genes", "how many", "share of variance", "share of error", "variance explained"), rows)
