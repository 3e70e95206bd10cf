"""What turning a feature up or down does to the genes that the model predicts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.stats import spearmanr

from cellprism.report import theme
from cellprism.report.claims import Claim
from cellprism.report.effect import change_axis, changed, on_axis
from cellprism.report.figure import Figure, NumberTable, canvas, percent, plain, wrapped
from cellprism.report.frames import flags, numbers, ordered, records, texts, where
from cellprism.report.words import LOG_COUNTS, Words
from cellprism.studies.steer.feature_tables import range_of
from cellprism.studies.steer.view import SteeredFeature

GENES_SHOWN = 8


def dose_figure(steered: SteeredFeature, claim: Claim, n_cells: int, words: Words, files: tuple[str, ...]) -> Figure:
    """Effect on the feature's genes at each strength, with matched genes and control features beside it."""
    doses, unit = ordered(steered.doses, "alpha"), words.unit
    on = _line(doses, "on_target", "its genes", theme.OURS, "circle", "solid", unit)
    off = _line(doses, "off_target", f"other genes {words.alike}", theme.OPPOSITE, "square", "dash", unit)
    plot = canvas(
        [*_null_band(steered, unit), off, on],
        xaxis={"title": {"text": "strength (1 = untouched, 0 = removed)"}},
        yaxis=change_axis("mean change", words),
        shapes=[
            {
                "type": "line",
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "x0": x,
                "x1": x,
                "line": {"color": colour, "width": 1, "dash": "dot"},
            }
            for x, colour in ((1, theme.CONTROL), *((end, theme.OPPOSITE) for end in steered.plausible if end != 1))
        ],
    )
    ends = f"{steered.down:g} and {steered.up:g}".replace("-", "−")
    columns = ("on_target", "off_target", "response")
    rows = [(f"{r.alpha:g}", *(changed(getattr(r, name), unit) for name in columns)) for r in records(doses)]
    return Figure(
        f"dose-{steered.feature}",
        dose_title(steered, claim),
        plot,
        f"The model predicts {n_cells} cells again and again with this one feature made stronger or weaker. "
        f"Blue: mean change of the genes {words.own}. Vermilion: other genes {words.alike}. "
        "Grey: where the blue line would run if the feature did to its genes what 95 % of control features do to "
        "theirs: features of random dictionaries, chosen for a program as this one was, alike in how often they fire "
        f"and how many genes they have, with edits as large; measured at {ends}, drawn straight between. Inside the "
        "grey, a feature that nobody trained would do as well. At strength 1 nothing is changed. Beyond "
        f"{steered.plausible[0]:g} and {steered.plausible[1]:g} (dotted) the cells no longer look like cells to the "
        "model: farther from all real cells than these are from each other, or badly fitted by the autoencoder.",
        f"Dose response of feature {steered.feature}: its genes {'rise' if steered.direction > 0 else 'fall'} by "
        f"{changed(steered.response.value, unit)} more than matched genes, those of control features, in their "
        f"direction, by {range_of(steered.response.controls, unit)}.",
        files,
        height=380,
        numbers=NumberTable(("strength", "its genes", "matched genes", "difference"), rows),
    )


def dose_title(steered: SteeredFeature, claim: Claim) -> str:
    """The finding, in the verdict of its claim against control features, with the p-value."""
    start, null = f"Feature {steered.feature} ({steered.program})", steered.response.controls
    if steered.no_effect:
        return f"{start}: {steered.no_effect}"
    p = "p unknown" if null.p is None else f"p = {null.p:.2g}"
    found = {
        "above chance": f"{steered.moves} its genes with its strength, beyond features that nobody trained",
        "below chance": "moves its genes against its strength, beyond features that nobody trained",
        "at chance": "moves its genes no more than features that nobody trained do",
    }
    if claim.verdict in found:
        return f"{start} {found[claim.verdict]} ({p})"
    return f"{start}: too few control features, or too scattered ones, to tell its effect from theirs ({p})"


