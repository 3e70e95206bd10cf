"""How far cells of one type can be steered towards another, and whether permuted labels would do as well."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.effect import gap_axis
from cellprism.report.figure import Figure, NumberTable, canvas, percent, plain, wrapped
from cellprism.report.frames import flags, numbers, ordered, records, texts, where
from cellprism.studies.contrast.view import Contrast, NamedGene

OBJECTIVE_WORDS = {"latent": "inner state", "expression": "expression"} | {
    "latent-by-cell": "inner state, cell by cell",
    "expression-by-cell": "expression, cell by cell",
    "latent-unsquared-by-cell": "inner state, cell by cell, not squared",
    "latent-energy": "inner state, as a sample",
}
"""What each objective pulls towards the target, in words."""


def axis_figure(contrast: Contrast, files: tuple[str, ...]) -> Figure:
    """Every test cell on the axis from source to target, before and after steering."""
    cells = ordered(contrast.cells, "projection_before")
    before, after = numbers(cells, "projection_before"), numbers(cells, "projection_after")
    closer = flags(cells, "closer")
    traces = [
        _threads(before[closer], after[closer], "ends closer to the target", theme.OURS),
        _threads(before[~closer], after[~closer], "ends farther", theme.OPPOSITE),
        _spread(before, texts(cells, "cell"), "before", 1.0, theme.CONTROL),
        _spread(after, texts(cells, "cell"), "after", 0.0, theme.OURS),
    ]
    ends = [_vertical(0.0), _vertical(1.0)]
    low, high = min(0.0, *before, *after), max(1.0, *before, *after)
    marks = [_mark(0.0, wrapped(contrast.source, 12)), _mark(1.0, wrapped(contrast.target, 12))]
    if high - low > 3:  # the two ends lie too close together for their names
        marks = []
    bar = _permuted_bar(contrast, float(before.mean()))
    plot = canvas(
        traces,
        xaxis={
            "title": {
                "text": "place on the axis<br>" + wrapped(f"0 = mean {contrast.source}, 1 = mean {contrast.target}", 44)
            },
            "range": [low - 0.08 * (high - low), high + 0.08 * (high - low)],
        },
        yaxis={
            "tickvals": [0, 1],
            "ticktext": ["after", "before"],
            "range": [-0.32, 1.78],
            "showgrid": False,
            "ticks": "",
        },
        shapes=[*ends, *(shape for shape, _ in bar)],
        annotations=[*marks, *(mark for _, mark in bar)],
    )
    moved = float((after - before).mean())
    return Figure(
        f"axis-{contrast.objective}",
        axis_title(contrast),
        plot,
        f"Each line is one of the {contrast.source_cells} that the recipe was not fitted on: above where the model "
        "places it, below where it places it after steering. Place is measured along the straight line from "
        f"the mean of {contrast.source} (0) to the mean of {contrast.target} (1). The grey bar is how "
        "far recipes fitted on permuted labels go. Cells can come closer to a target merely by shrinking to "
        "an average: see drift and variance in the table.",
        f"{len(cells)} cells before and after steering; the mean moves from {before.mean():.2f} to "
        f"{after.mean():.2f} ({moved:+.2f}); {percent(closer.mean())} end closer to the target.",
        files,
        height=400,
        narrow={"margin.l": 40},
    )


def _permuted_bar(contrast: Contrast, start: float) -> list[tuple[dict, dict]]:
    """A bar from the mean place to where permuted labels would bring it, and its words; none without them."""
    progress = contrast.scores.get("latent_progress")
    permuted = progress.nulls.get("permuted_labels") if progress else None
    if permuted is None or permuted.interval is None:
        return []
    low, high = (start + edge for edge in permuted.interval)
    look = {"fillcolor": theme.CONTROL_BAND, "line": {"color": theme.CONTROL, "width": 1}}
    shape = {"type": "rect", "yref": "y", "y0": -0.18, "y1": -0.06, "x0": low, "x1": high, **look}
    return [
        (
            shape,
            {
                "x": 0,
                "xref": "paper",
                "y": -0.26,
                "xanchor": "left",
                "text": "grey: way with permuted labels, 95 %",
            },
        )
    ]


def axis_title(contrast: Contrast) -> str:
    """The finding: how far cells went, beside permuted labels."""
    score = contrast.scores.get("nearer_target")
    what = (
        f"Pulling {contrast.source} towards {contrast.target} by "
        f"{OBJECTIVE_WORDS.get(contrast.objective, contrast.objective)}"
    )
    if score is None:
        return what
    null = score.nulls.get("permuted_labels")
    if null is None or null.value is None:
        return f"{what}: {percent(score.value)} of cells end nearer to it (no permuted-label control)"
    return f"{what}: {percent(score.value)} of cells end nearer to it, {percent(null.value)} with permuted labels"


def gap_figure(contrast: Contrast, files: tuple[str, ...]) -> Figure:
    """How much of each gene's gap steering closes."""
    genes = where(contrast.genes, contrast.genes["gap_fraction"].notna())
    genes = genes.assign(gap=genes["target_mean"] - genes["source_mean"])
    limit = _limits(numbers(genes, "gap_fraction"))
    parts = [
        ("up", f"higher in {contrast.target}", theme.OURS, "triangle-up"),
        ("down", f"lower in {contrast.target}", theme.OPPOSITE, "triangle-down"),
    ]
    traces = [_gene_points(where(genes, genes["direction"] == d), plain(n), c, s, limit) for d, n, c, s in parts]
    named = where(genes, genes["gene"].isin(list(contrast.asked)))
    lines = [_horizontal(0.0)] + ([_horizontal(1.0)] if limit[1] >= 1 else [])
    plot = canvas(
        traces,
        xaxis=gap_axis(
            wrapped(f"gap, {contrast.target} to {contrast.source}", 44),
            float(np.abs(numbers(genes, "gap")).max(initial=0)),
            contrast.words,
        ),
        yaxis={
            "title": {"text": "share of the gap closed"},
            "range": [limit[0] * 1.08, limit[1] * 1.08],
            "tickformat": ".0%",
        },
        shapes=lines,
        annotations=_gene_notes(named, limit),
    )
    words = [f"{r.gene} {percent(r.gap_fraction)}" for r in records(named)]
    return Figure(
        f"gap-{contrast.objective}",
        gap_title(contrast),
        plot,
        "One mark per gene that differs between the two types. 0 %: the gene did not move; 100 %: it "
        f"reached the level of {contrast.target}; below 0 it moved away. Far from the middle are genes that "
        "differ much. Genes and their directions were chosen on cells other than those scored. Marks at the "
        "edge lie beyond it.",
        f"Scatter plot of {len(genes)} genes: gap against share closed. "
        + ("; ".join(words) or "no gene was asked for by name."),
        files,
        height=400,
        numbers=NumberTable(
            ("gene", "direction", "gap", "share closed"),
            [(r.gene, r.direction, f"{r.gap:+.2f}", percent(r.gap_fraction)) for r in records(genes.head(40))],
        ),
    )


