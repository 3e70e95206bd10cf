"""How much of every gene's gap recipes close, as a distribution, and whether they move genes the right way, from the
most different ones on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from cellprism.report.figure import Figure, canvas, percent

CURVE = 20  # genes that the curve's title speaks of
DRAWN = (-2.0, 3.0)  # shares beyond are drawn at these


class Closed(NamedTuple):
    """What a recipe does to the genes that differ between two types."""

    name: str
    colour: str
    fraction: np.ndarray
    """Share of each gene's predicted gap that is closed; NaN without a gap."""
    right: np.ndarray
    """Whether each gene moves as the counts differ, the most different gene first."""


def fraction_figure(id: str, recipes: Sequence[Closed], title: str, files: tuple[str, ...]) -> Figure:
    """Share of the gap that is closed, of every gene, a box a recipe."""
    traces = [
        go.Box(
            x=one.fraction.clip(*DRAWN), name=one.name, boxpoints="all", jitter=0.4, pointpos=0,
            marker={"color": one.colour, "size": 4}, line={"width": 1},
            hovertemplate="%{x:.2f} of the gap<extra></extra>",
        )
        for one in recipes
    ]  # fmt: skip
    return Figure(
        id, title,
        canvas(traces, xaxis={"title": {"text": "share of the predicted gap that is closed"}, "zeroline": True},
               yaxis={"ticks": ""}, showlegend=False),
        "Each dot is a differential gene: 0 where it stays, 1 where it reaches the target's mean, below 0 where it "
        f"moves away (drawn no farther than −{-DRAWN[0]:g} and {DRAWN[1]:g}). Boxes hold the middle half.",
        f"Distributions of gap shares for {len(recipes)} recipes. {title}.", files,
        height=180 + 60 * len(recipes),
    )  # fmt: skip


def curve_figure(id: str, recipes: Sequence[Closed], differ: str, files: tuple[str, ...]) -> Figure:
    """Share of genes that move the right way, from the most different ones on; ``differ`` says by what they do."""
    traces, said = [], []
    for one in recipes:
        share = np.cumsum(one.right) / np.arange(1, len(one.right) + 1)
        traces.append(go.Scatter(
            x=np.arange(1, len(share) + 1), y=share, mode="lines", name=one.name,
            line={"color": one.colour, "width": 2},
            hovertemplate="first %{x} genes<br>%{y:.0%} the right way<extra></extra>",
        ))  # fmt: skip
        if len(share):
            said.append(f"{one.name} {percent(float(share[min(CURVE, len(share)) - 1]))}")
    return Figure(
        id, f"Of the {CURVE} genes that differ most, moved as the counts differ: {', '.join(said)}",
        canvas(traces, xaxis={"title": {"text": f"differential genes, largest difference {differ} first"}},
               yaxis={"title": {"text": "share moved the right way"}, "tickformat": ".0%", "range": [0, 1.03]}),
        f"From left to right more genes are taken in, those that differ most {differ} first. The line says which share "
        "of them the recipe moves in the direction in which the counts differ; half of them would by chance.",
        f"Cumulative shares of genes moved the right way: {', '.join(said)}.", files, height=360,
    )  # fmt: skip
