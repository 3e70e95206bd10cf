"""TBX21 as the published work asked: features at one token turned by themselves, another gene read."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.effect import change_axis, changed, on_axis
from cellprism.report.figure import Figure, canvas, plain
from cellprism.report.frames import numbers, texts, where
from cellprism.report.words import Words
from cellprism.studies.regulation.tables import NO_TARGET, PUBLISHED, TARGET

READING = (
    "A factor that drives its targets moves them (circles) and is not moved by them (diamonds). Three targets cannot "
    "decide it. Genes that the model does not have are left out."
)


def mean_changes(preset: pd.DataFrame) -> pd.DataFrame:
    """gene, group, way, alpha, effect: means over features, weighted by the cells in which each fires."""
    weighed = preset.assign(total=numbers(preset, "effect") * numbers(preset, "cells"))
    keys = ["gene", "group", "way", "alpha"]
    found = weighed.groupby(keys, as_index=False, sort=False)[["total", "cells"]].sum()
    return found.assign(effect=found["total"] / found["cells"]).loc[:, [*keys, "effect"]]


def preset_figure(preset: pd.DataFrame, words: Words, files: tuple[str, ...]) -> Figure:
    """The published genes at every strength, forward and reverse."""
    mean = mean_changes(preset)
    genes = [gene for gene in dict.fromkeys(texts(mean, "gene")) if gene in PUBLISHED]
    traces, layout, said = [], {}, []
    for number, gene in enumerate(genes):
        place = str(number + 1) if number else ""
        for way, colour, symbol in (("forward", theme.OURS, "circle"), ("reverse", theme.OPPOSITE, "diamond")):
            some = where(mean, (mean["gene"] == gene) & (mean["way"] == way)).sort_values("alpha")
            value = numbers(some, "effect")
            traces.append(go.Scatter(
                x=numbers(some, "alpha"), y=on_axis(value, words.unit), mode="lines+markers", name="TBX21 turned, gene "
                "read" if way == "forward" else "gene turned, TBX21 read", line={"color": colour, "width": 2},
                marker={"symbol": symbol, "size": 7}, showlegend=not number, xaxis=f"x{place}", yaxis=f"y{place}",
                text=[changed(v, words.unit) for v in value],
                hovertemplate=f"<b>{plain(gene)}</b>, {way}<br>strength %{{x}}: %{{text}}<extra></extra>",
            ))  # fmt: skip
            if len(value):
                said.append(f"{gene} {way} {changed(value[-1], words.unit)}")
        left, group = number / len(genes), TARGET if PUBLISHED[gene] == TARGET else NO_TARGET
        layout[f"xaxis{place}"] = {
            "domain": [left + 0.03 * (number > 0), left + 1 / len(genes) - 0.03], "anchor": f"y{place}",
            "title": {"text": f"{plain(gene)}<br>{group}"},
        }  # fmt: skip
        axis = change_axis("change", words) if not number else {**change_axis("", words), "showticklabels": False}
        layout[f"yaxis{place}"] = {**axis, "anchor": f"x{place}", "matches": "y" if number else None}
    return Figure(
        "regulation-tbx21",
        "TBX21 as the published work asked: features at one token turned, another gene read",
        canvas(traces, **layout),
        "Every feature that fires at the token is turned by itself to the strength below; the line is their mean, "
        f"weighted by the cells in which they fire. {READING}",
        "Lines of effect against strength; at the largest strength " + ", ".join(said),
        files,
        height=340,
    )


def preset_targets_figure(preset: pd.DataFrame, words: Words, files: tuple[str, ...]) -> Figure:
    """Every target at the largest strength: TBX21 turned against the target turned."""
    mean = mean_changes(preset)
    most = numbers(mean, "alpha").max()
    traces, said = [], []
    for group, name, colour, symbol in (
        (NO_TARGET, "published as no target", theme.CONTROL, "circle-open"), (TARGET, "targets", theme.OURS, "diamond"),
    ):  # fmt: skip
        some = where(mean, (mean["group"] == group) & (mean["alpha"] == most))
        ways = some.pivot(index="gene", columns="way", values="effect").reindex(columns=["forward", "reverse"]).dropna()
        ahead, back = (np.abs(numbers(ways, way)) for way in ("forward", "reverse"))
        traces.append(go.Scatter(
            x=on_axis(back, words.unit), y=on_axis(ahead, words.unit), mode="markers", name=name,
            text=[plain(gene) for gene in ways.index], marker={"color": colour, "symbol": symbol, "size": 9},
            hovertemplate="<b>%{text}</b><br>moved %{y}, moves TBX21 %{x}<extra></extra>",
        ))  # fmt: skip
        if len(ways):
            said.append(
                f"{len(ways)} {name}: {int((ahead > back).sum())} above the line, median "
                f"{changed(float(np.median(ahead)), words.unit)} against {changed(float(np.median(back)), words.unit)}"
            )
    tops = [float(max(trace.x.max(initial=0), trace.y.max(initial=0))) for trace in traces]
    line = {"type": "line", "x0": 0, "y0": 0, "x1": max(tops), "y1": max(tops)}
    return Figure(
        "regulation-tbx21-targets",
        f"TBX21 and all of its targets, features turned to {most:g}",
        canvas(
            traces, shapes=[{**line, "line": {"color": theme.CONTROL, "dash": "dot"}}],
            xaxis=change_axis("target turned, TBX21 moves by", words),
            yaxis=change_axis("TBX21 turned, target moves by", words),
        ),
        "Each mark is a gene, at its mean over features. Above the dotted line TBX21 moves it more than it moves "
        "TBX21. " + "; ".join(said) + ". Tokens differ in how much they move whatever they stand for, so that this "
        "picture alone says nothing of regulation; effects are balanced in the figure of TBX21 above.",
        "Scatter of forward against reverse changes; " + "; ".join(said),
        files,
        height=430,
    )  # fmt: skip