def _gene_notes(named: pd.DataFrame, limit: tuple[float, float]) -> list[dict]:
    """Names of the genes that readers look for, above and below their marks in turn."""
    look = {"showarrow": True, "arrowwidth": 1, "arrowhead": 0, "arrowcolor": theme.CONTROL, "ax": 30}
    return [
        {
            "x": r.gap,
            "y": float(np.clip(r.gap_fraction, *limit)),
            "text": f"<b>{plain(r.gene)}</b>",
            "ay": -30 if place % 2 == 0 and r.gap_fraction < limit[1] else 30,
            **look,
        }
        for place, r in enumerate(records(ordered(named, "gap_fraction", rising=False)))
    ]


def gap_title(contrast: Contrast) -> str:
    """The finding: which share moves the right way, and what becomes of the markers."""
    if contrast.doubt:
        return "Nothing can be told of these genes: the gaps that the model predicts do not follow the counts"
    ways = {"up_correct": "higher in {} rise", "down_correct": "lower in {} fall"}
    scores = {name: contrast.scores[name] for name in ways if name in contrast.scores}
    parts = [f"{percent(s.value)} of genes {ways[name].format(contrast.target)}" for name, s in scores.items()]
    nulls = [s.nulls["permuted_labels"].value for s in scores.values() if "permuted_labels" in s.nulls]
    control = " and ".join(percent(value) for value in nulls if value is not None)
    found = " and ".join(parts) + (f" (permuted labels: {control})" if control else " (no control)" if parts else "")
    genes = ", ".join(marker_words(named) for named in contrast.named.values())
    found += contrast.words.within if parts else ""
    return "; ".join(filter(None, [found, genes])) or "How much of each gene's gap is closed"


