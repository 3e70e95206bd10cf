"""Factors and their targets: over all factors, one by one, beside experiments, and as the published work drew TBX21."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.regulation.inference import COEXPRESSED, DIRECTED, DIRECTION, FORWARD, UNTOLD, Overall
from cellprism.report import theme
from cellprism.report.effect import change_axis, changed, on_axis
from cellprism.report.figure import Figure, NumberTable, canvas, plain, wrapped
from cellprism.report.frames import numbers, records, texts, where
from cellprism.report.words import Words
from cellprism.studies.regulation.tables import (
    COEXPRESSION,
    DOSE,
    EVERY,
    MODEL,
    RIDGE,
    UNTRAINED,
    WITHOUT_EDGE,
    Facts,
)

ALIKE = "alike"
PANELS = {
    ALIKE: "targets moved more than genes of like expression",
    FORWARD: "… than genes of like expression and co-expression",
    DIRECTION: "targets moved more than they move the factor",
}
NAMES = {
    MODEL: "the model", UNTRAINED: "untrained networks", RIDGE: "ridge regression",
    COEXPRESSION: "co-expression alone",
    WITHOUT_EDGE: "the model, co-expressed pairs without an edge",
}  # fmt: skip
ANSWERS = {
    UNTOLD: (theme.CONTROL, "circle-open"), COEXPRESSED: (theme.OPPOSITE, "square"), DIRECTED: (theme.OURS, "diamond"),
}  # fmt: skip
TALL, GAP = 190, 0.42  # pixels a panel; of a panel's place, for its axis


def overall_figure(facts: Facts, files: tuple[str, ...]) -> Figure:
    """Mean AUROCs over factors, a panel a measure, a line a source."""
    traces, layout, said = [], {}, []
    ends = [end for one in facts.overall if one.probe == DOSE for end in one.interval]
    span = [min(ends) - 0.01, max(ends) + 0.01]
    for number, (measure, title) in enumerate(PANELS.items()):
        rows = [(name, one) for source, name in NAMES.items() if (one := facts.of(measure, source))]
        traces.append(_panel(rows, number))
        layout |= _axes(title, number, len(PANELS), span)
        said += [f"{title}, {name}: {one.value:.3f}" for name, one in rows]
    return Figure(
        "regulation-overall",
        "Targets beside matched genes: the model and what it stands beside",
        canvas(traces, shapes=_halves(len(PANELS)), **layout),
        "Each mark is a mean over factors of the chance that one of its targets exceeds a gene matched to it, its bar "
        "the 95 % t interval over factors, or over untrained networks; at one half targets are like any other gene. "
        "The first panel matches genes in "
        "expression alone, so that whatever knows co-expression lies to the right. The second matches them in "
        "co-expression "
        "with the factor as well: what is left is more than that. The third compares both directions gene by gene. "
        "Co-expression is the same both ways and lies at one half there.",
        "Dot plots of matched AUROCs. " + "; ".join(said),
        files,
        height=70 + TALL * len(PANELS),
        numbers=_numbers_of(facts),
    )


def _panel(rows: Sequence[tuple[str, Overall]], number: int) -> Any:
    place = str(number + 1) if number else ""
    rows = rows[::-1]
    ours = [one.source == MODEL for _, one in rows]
    return go.Scatter(
        x=[one.value for _, one in rows], y=[wrapped(name, 26) for name, _ in rows], mode="markers", showlegend=False,
        marker={
            "color": [theme.OURS if mine else theme.CONTROL for mine in ours], "size": 10,
            "symbol": ["circle" if mine else "square" for mine in ours],
        },
        error_x={
            "type": "data", "symmetric": False, "color": theme.CONTROL, "thickness": 2, "width": 5,
            "array": [one.interval[1] - one.value for _, one in rows],
            "arrayminus": [one.value - one.interval[0] for _, one in rows],
        },
        hovertemplate="<b>%{y}</b><br>%{x:.3f}<extra></extra>", xaxis=f"x{place}", yaxis=f"y{place}",
    )  # fmt: skip


def _halves(n: int) -> list[dict[str, Any]]:
    """A line at one half in each of n panels."""
    look = {"type": "line", "x0": 0.5, "x1": 0.5, "y0": 0, "y1": 1, "line": {"color": theme.CONTROL, "dash": "dot"}}
    places = ["", *(str(i + 1) for i in range(1, n))]
    return [{**look, "xref": f"x{place}", "yref": f"y{place} domain"} for place in places]


def _axes(title: str, number: int, n: int, span: list[float]) -> dict[str, Any]:
    place, share = str(number + 1) if number else "", 1 / (n - GAP)
    top = 1 - number * share
    return {
        f"xaxis{place}": {
            "title": {"text": wrapped(title, 29)}, "anchor": f"y{place}", "showgrid": True, "range": span,
        },
        f"yaxis{place}": {
            "domain": [max(0.0, top - (1 - GAP) * share), top], "anchor": f"x{place}", "ticks": "", "showline": False,
            "type": "category",
        },
    }  # fmt: skip


def _numbers_of(facts: Facts) -> NumberTable:
    header = (
        "measure",
        "effects of",
        "probe",
        "mean AUROC",
        "95 % interval",
        "p (sign flips)",
        "p (no difference)",
        "factors",
        "untrained networks",
    )
    rows = [
        (
            one.measure, one.source, one.probe, f"{one.value:.3f}", f"{one.interval[0]:.3f} to {one.interval[1]:.3f}",
            f"{one.p:.2g}", f"{one.equivalence:.2g}", str(one.factors), str(one.networks or "–"),
        )
        for one in facts.overall
    ]  # fmt: skip
    return NumberTable(header, rows)


def factors_figure(factors: pd.DataFrame, files: tuple[str, ...]) -> Figure:
    """Every factor: how often it moves its targets more than their matches, against how often they move it more."""
    mine = where(factors, (factors["type"] == EVERY) & (factors["probe"] == DOSE))
    traces = []
    for answer, (colour, symbol) in ANSWERS.items():
        some = where(mine, mine["answer"] == answer)
        traces.append(go.Scatter(
            x=numbers(some, "reverse"), y=numbers(some, "forward"), mode="markers", name=f"{answer} ({len(some)})",
            text=[
                f"{plain(row.factor)}<br>{row.targets} targets, direction {row.direction:.2f}, {row.detectable:.2f} "
                "would have shown"
                for row in records(some)
            ],
            marker={"color": colour, "symbol": symbol, "size": 9},
            hovertemplate="<b>%{text}</b><br>forward %{y:.2f}, reverse %{x:.2f}<extra></extra>",
        ))  # fmt: skip
    line = {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": {"color": theme.CONTROL, "dash": "dot"}}
    said = ", ".join(f"{trace.name}" for trace in traces)
    power = float(np.median(numbers(mine, "detectable"))) if len(mine) else np.nan
    return Figure(
        "regulation-factors",
        f"Factor by factor: {said}",
        canvas(
            traces, shapes=[line],
            xaxis={"title": {"text": "targets move the factor more than matched genes do"}, "range": [0, 1]},
            yaxis={"title": {"text": "factor moves targets more than matched genes"}, "range": [0, 1]},
        ),
        "Each mark is a factor; both axes are chances, one half is like any other gene. A factor that drives its "
        "targets lies high and to the left. A mark in the middle means little by itself: half of the factors would "
        f"have shown a difference of {power:.2f} or less from one half with 80 % power. --tf NAME draws a factor's "
        "targets one by one.",
        f"Scatter of forward against reverse chances, a mark a factor: {said}",
        files,
        height=430,
    )  # fmt: skip


def median_changes(pairs: pd.DataFrame, factor: str) -> dict[tuple[str, str], float]:
    """Median size of a factor's effects as they are, by group and way."""
    own = where(pairs, pairs["factor"] == factor)
    found = {}
    for group in ("target", "matched"):
        some = where(own, own["group"] == group)
        for way in ("forward", "reverse"):
            size = np.abs(numbers(some, f"{way}_change"))
            found[group, way] = float(np.median(size[~np.isnan(size)])) if (~np.isnan(size)).any() else np.nan
    return found


