"""The part of the page about what every feature causes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.effect import between, changed
from cellprism.report.figure import NumberTable, percent
from cellprism.report.findings import than_control
from cellprism.report.frames import numbers, records
from cellprism.report.section import Cell, LongTable, Section, Table
from cellprism.studies.reading import where_read
from cellprism.studies.screen.claims import MOVES
from cellprism.studies.screen.figures import agreement_figure, quadrant_figure, range_figure
from cellprism.studies.screen.tables import KINDS, Screen, Summary

TITLE, SHORT = "What does every feature cause?", "Screen"
SHOWN = 10  # features in which description and effect disagree


def section(found: Screen | None, claims: Sequence[Claim], context: Context) -> Section:
    """How well derivatives say what exact passes say, what features do, and whether that is what describes them."""
    if found is None or found.summary is None or found.cards is None:
        why = found.absent if found else ""
        absent = (
            f"Nothing could be screened: {why}." if why else "No feature was screened; `cellprism screen RUN` does."
        )
        return Section("screen", TITLE, SHORT, "", absent=absent)
    summary, cards = found.summary, found.cards
    figures = [figure for figure in (
        agreement_figure(summary, cards), quadrant_figure(summary, cards, context.words),
        range_figure(cards),
    ) if figure is not None]  # fmt: skip
    return Section(
        "screen", TITLE, SHORT, _said(summary, claims), [(f,) for f in figures],
        [_agreement_table(summary), _apart_table(cards, context.words.unit), _cost_table(summary)],
        told={
            c.id: f"{c.show(c.value)} of firing features move the genes of their own lists, {than_control(c)}."
            for c in claims
        },
        method=_method(summary, context),
        can=[f"Say of each of {summary.live} features what it does to each of {summary.genes:,} genes."],
        cannot=_cannot(summary),
        long=[_card_table(cards, context.words.unit)],
    )  # fmt: skip


def _method(summary: Summary, context: Context) -> str:
    words, ways = context.words, sorted(summary.operations.items(), key=lambda item: item[1])
    counted = ", ".join(f"{name} {count:.1e}" for name, count in ways)
    kinds = f"{summary.cells} cells" + (f" of {len(summary.types)} types" if len(summary.types) > 1 else "")
    return (
        f"Each of the {summary.live} features that fire in enough of {kinds} is turned up a little, by derivatives, "
        f"and the change of all {summary.genes:,} genes is read; some are turned to 0, 2 and 5 exactly, to see whether "
        "that may be believed. All effects are means over the cells that express a gene. Operations of the ways to "
        f"this matrix: {counted}; taken was {summary.way}. {where_read(summary.read, summary.passes)} {words.note}"
    ).strip()


def _said(summary: Summary, claims: Sequence[Claim]) -> str:
    """How many move their genes, and how far derivatives may be believed."""
    said = [f"{summary.own_genes} of {summary.live} features move the genes of their own lists beyond their controls"]
    if moves := next((claim for claim in claims if claim.id == MOVES), None):
        said.append(f"{moves.show(moves.value)} at p ≤ .05 each, against {moves.show(moves.null.value)} of features "
                    f"of random dictionaries ({moves.verdict})" if moves.null else "")  # fmt: skip
    first = next(iter(summary.scalars), "")
    rows = [a for a in summary.agreement if (a.scalar, a.features, a.strength) == (first, "random", 5.0)]
    if rows:
        each = ", ".join(f"{_signed(a.r)} ({KINDS[a.kind]})" for a in rows)
        said.append(f"over {rows[0].n} random features derivatives go with exact passes at strength 5 by {each}")
    return "; ".join(part for part in said if part) + "."


def _cannot(summary: Summary) -> list[str]:
    n = next((a.n for a in summary.agreement if a.features == "random"), 0)
    said = [f"Say how derivatives and exact effects of all features agree more sharply than {n} random ones tell."]
    if summary.moves is None or summary.moves.p is None:
        said.append("Tell the features from those of dictionaries that nobody trained: too few were compared.")
    return said


def _agreement_table(summary: Summary) -> Table:
    rows = [
        (a.scalar, KINDS[a.kind], a.features, f"{a.n}", f"{a.strength:g}", _signed(a.r),
         "–" if a.interval is None else f"{_signed(a.interval[0])} to {_signed(a.interval[1])}")
        for a in summary.agreement
    ]  # fmt: skip
    caption = (
        "Rank correlation over features of what derivatives say and what exact passes do, with the 95 % bootstrap "
        "interval over features. Random features were drawn from those that the screen did not choose."
    )
    header = ("number", "derivative", "features", "n", "strength", "correlation", "interval")
    return Table(caption, NumberTable(header, rows))


def _apart_table(cards: pd.DataFrame, unit: str) -> Table:
    """The features in which description and effect disagree most."""
    order = np.argsort(-np.abs(numbers(cards, "apart")), kind="stable")[:SHOWN]
    rows = [
        (f"{row.feature}", str(row.program) or "no program", "described" if row.apart > 0 else "moves genes",
         f"{row.described:.1f}", changed(row.effect, unit), f"{row.reach}", f"{row.genes_own}")
        for row in records(cards.iloc[order])
    ]  # fmt: skip
    caption = (
        "The ten features in which rank by description and rank by effect differ most. Description: −log10 q of the "
        "best program; effect: root mean square change of all genes at equal size of the edit; reach: genes that "
        "change noticeably at strength 5."
    )
    header = ("feature", "best program", "higher by", "description", "effect", "reach", "own genes")
    return Table(caption, NumberTable(header, rows))


def _cost_table(summary: Summary) -> Table:
    rows = [
        (cost.part, f"{cost.seconds:.1f}", f"{cost.processor_seconds:.1f}",
         "–" if cost.operations is None else f"{cost.operations:.1e}")
        for cost in summary.costs
    ]  # fmt: skip
    caption = "What it took. A part that was done before an interruption took more than is counted here."
    return Table(caption, NumberTable(("part", "seconds", "of the processor", "operations"), rows))


def _card_table(cards: pd.DataFrame, unit: str) -> LongTable:
    """A row a feature."""
    header = ("feature", "program", "reach", "own genes' share", "own genes", "controls", "q", "mirror", "plausible")
    rows = []
    for row in records(cards):
        controls = "–" if np.isnan(row.control_low) else between(row.control_low, row.control_high, unit)
        own = "–" if np.isnan(row.response) else changed(row.response, unit)
        spread = "–" if np.isnan(row.plausible_low) else f"{row.plausible_low:g} to {row.plausible_high:g}"
        rows.append((
            Cell(f"{row.feature}", float(row.feature)), Cell(str(row.program) or "–"), _number(row.reach, ".0f"),
            Cell("–" if np.isnan(row.specificity) else percent(row.specificity), _sortable(row.specificity)),
            Cell(own, _sortable(row.response)), Cell(controls, _sortable(row.control)), _number(row.q, ".2g"),
            _number(row.mirror, "+.2f"), Cell(spread.replace("-", "−"), _sortable(row.plausible_high)),
        ))  # fmt: skip
    lead = (
        "Reach: genes that change noticeably at strength 5. Own genes' share: of the summed change of all genes. Own "
        "genes: their change at strength 5 against others as high, in the direction that the feature stands for; "
        "controls: where 95 % of the features of random dictionaries most like it lie; q over all features. Mirror, "
        "and the plausible strengths, of features that were passed exactly."
    )
    return LongTable("causes", "What every feature causes", lead, header, rows, "search a feature or a program …")


def _number(value: float, form: str) -> Cell:
    return Cell("–" if np.isnan(value) else format(value, form).replace("-", "−"), _sortable(value))


def _sortable(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _signed(value: float | None) -> str:
    return "–" if value is None else format(value, "+.2f").replace("-", "−")
