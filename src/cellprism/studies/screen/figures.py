"""Derivatives beside exact effects, description beside effect, and how far is too far."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.effect import change_axis, on_axis
from cellprism.report.figure import Figure, canvas, plain
from cellprism.report.frames import numbers, texts, where
from cellprism.report.words import Words
from cellprism.studies.screen.tables import CARDS, FROZEN, GRADIENT, KINDS, OWN_TOKENS, SUMMARY, Summary, score_of

FILES = (f"screen/{CARDS}", f"screen/{SUMMARY}")
STYLES = {
    GRADIENT: (theme.CONTROL, "circle-open"), FROZEN: (theme.OPPOSITE, "diamond-open"),
    OWN_TOKENS: (theme.OURS, "circle"),
}  # fmt: skip
STRENGTH = 5.0
"""At which derivatives are drawn beside exact passes."""


def agreement_figure(summary: Summary, cards: pd.DataFrame) -> Figure | None:
    """Exact change at strength 5 against what each kind says of it, a dot a feature; None without a number."""
    if not summary.scalars:
        return None
    name = next(iter(summary.scalars))
    exact = f"exact {STRENGTH:g}: {name}"
    passed = where(cards, cards[exact].notna())
    traces, said = [], []
    for kind, (colour, symbol) in STYLES.items():
        x, y = (STRENGTH - 1) * numbers(passed, f"{score_of(kind, STRENGTH)}: {name}"), numbers(passed, exact)
        labels = [f"feature {f}" for f in texts(passed, "feature")]
        traces.append(go.Scatter(
            x=x, y=y, mode="markers", name=KINDS[kind], text=labels,
            marker={"color": colour, "symbol": symbol, "size": 8},
            hovertemplate="<b>%{text}</b><br>by derivative %{x:+.2g}<br>exactly %{y:+.2g}<extra></extra>",
        ))  # fmt: skip
        r = next((a.r for a in summary.agreement if (a.scalar, a.kind, a.features, a.strength)
                  == (name, kind, "random", STRENGTH)), None)  # fmt: skip
        said.append(f"{'–' if r is None else format(r, '+.2f').replace('-', '−')} ({KINDS[kind]})")
    ends = [*numbers(passed, exact), *((STRENGTH - 1) * numbers(passed, f"{score_of(OWN_TOKENS, STRENGTH)}: {name}"))]
    span = [min(ends, default=0), max(ends, default=0)]
    traces.append(go.Scatter(
        x=span, y=span, mode="lines", name="as derived", line={"color": theme.CONTROL, "dash": "dot", "width": 1},
        hoverinfo="skip",
    ))  # fmt: skip
    plot = canvas(
        traces, xaxis={"title": {"text": "change at strength 5 by derivatives"}, "zeroline": True},
        yaxis={"title": {"text": "exact change at strength 5"}, "zeroline": True},
    )  # fmt: skip
    return Figure(
        "screen-agreement",
        f"Derivatives beside exact passes, rank correlation over random features: {', '.join(said)}",
        plot,
        f"Each dot is a feature that was passed exactly; the number is the {summary.scalars[name]}. Across: what is "
        "said of all features at once, for the way from strength 1 to 5. Up: what the feature does. On the dotted line "
        "both say the same. Grey is the plain gradient, orange holds attention and norms fixed, blue passes the tokens "
        "at which a feature fires exactly and takes the gradient for all others. The correlations are rank "
        "correlations over the random features.",
        f"Scatter of derivative and exact effect: {', '.join(said)}.", FILES, height=420,
    )  # fmt: skip


def quadrant_figure(summary: Summary, cards: pd.DataFrame, words: Words) -> Figure:
    """Description across, effect up, a dot a feature, medians as lines."""
    says, does = numbers(cards, "described"), on_axis(numbers(cards, "effect"), words.unit)
    r, span = summary.described_effect, summary.described_interval
    named = zip(texts(cards, "feature"), texts(cards, "program"), strict=True)
    labels = [f"feature {f}: {plain(p) or 'no program'}" for f, p in named]
    dots = go.Scatter(
        x=says, y=does, mode="markers", text=labels, name="a feature", marker={"color": theme.OURS, "size": 6},
        hovertemplate="<b>%{text}</b><br>description %{x:.1f}, effect %{y}<extra></extra>",
    )  # fmt: skip
    line = {"color": theme.CONTROL, "width": 1, "dash": "dot"}
    middle = [
        {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": float(np.median(says)), "x1": float(np.median(says)),
         "line": line},
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": float(np.median(does)), "y1": float(np.median(does)),
         "line": line},
    ]  # fmt: skip
    value = "not measured" if r is None else format(r, "+.2f").replace("-", "−")
    among = "" if span is None else f" (95 % over features: {span[0]:+.2f} to {span[1]:+.2f})".replace("-", "−")
    others = "; ".join(
        f"{one.kind} {', '.join('–' if v is None else format(v, '+.2f') for v in one.describes)}"
        for one in summary.others if one.describes
    ).replace("-", "−")  # fmt: skip
    counts = ", ".join(f"{n} {name}" for name, n in summary.quadrants.items())
    return Figure(
        "screen-quadrants", f"How well a feature is described goes with what it does by {value}",
        canvas(
            [dots], xaxis={"title": {"text": "description: −log10 q of its best program"}},
            yaxis={**change_axis("effect at equal edit", words), "rangemode": "tozero"},
            shapes=middle,
        ),
        f"Each dot is a feature. Across: how well a program describes the genes {words.own}. Up: how much it moves all "
        f"genes, at equal size of the edit. Lines are medians: {counts}. Rank correlation {value}{among}; of the "
        f"features of each dictionary that nobody trained: {others or 'none was made'}.",
        f"Scatter of description and effect, rank correlation {value}.", FILES, height=420,
    )  # fmt: skip


def range_figure(cards: pd.DataFrame) -> Figure | None:
    """Plausible strengths of the features that were passed exactly, a bar a feature; None without any."""
    told = where(cards, cards["plausible_low"].notna())
    if not len(told):
        return None
    told = told.sort_values(["plausible_high", "plausible_low"], kind="stable")
    low, high = numbers(told, "plausible_low"), numbers(told, "plausible_high")
    names = [f"feature {f}" for f in texts(told, "feature")]
    bars = go.Bar(
        y=names, x=high - low, base=low, orientation="h", name="plausible strengths", marker={"color": theme.OURS},
        customdata=np.stack([low, high], axis=1),
        hovertemplate="<b>%{y}</b><br>%{customdata[0]:g} to %{customdata[1]:g}<extra></extra>",
    )  # fmt: skip
    line = {"color": theme.CONTROL, "width": 1, "dash": "dot"}
    both = int(((low <= -3) & (high >= 5)).sum())
    return Figure(
        "screen-ranges",
        f"{both} of {len(told)} features may be turned from −3 to 5 before cells stop looking like cells",
        canvas(
            [bars], xaxis={"title": {"text": "strength (1 = untouched)"}, "zeroline": True},
            yaxis={"ticks": "", "type": "category", "tickfont": {"size": 10}, "dtick": 1},
            shapes=[
                {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": line} for x in (1, 5)
            ],
            bargap=0.35,
        ),
        "Each bar is a feature that was passed exactly: the strengths, of those tried, at which the edited places of "
        "cells still lie as near to those of real cells as 95 % of real ones do, after every block that follows, and "
        "at which the autoencoder fits them as well as it does 95 % of real ones. Beyond a bar, what the model says is "
        "not to be believed. Dotted: untouched, and strength 5.",
        f"Bars of plausible strengths of {len(told)} features.", FILES, height=120 + 14 * len(told),
    )  # fmt: skip
