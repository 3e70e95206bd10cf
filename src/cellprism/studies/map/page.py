"""The part of the page with the map of features."""

from collections.abc import Sequence

import pandas as pd

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.frames import records, where
from cellprism.report.section import Cell, LongTable, Section
from cellprism.studies.map.figures import maps, meaning_figure, overlap_figure
from cellprism.studies.map.tables import CELLS, COMPONENTS, FEATURES, FILE, OVERLAPS, Found, Summary

TITLE, SHORT = "Which features belong together?", "The map"
LISTED = 5
KINDS = {"decoder": "nearest by what it writes", "genes": "by genes", "activity": "by activity"}
"""Kinds of neighbours, as headings."""


def section(found: Found | None, claims: Sequence[Claim], context: Context) -> Section:
    """Features on a map, joined by genes and by activity."""
    if found is None:
        return Section("map", TITLE, SHORT, "", absent="Nobody asked for a map; `cellprism do map RUN` makes one.")
    rows = [
        maps(found, (f"map/{FEATURES}", f"map/{CELLS}")),
        (overlap_figure(found, (f"map/{OVERLAPS}", f"map/{FILE}")),),
    ]
    if figure := meaning_figure(found, [claim.verdict for claim in claims], (f"map/{FILE}",)):
        rows.append((figure,))
    return Section(
        "map", TITLE, SHORT, _said(found.summary, claims), rows, method=_method(found.summary), absent=_absent(found),
        long=[_neighbours(found)],
        told={c.id: _told(c) for c in claims if c.value is not None},
    )  # fmt: skip


def _told(claim: Claim) -> str:
    """Whether features of one group mean the same, and how much more their terms are alike."""
    beyond = "" if claim.verdict == "above chance" else ", but no more than sharing genes gives"
    if claim.verdict == "cannot be told here":
        beyond = ", perhaps"
    more = "more" if (claim.value or 0.0) > 0 else "less"
    amount = claim.show(abs(claim.value or 0.0)).removeprefix("+")
    same = claim.statement.split(",")[0]
    return f"{same}{beyond}: their terms are {more} alike within groups than between, by {amount}."


def _said(s: Summary, claims: Sequence[Claim]) -> str:
    """How features hang together by genes and by activity, and whether groups mean the same."""
    graph, m = s.graph, s.modules
    said = (
        f"By shared genes, {graph.largest} of {graph.lists} features hang together and {graph.alone} stand alone; of "
        f"lists that use genes as often, {s.random.largest} and {s.random.alone}. By activity in cells there are "
        f"{m.count} modules, which two halves of the cells find alike to {m.halves:.2f} (by chance "
        f"{m.shuffled_halves:.2f}; 1 is equal)."
    )
    verdicts = [f"{c.statement.split(',')[0].lower()}: {c.verdict}" for c in claims]
    return f"{said} Beyond what sharing genes gives, {'; '.join(verdicts)}." if verdicts else said


def _method(s: Summary) -> str:
    graph, chance = s.graph, s.random
    said = (
        f"Features whose gene lists overlap by more than {s.overlap:g} are joined. The largest component has "
        f"{graph.largest} of {graph.lists} features, there are {max(graph.components - 1, 0)} others of two or more, "
        f"and {graph.alone} features are joined to none; among lists that use each gene as often the largest has "
        f"{chance.largest}, others are {max(chance.components - 1, 0)}, and {chance.alone} are alone."
    )
    if graph.largest > graph.lists / 2:
        said += (
            " Most features hang together by a chain of overlaps, so components group them badly here; modules of "
            "features that are active in the same cells may serve better."
        )
    m = s.modules
    return (
        f"{said} By activity over cells features make {m.count} modules (modularity {m.modularity:.2f}; where each "
        f"feature is dealt out among the cells by itself {m.shuffled:.2f}), and two halves of the cells give modules "
        f"that agree to {m.halves:.2f} (adjusted Rand index; dealt out {m.shuffled_halves:.2f}). {_dead(s)}"
    )


def _dead(s: Summary) -> str:
    dead = s.features - s.firing
    said = f"{dead} of {s.features} features never fire" if dead else f"All {s.features} features fire"
    same = (
        f"{s.duplicates} write nearly the same as one that fires more often" if s.duplicates else "none is a duplicate"
    )
    return f"{said}; {same}."


def _absent(found: Found) -> str:
    names = {COMPONENTS: "components", "modules": "modules"}
    said = [f"{names[groups]}: {why}" for groups, why in found.summary.no_alike.items()]
    return f"Whether features of one group mean the same cannot be asked of {'; '.join(said)}." if said else ""


def _neighbours(found: Found) -> LongTable:
    """Every feature that fires, with its group and its nearest others."""
    some = where(found.neighbours, found.neighbours["rank"] < LISTED)
    near = {
        kind: {
            key: ", ".join(map(str, part))
            for key, part in where(some, some["by"] == kind).groupby("feature")["neighbour"]
        }
        for kind in KINDS
    }
    table: pd.DataFrame = where(found.features, ~found.features["dead"])
    rows = [
        (
            Cell(str(row.feature)), Cell(str(row.top_genes)), Cell(row.best_term or "–"),
            Cell(str(row.module), float(row.module)),
            Cell("–" if row.component < 0 else f"{row.component} ({row.component_size})", float(row.component)),
            *(Cell(near[kind].get(row.feature, "–")) for kind in KINDS),
            Cell("–" if row.duplicate_of < 0 else str(row.duplicate_of)),
        )
        for row in records(table)
    ]  # fmt: skip
    return LongTable(
        "neighbour", "Features and their neighbours",
        f"Features that fire, each with the {LISTED} nearest by the direction that it writes, by the genes of its list "
        "and by the cells in which it is active. Components hold features that share genes (in brackets how many), "
        "modules those active in the same cells; both are numbered from 0, the largest.",
        ("Feature", "Top genes", "Best program", "Module", "Component", *KINDS.values(), "duplicate of"), rows,
        placeholder="gene, program, feature …",
    )  # fmt: skip
