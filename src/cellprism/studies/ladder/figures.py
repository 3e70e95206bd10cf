"""The ladder as a figure, one a list rule; and how far features spread, and how informative their programs are."""

import math
from typing import Any

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, listing, log_axis, percent, plain
from cellprism.studies.ladder.labels import label_of, words_of
from cellprism.studies.ladder.tables import Information, Ladder, RuleResult, Rung

ROW = 25  # pixels a rung
OURS = "features"
SOURCES = {
    "features": OURS,
    "untrained": "untrained autoencoder (E4)",
    "tokens": "vectors of the inner state",
    "permuted": "counts permuted (E7)",
    "neurons": "neurons, tails apart (E8)",
    "popularity": "lists of genes as popular (E1)",
}
LOOKS = {
    "features": (theme.OURS, "solid"), "untrained": (theme.CONTROL, "dash"), "tokens": (theme.PROGRAMS[2], "dot"),
    "permuted": (theme.OPPOSITE, "dashdot"), "neurons": (theme.OPPOSITE, "dash"), "popularity": (theme.CONTROL, "dot"),
}  # fmt: skip


def ladder_figure(found: Ladder, rule: RuleResult, verdict: str, files: tuple[str, ...]) -> Figure:
    """Annotated rate of every rung under one rule, the features' across all of them; ``verdict`` is that of the
    claim."""
    rows = rule.rungs
    labels = [label_of(rung.name, found.brought) for rung in rows]
    low, high = rule.interval or (rule.share, rule.share)
    looks = {
        "fair": ("control", theme.CONTROL, "square"),
        "hardest": ("hardest fair control", theme.OPPOSITE, "diamond"),
        "unfair": ("shown, not judged", theme.CONTROL, "square-open"),
    }
    traces = [_ours(rule, low, high)]
    for kind, look in looks.items():
        traces.append(_dots([r for r in zip(rows, labels, strict=True) if _kind(r[0], rule) == kind], *look))
    plot = canvas(
        [trace for trace in traces if trace.x],
        xaxis={"title": {"text": f"lists that match a program (q < {found.alpha:g})"}, "tickformat": ".0%",
               "range": [-0.02, 1.02], "showgrid": True},
        yaxis={"categoryorder": "array", "categoryarray": [*labels[::-1], OURS], "ticks": "", "showline": False,
               "range": [-0.7, len(labels) + 0.7]},
        shapes=[
            {"type": "rect", "x0": low, "x1": high, "y0": 0, "y1": 1, "yref": "paper", "line": {"width": 0},
             "fillcolor": theme.OURS, "opacity": 0.2, "layer": "below"},
            {"type": "line", "x0": rule.share, "x1": rule.share, "y0": 0, "y1": 1, "yref": "paper",
             "line": {"color": theme.OURS, "width": 2}, "layer": "below"},
        ],
    )  # fmt: skip
    return Figure(
        f"ladder-{rule.name}",
        title(found, rule, verdict),
        plot,
        f"Lists: {words_of(rule.name)[0]}. Each line is something that could pass for the features; its mark is the "
        "share of its lists that match a known program, its bar where 95 % of random draws or, of what was trained, of "
        "trainings lie. The blue line is the features, the band its 95 % interval over autoencoders. What lies to "
        "its left matches less often; what lies on it or to its right gives such programs without these features. All "
        "have the same rule, number and size of lists. Hollow marks are no fair "
        f"comparison{_reasons(found, rule)}.",
        f"Dot plot of the share of lists that match a program: features {percent(rule.share)}; "
        + "; ".join(f"{label} {percent(rung.excess.control)}" for rung, label in zip(rows, labels, strict=True)),
        files,
        height=130 + ROW * (len(rows) + 1),
        narrow={"yaxis.tickfont.size": 10},
        numbers=_numbers(found, rule),
    )


