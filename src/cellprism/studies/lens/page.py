"""The part of the page about the cells in which features are high."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.effect import between
from cellprism.report.figure import NumberTable, percent, small_text
from cellprism.report.findings import than_control
from cellprism.report.frames import ordered, records, where
from cellprism.report.section import Cell, LongTable, Section, Table
from cellprism.studies.lens.claims import RARE, id_of
from cellprism.studies.lens.figures import moved_figure, rare_figure
from cellprism.studies.lens.settings import REST
from cellprism.studies.lens.tables import Lens

ID, TITLE, SHORT = "lens", "In which cells are features high, and what is high there?", "High cells"
SHOWN, GENES = 12, 6
SIGN = {"up": "high", "down": "low", "": ""}


def section(found: Lens | None, claims: Sequence[Claim], context: Context) -> Section:
    """Genes and terms of the cells in which features are high, rare cells, features set high."""
    if found is None:
        absent = "Nobody asked in which cells features are high; `cellprism do lens RUN` does."
        return Section(ID, TITLE, SHORT, "", absent=absent)
    summary = found.summary
    if summary.rare is None:
        absent = f"No feature is high in {summary.fewest} cells and low in as many, so that none can be read."
        return Section(ID, TITLE, SHORT, "", absent=absent)
    by_id = {claim.id: claim for claim in claims}
    rows: list[tuple] = [(rare_figure(found, by_id[RARE]),)]
    if summary.moved:
        rows.append((moved_figure(found, claims, context),))
    tables = [Table(_beside_caption(found), _beside(found)), Table(_rare_caption(found), _rare_table(found))]
    if summary.moved:
        tables.append(Table(_moved_caption(found, context), _moved_table(found, by_id)))
    return Section(
        ID, TITLE, SHORT, _said(found, by_id), rows, tables, method=_method(found), long=[_all(found)],
        told={
            RARE: f"{by_id[RARE].show(by_id[RARE].value)} of features are high in cells that lie together, "
            f"{than_control(by_id[RARE])}."
        },
    )  # fmt: skip


def _method(found: Lens) -> str:
    s = found.summary
    low = "all others" if s.against == REST else f"those in which it does not fire, or below its {s.low:.0%} quantile"
    said = (
        f"{s.read} of {s.features} features that fire are high (above the {s.high:.0%} quantile of their activation) "
        f"in at least {s.fewest} cells and are read by them: genes that differ between these cells and {low}, "
        f"corrected over all {s.genes:,} genes and features, and their terms, corrected over all terms and features. "
        "Cells high in any function of the counts have such genes, which is why dictionaries that nobody trained are "
        "read alike."
    )
    return said + (f" No feature was set high: {s.not_moved}." if s.not_moved else "")


def _said(found: Lens, by_id: dict[str, Claim]) -> str:
    s, rare = found.summary, found.summary.rare
    assert rare is not None
    said = (
        f"Read by the cells in which they are high, {percent(s.annotated)} of features match a term (features of "
        f"random dictionaries {_range(s.untrained)}), and {rare.local} of {s.read} mark cells that lie together"
    )
    beyond = [one for one in s.moved if by_id[id_of(one)].verdict == "above chance"]
    if s.moved:
        said += f"; set high, {len(beyond)} of {len(s.moved)} raise their own genes beyond control features"
    return said + "."


def _range(values: Sequence[float]) -> str:
    if not values:
        return "not read"
    low, high = percent(min(values)), percent(max(values))
    return low if low == high else f"{low} to {high}"


def _beside_caption(found: Lens) -> str:
    s = found.summary
    return (
        f"The run's features beside those of {len(s.untrained)} dictionaries with random directions of the inner "
        f"state's covariance, read alike. Shown, not judged (lens/lens.json). Test of genes: {s.test}; of the "
        f"{s.terms:,} terms of {s.collection}: {s.terms_by}."
    )


def _beside(found: Lens) -> NumberTable:
    s, rare = found.summary, found.summary.rare
    assert rare is not None
    rows = [
        ("features that match a term", percent(s.annotated), _range(s.untrained)),
        ("features high in cells that lie together", percent(rare.beyond), _range(rare.untrained)),
    ]
    return NumberTable(("", "trained", "random dictionaries"), rows)


def _rare_caption(found: Lens) -> str:
    rare = found.summary.rare
    assert rare is not None
    same = " of the same types" if rare.by_type else ""
    return (
        f"The {SHOWN} features whose high cells lie together most, against random cells{same}; q over all features "
        f"({rare.draws} draws give no p below {2 / (rare.draws + 1):.2g}). “Every feature by its high cells” lists all."
    )


def _rare_table(found: Lens) -> NumberTable:
    table = ordered(where(found.features, found.features["local"]), ["q", "neighbours"], [True, False]).head(SHOWN)
    rows = [
        (
            str(row.feature), f"{row.high}", _type(row),
            f"{percent(row.neighbours)} / {percent(row.expected)}", small_text(row.q), _term(row),
            ", ".join(genes_of(found, row.feature, "up")) or "none",
        )
        for row in records(table)
    ]  # fmt: skip
    header = ("feature", "high cells", "most are", "neighbours high / random", "q", "term", "genes that are high")
    return NumberTable(header, rows)


def _type(row) -> str:
    return f"{row.high_in} ({percent(row.type_share)})" if row.high_in else "–"


def _term(row) -> str:
    return f"{SIGN[row.direction]}: {row.term}" if row.term else "none"


def genes_of(found: Lens, feature: int, direction: str, most: int = GENES) -> list[str]:
    """The first differential genes of a feature."""
    table = found.genes
    chosen = where(table, (table["feature"] == feature) & (table["direction"] == direction))
    return [str(row.gene) for row in records(ordered(chosen, "rank").head(most))]


def _moved_caption(found: Lens, context: Context) -> str:
    s = found.summary
    read = ", read while they are hidden from the model" if s.hidden else ""
    return (
        f"Features set to their {s.high:.0%} quantile in {s.set_cells} cells: mean change of their differential "
        f"genes less others {context.words.alike}{read}; beside it 95 % of control features. "
        "Own first: of the genes that rise most, as many as the feature has, those that are its own."
    )


def _moved_table(found: Lens, by_id: dict[str, Claim]) -> NumberTable:
    rows = []
    for one in found.summary.moved:
        claim = by_id[id_of(one)]
        span = "–" if one.null_interval is None else between(*one.null_interval, claim.unit)
        rows.append((
            f"{one.feature}: {one.term or 'no term'}", claim.plain(one.value), span, claim.verdict,
            f"{one.own_moved} of {one.genes}", f"{one.edit_ratio:.2f}", "; ".join(one.terms) or "none",
        ))  # fmt: skip
    header = ("feature", "its genes", "controls", "verdict", "own first", "edit over state", "terms of what rises")
    return NumberTable(header, rows)


def _all(found: Lens) -> LongTable:
    """Every feature that could be read."""
    rows = [
        (
            Cell(str(row.feature), float(row.feature)),
            Cell(", ".join(genes_of(found, row.feature, "up")) or "none"),
            Cell(", ".join(genes_of(found, row.feature, "down", 3)) or "none"), Cell(_term(row)), Cell(_type(row)),
            Cell("local" if row.local else "global"), Cell(small_text(row.q), float(row.q)),
        )
        for row in records(found.features)
    ]  # fmt: skip
    return LongTable(
        "lens-features", "Every feature by its high cells",
        "Genes that are high and low where the feature is high, the term that fits best, the type of most of these "
        "cells, and whether they lie together (local).",
        ("feature", "high there", "low there", "term", "cells", "place", "q"), rows, "gene, term or cell type …",
    )  # fmt: skip
