"""The part of the page about trading the inner state against expression."""

from collections.abc import Sequence
from typing import cast

import pandas as pd

from cellprism.report.claims import Claim
from cellprism.report.context import Context, cells_of
from cellprism.report.figure import NumberTable
from cellprism.report.findings import than_control
from cellprism.report.frames import records, texts, where
from cellprism.report.section import Section, Table
from cellprism.studies.pareto.beside_figures import (
    beside_figure,
    beside_table,
    gene_figures,
    judge_tables,
    plane_figures,
    recipe_tables,
)
from cellprism.studies.pareto.beside_figures import number_text as _number
from cellprism.studies.pareto.figures import LEFT_IN, TAKEN_OUT, cosine_figure, front_figure, path_figure, shown
from cellprism.studies.pareto.tables import Aimed, Condition, Pareto, Spread, Summary
from cellprism.studies.reading import where_read

TITLE, SHORT = "Can one recipe reach both?", "Both at once"
EDITS = {
    "multiply": "A recipe multiplies the values of features: what does not fire in the source cannot be switched on.",
    "add": "A recipe adds to the values of features at every gene: it can switch on what does not fire in the source.",
    "clamp": (
        "A recipe brings features towards the values that the target shows gene by gene: it can switch on what does "
        "not fire in the source."
    ),
}


def section(found: Pareto | None, claims: Sequence[Claim], context: Context) -> Section:
    """What was turned, how far it went in both, and whether both ask for the same."""
    if found is None or found.summary is None:
        why = found.absent if found else ""
        absent = f"Nothing could be traded: {why}." if why else (
            "The inner state was not traded against expression; `cellprism pareto RUN` does."
        )  # fmt: skip
        return Section("pareto", TITLE, SHORT, "", absent=absent)
    summary, tables = found.summary, found.tables
    figures = shown([
        front_figure(summary, tables["front"]), cosine_figure(summary, tables["cosines"]),
        path_figure(tables["cosines"], tables["front"]), beside_figure(tables["beside"]),
        *gene_figures(tables["genes"]), *plane_figures(tables["plane"], summary),
    ])  # fmt: skip
    return Section(
        "pareto", TITLE, SHORT, aimed_line(summary.aimed), figures,
        [
            _aimed_table(summary.aimed), beside_table(tables["beside"], summary),
            *recipe_tables(summary, tables["recipes"]), *judge_tables(summary), _spread_table(summary),
            _cosine_table(tables["cosines"]),
        ],
        told={
            c.id: f"One recipe gains {c.show(c.value)} from {summary.source} to {summary.target} in the inner state "
            f"and in expression at once, {than_control(c)}."
            for c in claims if c.value is not None
        },
        method=_method(summary, context), cannot=_cannot(summary),
    )  # fmt: skip


def aimed_line(aimed: Aimed) -> str:
    """One line that says reached or not."""
    missed = [one.words for one in aimed.conditions if one.met is False]
    unknown = [one.words for one in aimed.conditions if one.met is None]
    aside = f" (not measured: {', '.join(unknown)})" if unknown else ""
    others = f"{aimed.others_reach} of {aimed.recipes} recipes of the front would meet all on test cells"
    if aimed.reached:
        return f"One small recipe for both was asked for: reached{aside}. {others}."
    return f"One small recipe for both was asked for: not reached, for want of {'; '.join(missed)}{aside}. {others}."


def _method(summary: Summary, context: Context) -> str:
    sizes = summary.cells["test"]
    return (
        f"{cells_of(summary.source)} are moved towards {summary.target} in the mean of the inner state and in the "
        f"expression of {summary.genes} differential genes, at every weight of one against the other. "
        f"{EDITS[summary.edit]} {summary.free} of {summary.features} features can be turned here. Everything is scored "
        f"on {sizes['source']} test cells; {summary.evaluations:,} gradients of {summary.learners} cells were taken, "
        f"{summary.operations:.1e} multiplications and additions. {where_read(summary.read, summary.passes)}"
    ).strip()


def _aimed_table(aimed: Aimed) -> Table:
    rows = [(one.words, _shown(one, one.value), _limit(one), _met(one)) for one in aimed.conditions]
    header = ("asked of the small recipe for both", "on test cells", "needed", "met")
    return Table(f"The recipe aimed at: {'reached' if aimed.reached else 'not reached'}", NumberTable(header, rows))


def _shown(one: Condition, value: float | None) -> str:
    return "not measured" if value is None else format(value, one.format).replace("-", "−")


def _limit(one: Condition) -> str:
    return f"{'at most' if one.at_most else 'at least'} {_shown(one, one.needed)}"


def _met(one: Condition) -> str:
    return "–" if one.met is None else "yes" if one.met else "no"


def _spread_table(summary: Summary) -> Table:
    """What each autoencoder and donor says."""
    rows = [(one.words, *(_number(v) for v in one.values), _interval(one)) for one in summary.spreads]
    header = ("on test cells", *summary.units, "mean [95 % over units]")
    return Table("The same for each autoencoder and donor", NumberTable(header, rows))


def _interval(one: Spread) -> str:
    if one.interval is None:
        return f"{_number(one.mean)} (one unit)" if len(one.values) < 2 else _number(one.mean)
    return f"{_number(one.mean)} [{_number(one.interval[0])}, {_number(one.interval[1])}]"


def _cosine_table(cosines: pd.DataFrame) -> Table:
    """A row a way to read the inner state, a column a weighting, the common mode left in and taken out."""
    neutral = where(cosines, cosines["at"] == "neutral")
    weightings, rows = list(dict.fromkeys(texts(neutral, "weighting"))), []
    for key, some in neutral.groupby(["unit", "place", "pooling"], sort=False):
        unit, place, pooling = map(str, cast(tuple, key))
        values = {(r.weighting, r.common): r.cosine for r in records(some)}
        pairs = [[values.get((w, common)) for common in (LEFT_IN, TAKEN_OUT)] for w in weightings]
        rows.append((unit, f"{place}, {pooling}", *(" / ".join(map(_number, pair)) for pair in pairs)))
    header = ("unit", "inner state read at", *(f"genes weighted by {w}" for w in weightings))
    return Table(
        "Cosine of the two gradients where nothing is turned: common mode left in / taken out",
        NumberTable(header, rows),
    )


def _cannot(summary: Summary) -> list[str]:
    said = [
        "Say of the small recipe, and of edits of other kinds, whether chance would do as well: they are not judged."
    ]
    gaps = summary.gaps
    if gaps is not None and (gaps.low is None or gaps.low <= 0):
        said.append(
            f"Believe what is said of genes: the gaps that the model predicts between {summary.source} and "
            f"{summary.target} do not follow those in the counts (correlation {_number(gaps.correlation)})."
        )
    return said
