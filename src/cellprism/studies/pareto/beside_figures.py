"""What the recipe for both stands beside, what it is made of, and what other judges say of it."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, percent, plain
from cellprism.report.frames import numbers, records, where
from cellprism.report.section import Table
from cellprism.studies.gap_figures import Closed, curve_figure, fraction_figure
from cellprism.studies.pareto.figures import CHOSEN
from cellprism.studies.pareto.tables import PERMUTED, PERMUTED_SCALED, RANDOM_RECIPE, RANDOM_TARGET, SMALL, Summary

DRAWN = (PERMUTED, PERMUTED_SCALED, RANDOM_TARGET, RANDOM_RECIPE)
"""Kinds that were drawn several times."""


def number_text(value: float | None) -> str:
    """A number with two places; a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.2f}".replace("-", "−")


def beside_figure(beside: pd.DataFrame) -> Figure:
    """Gains of every edit at the norm of the small recipe for both, a dot an edit."""
    traces = []
    for kind, some in beside.groupby("kind", sort=False):
        colour = theme.OURS if kind == SMALL else theme.CONTROL if kind in DRAWN else theme.OPPOSITE
        traces.append(go.Scatter(
            x=numbers(some, "latent_gain"), y=numbers(some, "expression_gain"), mode="markers", name=plain(str(kind)),
            marker={"color": colour, "size": 12 if kind == SMALL else 6 if kind in DRAWN else 9,
                    "symbol": "circle" if kind == SMALL else "circle-open" if kind in DRAWN else "diamond"},
            hovertemplate=f"<b>{plain(str(kind))}</b><br>inner state %{{x:.2f}}<br>expression %{{y:.2f}}"
                          "<extra></extra>",
        ))  # fmt: skip
    rest = where(beside, ~beside["kind"].isin([SMALL, PERMUTED]))
    small = where(beside, beside["kind"] == SMALL)
    better = where(rest, (numbers(rest, "latent_gain") >= float(small["latent_gain"].iloc[0]))
                   & (numbers(rest, "expression_gain") >= float(small["expression_gain"].iloc[0])))  # fmt: skip
    names = list(dict.fromkeys(str(kind) for kind in better["kind"]))
    title = f"At its norm, what does as well as the small recipe in both: {', '.join(names) or 'nothing tried'}"
    return Figure(
        "pareto-beside", title,
        canvas(
            traces, xaxis={"title": {"text": "gain in the inner state"}, "zeroline": True},
            yaxis={"title": {"text": "gain in expression"}, "zeroline": True}, showlegend=False,
        ),
        "Each mark is an edit of the test cells with the norm of the small recipe for both (blue). Orange diamonds: "
        "edits without features, other dictionaries, other kinds of edits, and searches towards other types. Grey "
        "rings: searches with permuted labels or towards random centroids, and the recipe on random features of like "
        "activity. Up and to the right is better; nothing here is judged.",
        f"Scatter of {len(beside)} edits by both gains. {title}.", ("pareto/beside.parquet",), height=460,
    )  # fmt: skip


def beside_table(beside: pd.DataFrame, summary: Summary) -> Table:
    """A row a kind; of those drawn several times the mean and the range."""
    columns = {"latent_gain": "gain, inner state", "expression_gain": "gain, expression", "norm": "norm",
               "variance_kept": "variance kept", "balanced_correct": "genes right, balanced"}  # fmt: skip
    columns |= {c: c for c in beside.columns if c.startswith("way of ")}
    rows = []
    for kind, some in beside.groupby("kind", sort=False):
        sizes = numbers(some, "features")
        features = "–" if not sizes.any() else f"{sizes.mean():.0f}"
        name = f"{kind} ({len(some)} draws)" if len(some) > 1 else str(kind)
        rows.append((name, features, *(_range(numbers(some, c)) for c in columns)))
    caption = (
        f"Other edits at the norm of the small recipe for both, on {summary.cells['test']['source']} test cells; means "
        "and ranges of those drawn several times"
    )
    return Table(caption, NumberTable(("edit", "features", *columns.values()), rows))


def _range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return number_text(float(known[0]) if len(known) else None)
    return f"{number_text(known.mean())} ({number_text(known.min())} to {number_text(known.max())})"