def marker_words(named: NamedGene) -> str:
    """What became of one gene; where permuted labels move it as far as the gap itself, that it cannot be
    told."""
    null = named.null.interval
    if null is None or null[1] - null[0] > 1:
        return f"{named.gene} cannot be told"
    chance = f"permuted labels {percent(null[0])} to {percent(null[1])}"
    return f"{named.gene} closes {percent(named.value)} of its gap ({chance})"


def path_figure(contrasts: list[Contrast], files: tuple[str, ...]) -> Figure:
    """Along the penalty path: how many features a recipe uses against how far it goes."""
    traces = []
    for contrast in contrasts:
        colour, symbol = theme.OBJECTIVES.get(contrast.objective, (theme.PUBLISHED, "star"))
        path = ordered(contrast.path, "lambda", rising=False)
        chosen = path.iloc[int(np.abs(numbers(path, "lambda") - contrast.penalty).argmin())]
        traces += [
            _path_line(path, contrast.objective, colour, symbol),
            _path_choice(chosen, contrast.objective, colour),
        ]
    plot = canvas(
        traces,
        xaxis={"title": {"text": "recipe size: features moved by more than 0.1"}, "rangemode": "tozero"},
        yaxis={
            "title": {"text": "loss removed on validation cells"},
            "tickformat": ".0%",
            "rangemode": "tozero",
            "zeroline": True,
        },
    )
    rows = []
    for c in contrasts:
        sizes = [f"{c.sizes[limit]}" for limit in ("0", "0.1", "0.3", "0.5")]
        rows.append((f"{c.objective} objective", f"{c.penalty:.3g}", *sizes))
    sizes = "; ".join(f"{r[0]}: {r[4]} features moved by more than 0.3" for r in rows)
    return Figure(
        "recipe-path",
        f"How large a recipe must be: {sizes}",
        plot,
        "A recipe is a list of features and their strengths. A strong penalty (left) allows only few "
        "features to move; relaxing it lets the recipe grow and go further, until more features bring "
        "nothing or fit only the cells that they were fitted on. The loss is the squared distance to the "
        "target that is left; 100 % removed would be arrival. The ring marks the chosen recipe, the best on "
        "validation cells; what recipes of chance reach stands in the figure and the tables below.",
        "Line plot of recipe size against loss removed. " + sizes,
        files,
        height=430,
        numbers=NumberTable(("recipe", "penalty", "moved at all", "> 0.1", "> 0.3", "> 0.5"), rows),
    )


def _threads(before: np.ndarray, after: np.ndarray, name: str, colour: str) -> go.Scatter:
    """One line per cell from its place before (above) to its place after (below)."""
    x, y = np.full(3 * len(before), np.nan), np.full(3 * len(before), np.nan)
    x[0::3], x[1::3], y[0::3], y[1::3] = before, after, 0.94, 0.06
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        name=f"{name} ({len(before)})",
        line={"color": colour, "width": 0.8},
        opacity=0.4,
        hoverinfo="skip",
    )