def title(found: Ladder, rule: RuleResult, verdict: str) -> str:
    """The finding of one rule: the features' rate beside that of the hardest fair rung."""
    heading = words_of(rule.name)[1][:1].upper() + words_of(rule.name)[1][1:]
    if rule.hardest is None or rule.control is None:
        return f"{heading}: {percent(rule.share)} match, no fair control was measured"
    said = {"above chance": "above", "below chance": "below", "at chance": "no more than"}.get(verdict, "not told from")
    hardest = label_of(rule.hardest.name, found.brought)
    return f"{heading}: {percent(rule.share)}, {said} the {percent(rule.control)} of {hardest}"


def _reasons(found: Ladder, rule: RuleResult) -> str:
    """Why some rungs are not judged, each reason once."""
    given: dict[str, list[str]] = {}
    for rung in rule.rungs:
        if rung.unfair:
            given.setdefault(rung.unfair, []).append(label_of(rung.name, found.brought))
    return "".join(f"; {listing(names)}: {why}" for why, names in given.items())


def _kind(rung: Rung, rule: RuleResult) -> str:
    if rung.unfair:
        return "unfair"
    return "hardest" if rule.hardest is not None and rung.name == rule.hardest.name else "fair"


def _ours(rule: RuleResult, low: float, high: float) -> go.Scatter:
    """The features' rate with its interval, on a line of its own."""
    return go.Scatter(
        x=[rule.share], y=[OURS], mode="markers", name=OURS,
        marker={"color": theme.OURS, "symbol": "circle", "size": 11},
        error_x={"type": "data", "symmetric": False, "color": theme.OURS, "thickness": 2, "width": 4,
                 "array": [high - rule.share], "arrayminus": [rule.share - low]},
        hovertemplate="<b>%{y}</b><br>%{x:.1%}, mean over autoencoders<extra></extra>",
    )  # fmt: skip


def _dots(part: list[tuple[Rung, str]], name: str, colour: str, symbol: str) -> go.Scatter:
    rates = [rung.excess.control for rung, _ in part]
    spans = [rung.spread or (rate, rate) for (rung, _), rate in zip(part, rates, strict=True)]
    return go.Scatter(
        x=rates, y=[label for _, label in part], mode="markers", name=name,
        marker={"color": colour, "symbol": symbol, "size": 10},
        error_x={
            "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 4,
            "array": [max(0.0, high - rate) for rate, (_, high) in zip(rates, spans, strict=True)],
            "arrayminus": [max(0.0, rate - low) for rate, (low, _) in zip(rates, spans, strict=True)],
        },
        customdata=[[_excess(rung), rung.lists] for rung, _ in part],
        hovertemplate="<b>%{y}</b><br>%{x:.1%} of %{customdata[1]} lists<br>features exceed it by "
        "%{customdata[0]}<extra></extra>",
    )  # fmt: skip


def _numbers(found: Ladder, rule: RuleResult) -> NumberTable:
    header = (
        "control", "its lists that match", "features exceed it by [95 %]", "programs of features", "its programs",
        "lists", "fair",
    )  # fmt: skip
    body = [
        (
            label_of(rung.name, found.brought), percent(rung.excess.control), _excess(rung), f"{rung.ours:.0f}",
            f"{rung.distinct:.0f}", str(rung.lists), "no" if rung.unfair else "yes",
        )
        for rung in rule.rungs
    ]  # fmt: skip
    body += [(label_of(name, found.brought), "no such lists", *["–"] * 5) for name in rule.missing]
    return NumberTable(header, body)


def _excess(rung: Rung) -> str:
    if rung.excess.interval is None:
        return percent(rung.excess.mean)
    low, high = rung.excess.interval
    return f"{percent(rung.excess.mean)} [{percent(low)}, {percent(high)}]"