def factor_figure(factor: str, pairs: pd.DataFrame, row: Any, words: Words, files: tuple[str, ...]) -> Figure:
    """Forward against reverse effects of one factor, its targets and the genes matched to them."""
    own = where(pairs, pairs["factor"] == factor)
    traces, top = [], 0.0
    for group, name, colour, symbol in (
        ("matched", "genes matched to them", theme.CONTROL, "circle-open"),
        ("target", "targets", theme.OURS, "diamond"),
    ):
        some = where(own, own["group"] == group)
        x, y = (np.abs(numbers(some, way)) for way in ("reverse", "forward"))
        top = max([top, *x[~np.isnan(x)], *y[~np.isnan(y)]])
        traces.append(go.Scatter(
            x=x, y=y, mode="markers", name=name, text=[plain(gene) for gene in texts(some, "gene")],
            marker={"color": colour, "symbol": symbol, "size": 9 if group == "target" else 7},
            hovertemplate="<b>%{text}</b><br>forward %{y:.2f}, reverse %{x:.2f}<extra></extra>",
        ))  # fmt: skip
    line = {"type": "line", "x0": 0, "y0": 0, "x1": top, "y1": top, "line": {"color": theme.CONTROL, "dash": "dot"}}
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in factor.lower())
    return Figure(
        f"regulation-factor-{slug}",
        f"{factor}: {row.answer} (direction {row.direction:.2f}, {row.targets} targets; one half is chance)",
        canvas(
            traces, shapes=[line],
            xaxis={"title": {"text": f"target raised, {plain(factor)} read (balanced)"}},
            yaxis={"title": {"text": f"{plain(factor)} raised, target read (balanced)"}},
        ),
        "Each mark is a gene: how far raising the factor moves it (upwards) and how far raising it moves the factor "
        "(to the "
        "right), where the gene that is read is hidden from the model. 1 is what is usual for that pair of genes, "
        "whatever others they move. A factor that drives its targets has them above the dotted line, farther above "
        "than "
        f"the genes matched to them. "
        f"{_in_words(factor, pairs, words)} {row.detectable:.2f} more or less than one half would have shown with "
        "80 % power.",
        f"Scatter of forward against reverse effects of {factor}: "
        + ", ".join(
            f"{group} forward {np.nanmean(np.abs(numbers(where(own, own['group'] == group), 'forward'))):.2f}, reverse "
            f"{np.nanmean(np.abs(numbers(where(own, own['group'] == group), 'reverse'))):.2f}"
            for group in ("target", "matched")
        ),
        files,
        height=430,
    )  # fmt: skip