def gene_figure(steered: SteeredFeature, words: Words, files: tuple[str, ...]) -> Figure:
    """The genes that move most when turned up, with the same genes when turned down as far."""
    at_up, at_down = (where(steered.genes, steered.genes["alpha"] == a) for a in (steered.up, steered.down))
    ranked = ordered(at_up, "effect")
    genes = texts(ranked, "gene")
    shown = pd.concat([ranked.head(GENES_SHOWN), ranked.tail(GENES_SHOWN)]).drop_duplicates("gene")
    lower = {r.gene: r for r in records(at_down)}
    opposite = np.array([lower[gene].effect for gene in texts(shown, "gene")])
    names = [plain(gene) for gene in texts(shown, "gene")]
    on = flags(shown, "on_target")
    mirrored = int((np.sign(opposite) == -np.sign(numbers(shown, "effect"))).sum())
    top = [f"{r.gene} {changed(r.effect, words.unit)}" for r in records(ranked.iloc[::-1].head(3))]
    title = f"Turned up, feature {steered.feature} raises most: {', '.join(top)}"
    title += f"; turned down, {mirrored} of the {len(shown)} genes shown move the other way"
    up, down = f"{steered.up:g}", f"{steered.down:g}".replace("-", "−")
    traces = [
        _bars(where(shown, on), "its genes", theme.OURS, up, words.unit),
        _bars(where(shown, ~on), "other genes", theme.CONTROL, up, words.unit),
        _rings(names, on_axis(opposite, words.unit), down, words.unit),
    ]
    plot = canvas(
        traces,
        xaxis=change_axis("mean change", words),
        yaxis={
            "categoryorder": "array",
            "categoryarray": names,
            "ticks": "",
            "tickfont": {"size": 11.5},
            "dtick": 1,
        },
        barmode="overlay",
        bargap=0.35,
    )
    table = [
        (
            str(r.gene), changed(r.effect, words.unit), _share_of_cells(r), changed(lower[r.gene].effect, words.unit),
            _share_of_cells(lower[r.gene]), "yes" if r.on_target else "no",
        )
        for r in records(shown.iloc[::-1])
    ]  # fmt: skip
    return Figure(
        f"genes-{steered.feature}",
        title,
        plot,
        f"Bars: the {GENES_SHOWN} genes that rise and the {GENES_SHOWN} that fall most at strength {up}. "
        f"Blue bars are genes {words.own}, grey ones are not: a feature that acts on its "
        f"genes alone has blue bars at the top. Rings: the same genes at strength {down}, as far below the "
        f"neutral 1 as {up} is above it; exact mirror images would be equally long.",
        f"Bar plot of the genes moved most by feature {steered.feature}: up {', '.join(genes[::-1][:5])}; "
        f"down {', '.join(genes[:5])}.",
        files,
        height=400,
        narrow={"height": 440},
        numbers=NumberTable(
            ("gene", f"strength {up}", "rises / falls in", f"strength {down}", "rises / falls in", "its own"), table
        ),
    )


def _share_of_cells(row: Any) -> str:
    """Shares of the cells in which a gene rises and falls."""
    return f"{percent(row.rises)} / {percent(row.falls)} of cells"