def ratio_figure(found: Ladder, files: tuple[str, ...]) -> Figure | None:
    """Histograms of participation ratios."""
    if not found.ratios:
        return None
    traces = [
        _steps(found.edges, _shares(row.counts), row.name, f"{SOURCES[row.name]}, median {row.median:.0f}")
        for row in found.ratios
    ]
    filled, (ours, *others) = _filled(found), found.ratios
    beside = f", beside {', '.join(f'{r.median:.0f} of {SOURCES[r.name]}' for r in others)}" if others else ""
    return Figure(
        "ladder-ratios",
        f"Half of the features spread over more than {ours.median:.0f} genes{beside}",
        canvas(
            traces,
            xaxis={**log_axis(filled), "title": {"text": "genes that a feature spreads over (participation ratio)"},
                   "range": [math.log10(filled[0]), math.log10(filled[-1])], "showgrid": True},
            yaxis={"title": {"text": "share of features"}, "tickformat": ".0%", "rangemode": "tozero"},
        ),
        "The participation ratio counts the genes at which a feature is active, weighted by how strongly. Blue are the "
        "features of this run's own autoencoder, the others are directions that know less: random ones (untrained), "
        "vectors of the inner state taken as they are, and an autoencoder on counts that were permuted across cells "
        "within each gene. Where the lines agree, the spread says nothing of what was learned.",
        "Histograms of participation ratios: "
        + "; ".join(f"{SOURCES[row.name]} median {row.median:.0f}" for row in found.ratios),
        files,
        height=360,
        numbers=NumberTable(
            ("directions", "that fire", "median"),
            [(SOURCES[row.name], str(sum(row.counts)), f"{row.median:.1f}") for row in found.ratios],
        ),
    )  # fmt: skip


def _filled(found: Ladder) -> list[float]:
    """Edges of the bins from the first that holds a feature to the last."""
    bins = [i for row in found.ratios for i, count in enumerate(row.counts) if count]
    return found.edges[min(bins) : max(bins) + 2]


def information_figure(found: Information, files: tuple[str, ...]) -> Figure:
    """Histograms of each list's most informative program."""
    traces = [
        _steps(found.edges, _shares(row.counts), row.name, f"{SOURCES[row.name]}, {percent(row.matching)} match")
        for row in found.sources
    ]
    low, high = found.above_interval or (found.above, found.above)
    null_low, null_high = found.null_interval
    interval = f" [{percent(low)}, {percent(high)}]" if found.above_interval else ""
    return Figure(
        "ladder-information",
        f"In {percent(found.above)} of pairs a feature's best program is more informative than a neuron's; "
        f"{percent(found.null_above)} for genes as popular",
        canvas(
            traces,
            xaxis={"title": {"text": "information content of the most informative program (nats)"}, "showgrid": True},
            yaxis={"title": {"text": "share of the lists that match"}, "tickformat": ".0%", "rangemode": "tozero"},
        ),
        "Each list of 20 genes that matches programs has a most informative one: the smaller the program, the more "
        f"information. A feature's is the higher in {percent(found.above)}{interval} of all pairs of a feature's list "
        f"and a neuron's (half would be no difference; Mann-Whitney p = {found.p:.1g} if lists were independent, which "
        "they are not). Lists of genes that are in as many programs, in the features' place, have "
        f"{percent(found.null_above)} [{percent(null_low)}, {percent(null_high)}]: that much needs no feature.",
        f"Histograms of the information of the best program: {percent(found.above)} of pairs favour features, "
        f"{percent(found.null_above)} the null",
        files,
        height=360,
        numbers=NumberTable(
            ("lists", "that match", "median information"),
            [
                (SOURCES[row.name], percent(row.matching), "–" if row.median is None else f"{row.median:.2f}")
                for row in found.sources
            ],
        ),
    )


def _shares(counts: list[Any]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _steps(edges: list[float], shares: list[float], source: str, name: str) -> go.Scatter:
    colour, dash = LOOKS[source]
    return go.Scatter(
        x=edges, y=[*shares, shares[-1]], mode="lines", name=plain(name),
        line={"color": colour, "dash": dash, "width": 3 if source == "features" else 2, "shape": "hv"},
        hovertemplate="%{y:.1%}<extra></extra>",
    )  # fmt: skip