def _in_words(factor: str, pairs: pd.DataFrame, words: Words) -> str:
    size = {key: changed(value, words.unit).removeprefix("+") for key, value in median_changes(pairs, factor).items()}
    return (
        f"As amounts, {factor} raised from no count to its dose changes its targets by {size['target', 'forward']} and "
        f"their matches by {size['matched', 'forward']} (medians), and targets change {factor} by "
        f"{size['target', 'reverse']}, matches by {size['matched', 'reverse']}."
    )


def dose_figure(doses: pd.DataFrame, words: Words, files: tuple[str, ...]) -> Figure:
    """Mean size of the first factor's effects at each dose, forward and reverse."""
    factor, traces, said = str(doses["factor"].iloc[0]), [], []
    for group, colour in (("target", theme.OURS), ("matched", theme.CONTROL)):
        for way, dash in (("forward", "solid"), ("reverse", "dash")):
            some = where(doses, doses["group"] == group)
            mean = some.assign(size=np.abs(numbers(some, way))).groupby("quantile")["size"].mean()
            traces.append(go.Scatter(
                x=[0.0, *mean.index], y=[0.0, *on_axis(mean, words.unit)], mode="lines+markers", name=f"{group}, {way}",
                line={"color": colour, "dash": dash, "width": 2.5},
                marker={"symbol": "circle" if way == "forward" else "diamond", "size": 8},
                text=[changed(v, words.unit) for v in (0.0, *mean)],
                hovertemplate=f"{group}, {way}<br>%{{text}}<extra></extra>",
            ))  # fmt: skip
            said.append(f"{group}, {way} {changed(mean.iloc[-1], words.unit)}")
    return Figure(
        "regulation-doses",
        f"{factor}: effects at each dose",
        canvas(
            traces, xaxis={"title": {"text": "dose: quantile of the gene's own input (0: no count)"}},
            yaxis={**change_axis("mean size of change", words), "rangemode": "tozero"},
        ),
        "Whole lines: the factor is raised and genes are read; broken ones: genes are raised and the factor is read. "
        "These "
        "are not balanced: a factor that is expressed little moves little.",
        f"Lines of effect against dose; at the last dose {', '.join(said)}",
        files,
    )  # fmt: skip