def overview_figure(
    features: Sequence[SteeredFeature], verdicts: Sequence[str], words: Words, files: tuple[str, ...]
) -> Figure | None:
    """Every steered feature's effect on its own genes, beside control features; None without any that has an effect."""
    shown = [
        (s, v) for s, v in zip(features, verdicts, strict=True) if s.response.controls.interval and not s.no_effect
    ]
    if not shown:
        return None
    labels = [wrapped(f"{s.feature}: {s.program}", 30) for s, _ in shown]
    spans = [on_axis(s.response.controls.interval, words.unit) for s, _ in shown]
    bars = go.Bar(
        y=labels, base=[low for low, _ in spans], x=[high - low for low, high in spans], orientation="h", width=0.5,
        name="95 % of features that nobody trained", marker={"color": theme.CONTROL_BAND}, hoverinfo="skip",
    )  # fmt: skip
    ours = go.Scatter(
        x=on_axis([s.response.value for s, _ in shown], words.unit), y=labels, mode="markers+text", name="the feature",
        marker={"color": theme.OURS, "symbol": "diamond", "size": 12}, textposition="top center", cliponaxis=False,
        text=[changed(s.response.value, words.unit) for s, _ in shown], customdata=[verdict for _, verdict in shown],
        hovertemplate="<b>%{y}</b><br>%{text}<br>%{customdata}<extra></extra>",
    )  # fmt: skip
    through = [s.propagated.value if s.propagated else None for s, _ in shown]
    marks = [bars, *_through(through, labels, words.unit), ours]
    rows = [
        (
            f"{s.feature} ({s.program})", changed(s.response.value, words.unit),
            range_of(s.response.controls, words.unit), verdict,
            "–" if passed_on is None else changed(passed_on, words.unit),
        )
        for (s, verdict), passed_on in zip(shown, through, strict=True)
    ]  # fmt: skip
    beyond = sum(verdict == "above chance" for _, verdict in shown)
    axis = change_axis("change of its own genes", words)
    return Figure(
        "steering-overview",
        f"{beyond} of {len(shown)} steered features move their own genes beyond features that nobody trained",
        canvas(
            marks,
            xaxis={**axis, "showgrid": True},
            yaxis={"type": "category", "ticks": "", "showline": False, "autorange": "reversed"},
            barmode="overlay",
        ),
        "Each line is a feature that was turned up and down. The mark says by how much its own genes follow, less "
        f"others {words.alike}; a feature named “low” is strong where its genes are low, and to the right means that "
        "it lowers them. The grey bar holds what 95 % of features that nobody trained do to their own genes, with an "
        "edit of the same size: inside it, chance does as well."
        + (
            " The ring is the same with the tokens of these genes left as they are: far from the mark, the effect is "
            "what the edit does to its own genes' tokens, and little of it is passed on to them."
            if len(marks) > 2
            else ""
        ),
        "Dot plot of steered features beside controls: " + "; ".join(f"{r[0]} {r[1]}, controls {r[2]}" for r in rows),
        files,
        height=150 + 66 * len(shown),
        narrow={"yaxis.tickfont.size": 10.5},
        numbers=NumberTable(
            ("feature", "its genes", "features that nobody trained", "verdict", "through other tokens alone"), rows
        ),
    )


def _through(values: Sequence[float | None], labels: Sequence[str], unit: str) -> list[go.Scatter]:
    """Rings where other tokens alone bring each feature's genes; none where no feature acts at their own tokens."""
    there = [(value, label) for value, label in zip(values, labels, strict=True) if value is not None]
    if not there:
        return []
    return [go.Scatter(
        x=on_axis([value for value, _ in there], unit), y=[label for _, label in there], mode="markers",
        name="through other tokens alone", text=[changed(value, unit) for value, _ in there],
        marker={"color": theme.OURS, "symbol": "circle-open", "size": 11, "line": {"width": 2}},
        hovertemplate="<b>%{y}</b><br>through other tokens alone %{text}<extra></extra>",
    )]  # fmt: skip


def _line(
    doses: pd.DataFrame, column: str, name: str, colour: str, symbol: str, dash: str, unit: str
) -> go.Scatter:  # fmt: skip
    return go.Scatter(
        x=numbers(doses, "alpha"),
        y=on_axis(numbers(doses, column), unit),
        text=[changed(change, unit) for change in numbers(doses, column)],
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": 2.2, "dash": dash},
        marker={"symbol": symbol, "size": 7},
        hovertemplate=f"{name}<br>strength %{{x:g}}: %{{text}}<extra></extra>",
    )