def recipe_tables(summary: Summary, recipes: pd.DataFrame) -> list[Table]:
    """The features of the small recipe, how many features it takes, and how alike recipes are."""
    small = where(recipes, recipes["recipe"] == "both")
    rows = [
        (str(r.feature), r.program or "–", number_text(r.strength), percent(r.firing_rate, 1), percent(r.edit_share),
         number_text(r.latent_loss), number_text(r.expression_loss), f"{r.rank + 1}" if r.rank >= 0 else "–")
        for r in records(small)
    ]  # fmt: skip
    header = ("feature", "program", "strength", "fires at", "of the edit", "cost of leaving it out, inner state",
              "expression", "place in the smallest recipe")  # fmt: skip
    drawn = summary.annotated
    aside = "" if drawn is None else (
        f"; {percent(drawn.value)} match a program, {percent(drawn.mean)} ({percent(drawn.low)} to "
        f"{percent(drawn.high)}) of features that fire alike"
    )  # fmt: skip
    found = [Table(f"The small recipe for both{aside}", NumberTable(header, rows))]
    many = [
        (r.objective, number_text(r.gain), _whole(r.features), str(r.chosen), number_text(r.longer),
         _whole(r.longer_features))
        for r in summary.recruited
    ]  # fmt: skip
    found.append(Table(
        "Features that it takes: at equal gain on validation cells, and after a search of three times the effort",
        NumberTable(("objective", "gain that both reach", "fewest features for it", "features chosen", "gain, longer",
                     "features, longer"), many),
    ))  # fmt: skip
    alike = [(f"recipes {r.words}", f"{r.shared} of {r.either}", number_text(r.cosine)) for r in summary.likeness]
    found.append(
        Table("How alike recipes are", NumberTable(("recipes", "features shared", "cosine of the edits"), alike))
    )
    return found


def _whole(value: int | None) -> str:
    return "–" if value is None else str(value)


def judge_tables(summary: Summary) -> list[Table]:
    """Judges from outside, and measured responses."""
    found = []
    if summary.judges:
        rows = [(j.name, number_text(j.auroc), "yes" if j.trusted else "no") for j in summary.judges]
        header = ("judge", "AUROC on what is predicted of unsteered test cells", "may judge")
        found.append(Table("Judges from outside, used from an AUROC of 0.80 on", NumberTable(header, rows)))
    if summary.responses:
        rows = [
            (r.name, f"{number_text(r.r)} [{number_text(r.low)}, {number_text(r.high)}]", number_text(r.pearson),
             f"{r.genes:,}")
            for r in summary.responses
        ]  # fmt: skip
        header = ("change of genes", "rank correlation [95 % over genes]", "Pearson", "genes")
        found.append(Table("Changes of genes beside the measured response", NumberTable(header, rows)))
    return found


def gene_figures(genes: pd.DataFrame) -> list[Figure]:
    """How much of each counting gene's gap is closed, and which genes move the right way."""
    recipes, said = [], []
    for kind, (words, colour, _) in CHOSEN.items():
        some = where(genes, genes["recipe"] == kind)
        right = np.sign(numbers(some, "gap") - numbers(some, "left")) == np.sign(numbers(some, "observed_gap"))
        recipes.append(Closed(words, colour, numbers(some, "fraction"), right))
        up = where(some, some["direction"] == "up")
        before, after = (np.abs(numbers(up, column)).mean() for column in ("gap", "left"))
        said.append(f"{words} {before:.3f} to {after:.3f}")
    title = f"Mean absolute gap of the genes that are higher in the target: {'; '.join(said)}"
    return [
        fraction_figure("pareto-genes", recipes, title, ("pareto/genes.parquet",)),
        curve_figure("pareto-curve", recipes, "in the counts", ("pareto/genes.parquet",)),
    ]


def plane_figures(places: pd.DataFrame, summary: Summary) -> list[Figure]:
    """Steered test cells on maps of unsteered ones, a map a space."""
    found = []
    for space, words in (("final", "after the last block"), ("site", "at the site")):
        some = where(places, places["space"] == space)
        traces, said = [], []
        for kind, name, colour in (("source", summary.source, theme.CONTROL), ("target", summary.target, "#8a8a8a")):
            symbol = "circle-open" if kind == "source" else "x-thin-open"
            traces.append(_cells(where(some, some["kind"] == kind), f"{plain(name)}, unsteered", colour, symbol, 5))
        for kind, (name, colour, symbol) in CHOSEN.items():
            own = where(some, some["kind"] == kind)
            traces.append(_cells(own, f"steered, {name}", colour, symbol, 7))
            said.append(f"{name} {percent(float(numbers(own, 'among').mean()))}")
        found.append(Figure(
            f"pareto-plane-{space}",
            f"Among the cells nearest to steered ones {words}, the share of {plain(summary.target)}: {', '.join(said)}",
            canvas(traces, xaxis={"showticklabels": False, "ticks": ""}, yaxis={"showticklabels": False, "ticks": ""}),
            f"A map of unsteered cells of both types by their state {words}, fitted once. Steered test cells lie where "
            "the unsteered cells are that are nearest to them in the full space. The map shows neighbours, not "
            "distances; steered cells that are far from all others still lie among those that are nearest.",
            f"Map of cells {words}: {', '.join(said)}.", ("pareto/plane.parquet",), height=460,
        ))  # fmt: skip
    return found


def _cells(rows: pd.DataFrame, name: str, colour: str, symbol: str, size: int) -> go.Scatter:
    return go.Scatter(
        x=numbers(rows, "x"), y=numbers(rows, "y"), mode="markers", name=name, hoverinfo="name",
        marker={"color": colour, "symbol": symbol, "size": size, "opacity": 0.8},
    )  # fmt: skip