def experiment_figure(facts: Facts, files: tuple[str, ...]) -> Figure:
    """Rank correlations with measured effects, a line an experiment, a mark a source."""
    names = list(dict.fromkeys(row.experiment for row in facts.measured))[::-1]
    traces, offset = [], {MODEL: 0.24, COEXPRESSION: 0.08, RIDGE: -0.08, UNTRAINED: -0.24}
    look = {
        MODEL: (theme.OURS, "circle"), COEXPRESSION: (theme.CONTROL, "square"), RIDGE: (theme.CONTROL, "diamond"),
        UNTRAINED: (theme.CONTROL, "x"),
    }  # fmt: skip
    for source, shift in offset.items():
        rows = [row for row in facts.measured if row.source == source]
        traces.append(go.Scatter(
            x=[row.rho for row in rows], y=[names.index(row.experiment) + shift for row in rows], mode="markers",
            name=NAMES[source], marker={"color": look[source][0], "symbol": look[source][1], "size": 9},
            text=[plain(f"{row.experiment}, {row.genes} genes") for row in rows],
            error_x={
                "type": "data", "symmetric": False, "color": look[source][0], "thickness": 1.5, "width": 3,
                "array": [row.interval[1] - row.rho for row in rows],
                "arrayminus": [row.rho - row.interval[0] for row in rows],
            },
            hovertemplate="<b>%{text}</b><br>%{x:+.3f}<extra></extra>",
        ))  # fmt: skip
    ours = [row for row in facts.measured if row.source == MODEL]
    return Figure(
        "regulation-experiments",
        "Effects in the model beside measured ones",
        canvas(
            traces, xaxis={"title": {"text": "Spearman correlation with the measured effect"}, "zeroline": True},
            yaxis={
                "tickvals": list(range(len(names))), "ticktext": [wrapped(name, 28) for name in names], "ticks": "",
                "showline": False,
            },
        ),
        "Each line is an experiment; marks say how well the order of effects goes with the measured order, with 95 % "
        "intervals. To the right: genes that raise the gene in the experiment raise it in the model. What counts is by "
        "how "
        "much the circle lies to the right of the squares: that much the model knows beyond co-expression.",
        "Dot plot of rank correlations; the model: " + ", ".join(f"{row.experiment} {row.rho:+.2f}" for row in ours),
        files,
        height=110 + 62 * len(names),
        numbers=_measured_numbers(facts),
    )  # fmt: skip


def _measured_numbers(facts: Facts) -> NumberTable:
    header = (
        "experiment",
        "effects of",
        "genes",
        "detectable",
        "power at .28",
        "rank correlation",
        "95 %",
        "by expression alone",
        "p",
    )
    rows = [
        (
            row.experiment, row.source, str(row.genes), f"{row.detectable:.2f}", f"{row.power:.0%}", f"{row.rho:+.3f}",
            f"{row.interval[0]:+.2f} to {row.interval[1]:+.2f}", f"{row.chance:+.2f}", f"{row.p:.2g}",
        )
        for row in facts.measured
    ]  # fmt: skip
    return NumberTable(header, rows)


def factor_row(factors: pd.DataFrame, factor: str, kind: str) -> Any:
    """A factor's row of doses in a cell type, or over all."""
    found = where(factors, (factors["factor"] == factor) & (factors["type"] == kind) & (factors["probe"] == DOSE))
    return next(records(found), None)