def _null_band(steered: SteeredFeature, unit: str) -> list[go.Scatter]:
    """Where its genes would be if it did as control features do: their range around the matched genes, at both ends and
    0 at 1."""
    interval = steered.response.controls.interval
    if interval is None:
        return []
    off = dict(zip(numbers(steered.doses, "alpha"), numbers(steered.doses, "off_target"), strict=True))
    low, high = sorted(steered.direction * edge for edge in interval)
    x = [steered.down, 1.0, steered.up]
    upper = [off[steered.down] - low, 0.0, off[steered.up] + high]
    lower = [off[steered.down] - high, 0.0, off[steered.up] + low]
    return [
        go.Scatter(
            x=x + x[::-1],
            y=on_axis(upper + lower[::-1], unit),
            name="control features, 95 %",
            fill="toself",
            fillcolor=theme.CONTROL_BAND,
            line={"width": 0, "color": theme.CONTROL},
            hoverinfo="skip",
            mode="lines",
        )
    ]


def _rings(names: list[str], effects: np.ndarray, strength: str, unit: str) -> go.Scatter:
    form = ".2%" if unit == LOG_COUNTS else ".2g"
    return go.Scatter(
        x=effects,
        y=names,
        mode="markers",
        name=f"the same at strength {strength}",
        marker={"symbol": "circle-open", "size": 8, "color": theme.OPPOSITE, "line": {"width": 2}},
        hovertemplate=f"<b>%{{y}}</b> at strength {strength}: %{{x:+{form}}}<extra></extra>",
    )


def _bars(rows: pd.DataFrame, name: str, colour: str, strength: str, unit: str) -> go.Bar:
    return go.Bar(
        x=on_axis(numbers(rows, "effect"), unit),
        y=[plain(gene) for gene in texts(rows, "gene")],
        orientation="h",
        name=f"{name}, strength {strength}",
        marker={"color": colour},
        customdata=numbers(rows, "baseline"),
        text=[changed(effect, unit) for effect in numbers(rows, "effect")],
        textposition="none",
        hovertemplate=(
            f"<b>%{{y}}</b> at strength {strength}: %{{text}}<br>untouched: %{{customdata:.2f}}<extra>{name}</extra>"
        ),
    )


def expression_figure(genes: pd.DataFrame, read: str, words: Words, files: tuple[str, ...]) -> Figure:
    """What the model says of every gene, unsteered, beside its counts: where genes are read, and where they are
    seen."""
    counts, sides = numbers(genes, "counts"), [("read", f"{read} genes", theme.OURS, "circle")]
    if read == "hidden":
        sides.append(("seen", "visible genes", theme.CONTROL, "circle-open"))
    traces, said = [], []
    for column, name, colour, symbol in sides:
        values = numbers(genes, column)
        known = np.isfinite(values)
        r = float(np.asarray(spearmanr(counts[known], values[known]))[0]) if known.sum() > 2 else np.nan
        said.append(f"{r:.2f} at {name}, {percent((values[known] < 0).mean())} of which lie below zero")
        traces.append(go.Scatter(
            x=counts, y=values, mode="markers", name=name, text=[plain(gene) for gene in texts(genes, "gene")],
            marker={"color": colour, "symbol": symbol, "size": 5, "opacity": 0.6},
            hovertemplate="<b>%{text}</b><br>counts %{x:.2f}<br>said %{y:.2f}<extra></extra>",
        ))  # fmt: skip
    listed = "; ".join(said).replace("-", "−")
    return Figure(
        "steering-expression",
        f"{words.said.capitalize()} beside the counts, over genes: rank correlation {listed}",
        canvas(
            traces, xaxis={"title": {"text": "counts, mean log per ten thousand"}},
            yaxis={"title": {"text": words.said}, "zeroline": True},
        ),
        "Each dot is a gene, before anything is turned: across its mean over the cells that express it, up what the "
        "model says of it there. A model can only be asked what steering does where its output rises with the counts; "
        "where it was trained on hidden genes alone, what it says of visible ones need not.",
        f"Scatter plot of {len(genes)} genes: rank correlation {listed}.", files, height=400,
    )  # fmt: skip
