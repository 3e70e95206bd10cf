"""What turning a feature up or down does to the genes that the model predicts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.claims import Claim, Null
from cellprism.report.figure import Figure, NumberTable, canvas, plain, small_text
from cellprism.report.frames import flags, numbers, ordered, records, texts, where
from cellprism.report.words import Words
from cellprism.studies.steer.view import SteeredFeature

GENES_SHOWN = 8


def dose_figure(steered: SteeredFeature, claim: Claim, n_cells: int, words: Words, files: tuple[str, ...]) -> Figure:
    """Effect on the feature's genes at each strength, with matched genes and control features beside it."""
    doses = ordered(steered.doses, "alpha")
    on = _line(doses, "on_target", "its genes", theme.OURS, "circle", "solid")
    off = _line(doses, "off_target", f"other genes {words.alike}", theme.OPPOSITE, "square", "dash")
    plot = canvas(
        [*_null_band(steered), off, on],
        xaxis={"title": {"text": "strength (1 = untouched, 0 = removed)"}},
        yaxis={"title": {"text": f"mean change, {words.unit}"}, "zeroline": True, "exponentformat": "power"},
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
    rows = [(f"{r.alpha:g}", signed(r.on_target), signed(r.off_target), signed(r.response)) for r in records(doses)]
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
        f"{signed(steered.response.value)} more than matched genes, those of control features, in their direction, by "
        f"{_range(steered.response.controls)}.",
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
    down_of = dict(zip(texts(at_down, "gene"), numbers(at_down, "effect"), strict=True))
    opposite = np.array([down_of[gene] for gene in texts(shown, "gene")])
    names = [plain(gene) for gene in texts(shown, "gene")]
    on = flags(shown, "on_target")
    mirrored = int((np.sign(opposite) == -np.sign(numbers(shown, "effect"))).sum())
    risers = genes[::-1][:3]
    title = f"Turned up, feature {steered.feature} raises {', '.join(risers)} most"
    title += f"; turned down, {mirrored} of the {len(shown)} genes shown move the other way"
    up, down = f"{steered.up:g}", f"{steered.down:g}".replace("-", "−")
    traces = [
        _bars(where(shown, on), "its genes", theme.OURS, up),
        _bars(where(shown, ~on), "other genes", theme.CONTROL, up),
        _rings(names, opposite, down),
    ]
    plot = canvas(
        traces,
        xaxis={"title": {"text": f"mean change, {words.unit}"}, "zeroline": True},
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
    top = [
        (str(r.gene), signed(r.effect), signed(o), "yes" if r.on_target else "no")
        for r, o in zip(records(shown.iloc[::-1]), opposite[::-1], strict=True)
    ]
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
        numbers=NumberTable(("gene", f"strength {up}", f"strength {down}", "its own"), top),
    )


def steering_table(features: Sequence[SteeredFeature]) -> NumberTable:
    """Every steered feature with every control; effects in the unit of what the model says of genes."""
    header = (
        "feature",
        "its genes, against matched",
        "the same, where seen (direct)",
        "control features, theirs",
        "lists of other features",
        "difference of means",
        "program's other genes",
        "control features, theirs",
        "mirror symmetry",
        "control features",
        "edit size",
    )
    rows = []
    for s in features:
        own, held, mirror = s.response, s.held_out, s.antisymmetry
        rows.append(
            (
                f"{s.feature} ({s.program})",
                signed(own.value),
                _value(s.direct),
                _range(own.controls),
                _range(s.lists),
                _value(own.competitor),
                _value(held.value if held else None),
                _range(held.controls) if held else "–",
                _value(mirror.value if mirror else None, ".2f"),
                _range(mirror.controls, ".2f") if mirror else "–",
                f"{100 * s.edit_ratio:.1f} %",
            )
        )
    return NumberTable(header, rows)


def term_table(features: Sequence[SteeredFeature], alpha: float) -> NumberTable:
    """The best program of the genes that rose and of those that fell most, for each feature and strength."""
    rows = []
    for s in features:
        best = ordered(s.terms, "padj").groupby(["alpha", "direction"], sort=False).head(1)
        for term in records(ordered(best, ["alpha", "direction"], rising=[False, False])):
            moved = {"up": "rise", "down": "fall"}.get(term.direction, term.direction)
            strength = f"{term.alpha:g}".replace("-", "−")
            program = term.term if term.padj < alpha else "none"
            feature = f"{s.feature} ({s.program})"
            rows.append((feature, strength, moved, str(term.genes), program, small_text(term.padj)))
    return NumberTable(("feature", "strength", "genes that", "how many", "best program", "q"), rows)


def signed(effect: float, form: str = ".2g") -> str:
    """An effect with its sign, typographically."""
    return f"{effect:+{form}}".replace("e-0", "e-").replace("-", "−")


def _value(value: float | None, form: str = ".2g") -> str:
    return "–" if value is None else signed(value, form)


def _range(null: Null, form: str = ".2g") -> str:
    return (
        "not measured"
        if null.interval is None
        else f"{signed(null.interval[0], form)} to {signed(null.interval[1], form)}"
    )


def _line(doses: pd.DataFrame, column: str, name: str, colour: str, symbol: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=numbers(doses, "alpha"),
        y=numbers(doses, column),
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": 2.2, "dash": dash},
        marker={"symbol": symbol, "size": 7},
        hovertemplate=f"{name}<br>strength %{{x:g}}: %{{y:+.3g}}<extra></extra>",
    )


def _null_band(steered: SteeredFeature) -> list[go.Scatter]:
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
            y=upper + lower[::-1],
            name="control features, 95 %",
            fill="toself",
            fillcolor=theme.CONTROL_BAND,
            line={"width": 0, "color": theme.CONTROL},
            hoverinfo="skip",
            mode="lines",
        )
    ]


def _rings(names: list[str], effects: np.ndarray, strength: str) -> go.Scatter:
    return go.Scatter(
        x=effects,
        y=names,
        mode="markers",
        name=f"the same at strength {strength}",
        marker={"symbol": "circle-open", "size": 8, "color": theme.OPPOSITE, "line": {"width": 2}},
        hovertemplate=f"<b>%{{y}}</b> at strength {strength}: %{{x:+.3g}}<extra></extra>",
    )


def _bars(rows: pd.DataFrame, name: str, colour: str, strength: str) -> go.Bar:
    return go.Bar(
        x=numbers(rows, "effect"),
        y=[plain(gene) for gene in texts(rows, "gene")],
        orientation="h",
        name=f"{name}, strength {strength}",
        marker={"color": colour},
        customdata=numbers(rows, "baseline"),
        hovertemplate=(
            f"<b>%{{y}}</b> at strength {strength}: %{{x:+.3g}}<br>untouched: %{{customdata:.2f}}<extra>{name}</extra>"
        ),
    )
