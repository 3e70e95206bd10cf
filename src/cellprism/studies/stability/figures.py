"""How many features have which grade, and how well each is matched beside chance."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, percent, plain
from cellprism.studies.stability.tables import GRADES, Stability

COLOURS = {"A": theme.OURS, "B": theme.CONTROL, "C": theme.OPPOSITE}
SYMBOLS = {"A": "circle", "B": "circle-open", "C": "x"}


def graded_features(found: Stability) -> pd.DataFrame:
    """Those that fire."""
    return found.features.query("grade != ''")


def grades_figure(found: Stability, files: tuple[str, ...]) -> Figure:
    """Shares of the grades: of all features that fire, and of those with a program."""
    groups = _groups(found)
    bars = [
        go.Bar(
            y=[name for name, _ in groups], x=[shares[grade] for _, shares in groups], name=f"{grade}: {words}",
            orientation="h", marker={"color": COLOURS[grade]},
            hovertemplate=f"%{{y}}<br>{words}: %{{x:.0%}}<extra></extra>",
        )
        for grade, words in GRADES.items()
    ]  # fmt: skip
    plot = canvas(
        bars, barmode="stack", xaxis={"title": {"text": "share of features"}, "tickformat": ".0%", "range": [0, 1]},
        yaxis={"ticks": "", "showline": False}, legend={"traceorder": "normal"},
    )  # fmt: skip
    whole = groups[-1][1]
    return Figure(
        "stability-grades",
        f"{percent(whole['A'])} of features come again with another seed, {percent(whole['C'])} in no way",
        plot,
        "Grade A: at least half of the other trainings have a feature of their own that points the same way and fires "
        "at the same genes, more alike than chance. Grade B: none such, but a few of their features together rebuild "
        "it beyond chance. Grade C: neither; do not build on it.",
        "Stacked bars: " + "; ".join(
            f"{name}: " + ", ".join(f"{grade} {percent(shares[grade])}" for grade in GRADES) for name, shares in groups
        ),
        files,
        height=260,
        numbers=NumberTable(
            ("features", *(f"{grade}, {words}" for grade, words in GRADES.items())),
            [(name, *(percent(shares[grade]) for grade in GRADES)) for name, shares in groups[::-1]],
        ),
    )  # fmt: skip


def _groups(found: Stability) -> list[tuple[str, dict[str, float]]]:
    """Names and shares, the lowest bar first."""
    table = graded_features(found)
    named = table.query("program != ''")
    return [
        (f"{words} ({len(rows)})", {grade: float((rows["grade"] == grade).mean()) for grade in GRADES})
        for words, rows in (("with a program", named), ("all that fire", table))
        if len(rows)
    ]


def matches_figure(found: Stability, files: tuple[str, ...]) -> Figure:
    """Each feature: its match in other trainings beside what 95 % of drawn dictionaries reach."""
    table = graded_features(found)
    dots: list[Any] = []
    for grade in GRADES:
        rows = table.query("grade == @grade")
        hover = [f"{feature}{f', {plain(p)}' if p else ''}" for feature, p in rows[["feature", "program"]].to_numpy()]
        dots.append(
            go.Scatter(
                x=rows["chance"].to_numpy(), y=rows["likeness"].to_numpy(), mode="markers", name=f"grade {grade}",
                marker={"color": COLOURS[grade], "symbol": SYMBOLS[grade], "size": 6}, text=hover,
                hovertemplate="feature %{text}<br>match %{y:.2f}, chance %{x:.2f}<extra></extra>",
            )
        )  # fmt: skip
    line = go.Scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": theme.CONTROL, "dash": "dot"}, hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip
    above = float((table["likeness"] > table["chance"]).mean()) if len(table) else 0.0
    return Figure(
        "stability-matches",
        f"{percent(above)} of features are matched better on average than 95 % of chance allows",
        canvas(
            [line, *dots], xaxis={"title": {"text": "best that chance gives (95 % of draws)"}, "range": [0, 1]},
            yaxis={"title": {"text": "match in other trainings, mean"}, "range": [0, 1]},
        ),
        "Each dot is a feature. Upwards: how much its match in the other trainings is like it, by direction and by "
        "genes, whichever is less. To the right: how much one in twenty dictionaries that nobody trained is like it. "
        "Features that point where the inner state varies most are found by anybody; those above the dotted line by "
        "training.",
        f"Scatter plot of {len(table)} features, match in other trainings against what chance gives.",
        files,
        height=380,
    )  # fmt: skip
