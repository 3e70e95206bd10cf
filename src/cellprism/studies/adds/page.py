"""The part of the page that says what training adds. It claims nothing: it says who leads in each measure, and by how
much."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import NumberTable, listing
from cellprism.report.section import Section, Table
from cellprism.studies.adds.figure import excess_figure, rival_figure
from cellprism.studies.adds.labels import COMPONENTS, SOURCES, TRAINED, label_of, shown
from cellprism.studies.adds.tables import FILE, Adds, Column
from cellprism.studies.programs.over_seeds import Excess

PATH = f"adds/{FILE}"
TITLE, SHORT = "What does an autoencoder add?", "What it adds"


def claims(found: Adds, context: Context) -> list[Claim]:
    """None."""
    return []


def section(found: Adds | None, claims: Sequence[Claim], context: Context) -> Section:
    """The trained autoencoder beside directions that nobody trained."""
    if found is None:
        absent = "Nobody asked what training adds to untrained directions; `cellprism do adds RUN` does."
        return Section("adds", TITLE, SHORT, "", absent=absent)
    if not found.columns:
        absent = (
            f"Nothing could be compared on {found.cells} cells: it takes some more, and features that differ "
            "between them."
        )
        return Section("adds", TITLE, SHORT, "", absent=absent)
    return Section(
        "adds", TITLE, SHORT, _said(found),
        [(rival_figure(found, context, (PATH,)),), (excess_figure(found, context, (PATH,)),)],
        [Table(_caption(found, context), _table(found, context))], method=_method(found, context),
    )  # fmt: skip


def tally(found: Adds) -> str:
    """Who leads in how many of the measures."""
    leads, n = [column.told for column in found.columns], len(found.columns)
    parts = [
        f"the trained autoencoder leads in {leads.count(1)} of {n} measures",
        f"directions that nobody trained in {leads.count(-1)}",
        f"{leads.count(0)} are not told apart" if leads.count(0) != 1 else "1 is not told apart",
    ]
    return listing(parts)


def _said(found: Adds) -> str:
    """Who leads in how many measures; the figure says in which."""
    if len(found.seeds) == 1:
        return "One autoencoder says nothing of another training, so that nothing is told apart here."
    return (
        f"{_capital(tally(found))}. Each measure compares {found.n_features} trained directions with the best of those "
        "that nobody trained, over autoencoders of several seeds."
    )


def _method(found: Adds, context: Context) -> str:
    """Every measure, with the best source that nobody trained."""
    return " ".join(f"{_capital(label_of(c.name, context))}: {_outcome(c)}." for c in found.columns)


def _outcome(column: Column) -> str:
    """Who leads in a column, and by how much."""
    row, rival = column.beside, SOURCES[column.rival]
    ours, theirs = (shown(value, column.name) for value in (row.share, row.control))
    few = ""
    if row.lists < column.directions:
        few = f"; {row.lists} of each, with all {column.directions} trained ones {_whole(column)}"
    if column.told == 0:
        difference = f"difference {_difference(row.mean, column.interval, column.name)}"
        return f"the trained autoencoder ({ours}) is not told apart from {rival} ({theirs}; {difference}{few})"
    sign, interval = column.told, column.interval
    assert interval is not None, "else nothing is told"
    low, high = sorted(sign * end for end in interval)
    by = f"{shown(abs(row.mean), column.name)} [{shown(low, column.name)}, {shown(high, column.name)}]"
    if sign > 0:
        return f"the trained autoencoder ({ours}) leads, {by} ahead of {rival} ({theirs}{few})"
    return f"{rival} ({theirs}) lead, {by} ahead of the trained autoencoder ({ours}{few})"


def _whole(column: Column) -> str:
    """What the trained autoencoder has with all of its lists or features."""
    return shown(sum(column.trained) / len(column.trained), column.name)


def _difference(mean: float, interval: tuple[float, float] | None, column: str) -> str:
    if interval is None:
        return shown(mean, column, "+")
    return f"{shown(mean, column, '+')} [{', '.join(shown(end, column, '+') for end in interval)}]"


def _caption(found: Adds, context: Context) -> str:
    n, of = len(found.seeds), "donors" if found.by_donor else "cells"
    types = f"{found.types} types" if found.types else "no labels to tell them"
    others = f" Proteins: {found.proteins}, by rank correlation." if found.proteins else ""
    said = (
        f"Means over {n} autoencoder{'s' if n > 1 else ''}, and in brackets what the trained autoencoder exceeds each "
        "source by, at as many lists or features as both have, with the 95 % t interval; those of the text above are "
        f"wider, since the best source was picked ({PATH}). {found.cells} cells, halves of {of}: whatever is chosen is "
        f"chosen on one half and judged on the other. Programs: {found.terms} of {found.collection}, {found.distinct} "
        f"when near copies count once. Cell types: {types}.{others} "
    )
    if any(row.name == COMPONENTS for column in found.columns for row in column.rows):
        said += f"Of {SOURCES[COMPONENTS]}, there are at most {2 * found.width}, and they are the same for all. "
    return said + "Dashes stand where a source has no lists by a rule, or fewer than the autoencoder's seeds."


def _table(found: Adds, context: Context) -> NumberTable:
    rows = [(words, *(_cell(column, source) for column in found.columns)) for source, words in SOURCES.items()]
    return NumberTable(("directions", *(label_of(column.name, context) for column in found.columns)), rows)


def _cell(column: Column, source: str) -> str:
    if source == TRAINED:
        return _whole(column)
    row: Excess | None = next((row for row in column.rows if row.name == source), None)
    if row is None:
        return "–"
    few = f", {row.lists} of each" if row.lists < column.directions else ""
    return f"{shown(row.control, column.name)} ({_difference(row.mean, row.interval, column.name)}{few})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