def _spread(values: np.ndarray, names: list[str], word: str, height: float, colour: str) -> go.Violin:
    return go.Violin(
        x=values,
        y0=height,
        orientation="h",
        side="positive",
        width=0.85,
        name=word,
        showlegend=False,
        points="all",
        jitter=0,
        pointpos=0,
        marker={"size": 4, "color": colour},
        line={"color": colour, "width": 1.5},
        spanmode="hard",
        meanline={"visible": True},
        text=[plain(n) for n in names],
        hoveron="points",
        hovertemplate=f"%{{text}}<br>{word}: %{{x:.2f}}<extra></extra>",
    )


def _gene_points(genes: pd.DataFrame, name: str, colour: str, symbol: str, limit: tuple[float, float]) -> go.Scatter:
    columns = ("source_mean", "steered_mean", "target_mean", "gap_fraction")
    return go.Scatter(
        x=numbers(genes, "gap"),
        y=numbers(genes, "gap_fraction").clip(*limit),
        mode="markers",
        name=name,
        text=[plain(g) for g in texts(genes, "gene")],
        customdata=np.stack([numbers(genes, column) for column in columns], axis=1),
        marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.85},
        hovertemplate=(
            "<b>%{text}</b>: %{customdata[3]:.0%} of its gap<br>%{customdata[0]:.2f} before, "
            "%{customdata[1]:.2f} steered, "
            "%{customdata[2]:.2f} in the target<extra></extra>"
        ),
    )


def _path_line(path: pd.DataFrame, objective: str, colour: str, symbol: str) -> go.Scatter:
    shown = ("lambda", "n_above_0", "n_above_0.3", "n_above_0.5")
    return go.Scatter(
        x=numbers(path, "n_above_0.1"),
        y=1 - numbers(path, "validation_loss"),
        mode="lines+markers",
        name=f"{objective} objective",
        line={"color": colour, "width": 2},
        marker={"symbol": symbol, "size": 6},
        customdata=np.stack([numbers(path, name) for name in shown], axis=1),
        hovertemplate=(
            f"<b>{objective} objective</b><br>penalty %{{customdata[0]:.3g}}: %{{y:.1%}} of the loss "
            "removed<br>"
            "features moved by > 0: %{customdata[1]}, > 0.1: %{x}, > 0.3: %{customdata[2]}, > 0.5: "
            "%{customdata[3]}<extra></extra>"
        ),
    )


def _path_choice(chosen: pd.Series, objective: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[chosen["n_above_0.1"]],
        y=[1 - chosen["validation_loss"]],
        mode="markers",
        name=f"chosen ({objective})",
        showlegend=False,
        hoverinfo="skip",
        marker={"symbol": "circle-open", "size": 17, "color": colour, "line": {"width": 2.5}},
    )


def _limits(fractions: np.ndarray) -> tuple[float, float]:
    """A range that outliers do not stretch: the middle 96 %, never less than 10 % either side of zero."""
    low, high = np.nanquantile(fractions, [0.02, 0.98]) if len(fractions) else (0.0, 0.0)
    return min(float(low), -0.1) * 1.1, max(float(high), 0.1) * 1.1


def _vertical(x: float) -> dict:
    return {
        "type": "line",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": x,
        "x1": x,
        "line": {"color": theme.CONTROL, "width": 1.2, "dash": "dot"},
    }


def _horizontal(y: float) -> dict:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "line": {"color": theme.CONTROL, "width": 1.2, "dash": "dot"},
    }


def _mark(x: float, text: str) -> dict:
    return {
        "x": x,
        "y": 1,
        "yref": "paper",
        "yanchor": "top",
        "text": text,
        "xanchor": "right" if x == 0 else "left",
        "xshift": -4 if x == 0 else 4,
    }
