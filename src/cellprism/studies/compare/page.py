"""The claim and the part of the page about conditions."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.figure import Figure, NumberTable, canvas, percent, plain, small, small_text, wrapped
from cellprism.report.findings import than_control
from cellprism.report.frames import numbers, records
from cellprism.report.section import Section, Table
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.compare.tables import DONORS, FEATURES, SUMMARY, Compare

ID, TITLE, SHORT = "compare", "Which features differ between conditions?", "Conditions"
SECTION, CLAIM = "Conditions", "compare-features-differ"
SHOWN, GENES = 15, 6


def claims(found: Compare, context: Context) -> list[Claim]:
    """Whether features differ between the conditions at all."""
    s = found.summary
    ways = "all other ways" if s.exact else f"{s.permutations} ways drawn at random"
    what = "to swap the conditions within donors" if s.paired else "to deal the donors to the conditions"
    return [
        judged(
            CLAIM,
            SECTION,
            f"Features differ between {_between(found)}, with the donor as the unit",
            s.share,
            unit="of features",
            format=".1%",
            null=Null(f"{ways} {what}", s.null, s.null_interval, s.p, s.permutations),
            test=Test(
                "t test over donors, paired" if s.paired else "Welch's t test over donors", "two-sided",
                "permuted donors", "none", "donors", sum(s.donors) // (2 if s.paired else 1), SHARE_MATTERS,
            ),
            source=Source(f"compare/{SUMMARY}", "share"),
            why=_too_few(found),
        )
    ]  # fmt: skip


def _too_few(found: Compare) -> str:
    """Why donors are too few for a verdict on all features; empty where they are not."""
    s = found.summary
    if not s.exact or s.permutations >= 39:
        return ""
    return (
        f"there are {s.permutations + 1} ways to deal so few donors to two conditions, so that no p can be below "
        f"{2 / (s.permutations + 1):.2g}; single features are tested by their t intervals, which take donors for "
        "normally distributed"
    )


def section(found: Compare | None, claims: Sequence[Claim], context: Context) -> Section:
    """Differences between conditions, feature by feature, over donors."""
    if found is None:
        absent = (
            "No conditions were compared; `cellprism do compare RUN --condition COLUMN --donor COLUMN` does, where "
            "the cells are of at least 3 donors a condition."
        )
        return Section(ID, TITLE, SHORT, "", absent=absent)
    s = found.summary
    return Section(
        ID, TITLE, SHORT, _said(found, claims), [(_figure(found),)],
        [Table(_caption(found), _table(found)), Table(f"The donors (compare/{DONORS}).", _donors(found))],
        told={
            c.id: f"{c.show(c.value)} of features differ between {_between(found)}, {than_control(c)}." for c in claims
        },
        method=_method(found),
        cannot=[] if sum(s.donors) > 8 else ["Say much of donors in general: few were compared."],
    )  # fmt: skip


def _between(found: Compare) -> str:
    s = found.summary
    inside = f" within {s.cell_type}" if s.cell_type else ""
    return f"{s.case} and {s.control}{inside}"


def _said(found: Compare, claims: Sequence[Claim]) -> str:
    """How many features differ, beside dealt-out conditions, and which surest."""
    s, first = found.summary, next(records(found.features), None)
    said = f"Between {_between(found)}, {s.differ} of {s.features} features differ over donors (q < {s.alpha:g})."
    for claim in claims:
        said += f" By themselves, {claim.show(s.share)} do; by chance {claim.show(s.null)} would."
    if first is None or not s.differ:
        return said
    by = percent(abs(first.difference) / first.level) if first.level > 0 else f"{abs(first.difference):.2g}"
    way = "higher" if first.difference > 0 else "lower"
    return f"{said} Surest is feature {first.feature} ({first.term or 'no program'}), {by} {way} in {s.case}."


def _method(found: Compare) -> str:
    s = found.summary
    n = f"{s.donors[0]} donors with both" if s.paired else f"{s.donors[0]} and {s.donors[1]} donors"
    said = (
        f"Features between {_between(found)} ({n}; {s.cells[0]:,} and {s.cells[1]:,} cells): the mean of each feature "
        "over a donor's cells, then the difference over donors. A donor counts once, whatever the number of its cells, "
        f"since cells of one donor are no replicates; q is corrected over all features."
    )
    return said + (f" Left out: {'; '.join(s.left_out)}." if s.left_out else "")


def _figure(found: Compare) -> Figure:
    """Differences with their intervals, the surest features first."""
    table = found.features.head(SHOWN).iloc[::-1]
    labels = [wrapped(f"{row.feature}: {row.term or 'no program'}", 34) for row in records(table)]
    scale = np.where(numbers(table, "level") > 0, numbers(table, "level"), 1)
    value = numbers(table, "difference") / scale
    ends = [numbers(table, name) / scale for name in ("low", "high")]
    sure = numbers(table, "q") < found.summary.alpha
    hover = [
        f"t = {row.t:.1f}, p = {small(row.p)}, q = {small(row.q)}, among permuted donors p = {small(row.permuted_p)}"
        f"<br>{plain(row.top_genes)}"
        for row in records(table)
    ]
    dots = go.Scatter(
        x=value, y=labels, mode="markers", name="difference and 95 % t interval over donors", text=hover,
        marker={"color": [theme.OURS if yes else theme.CONTROL for yes in sure], "size": 10,
                "symbol": ["diamond" if yes else "circle-open" for yes in sure]},
        error_x={"type": "data", "symmetric": False, "array": np.nan_to_num(ends[1] - value),
                 "arrayminus": np.nan_to_num(value - ends[0]), "color": theme.CONTROL, "thickness": 2, "width": 4},
        hovertemplate="<b>%{y}</b><br>%{x:+.0%}<br>%{text}<extra></extra>",
    )  # fmt: skip
    s = found.summary
    return Figure(
        "compare-differences",
        f"{s.differ} of {s.features} features differ between {_between(found)} (q < {s.alpha:g} over donors)",
        canvas(
            [dots],
            xaxis={"title": {"text": f"{s.case} minus {s.control}, over the feature's mean"}, "tickformat": "+.0%",
                   "zeroline": True, "showgrid": True},
            yaxis={"type": "category", "ticks": "", "showline": False},
        ),
        f"The {min(SHOWN, len(found.features))} features with the smallest p: the difference of their pseudobulk means "
        "over donors, in units of the feature's mean over all of them, with its 95 % t interval. Filled diamonds have "
        "a q-value below the level; rings have not.",
        "Dot plot of differences between conditions: "
        + "; ".join(f"feature {row.feature} {row.difference:+.2g}" for row in records(table.iloc[::-1].head(5))),
        (f"compare/{FEATURES}",),
        height=140 + 38 * len(table),
    )  # fmt: skip


def _caption(found: Compare) -> str:
    s = found.summary
    ways = f"all {s.permutations} other ways" if s.exact else f"{s.permutations} random ways"
    what = "to swap the conditions within donors" if s.paired else "to deal donors to conditions"
    return (
        f"The surest features: pseudobulk mean of the case minus that of the control with its t interval, q over "
        f"{s.features} features, and p among {ways} {what} (compare/{FEATURES}). Of all features {percent(s.share)} "
        f"have a q below {s.alpha:g}, under permuted donors {percent(s.null)} on average."
    )


def _table(found: Compare) -> NumberTable:
    rows = []
    for row in records(found.features.head(SHOWN)):
        span = "–" if np.isnan(row.low) else f"[{_shown(row.low)}, {_shown(row.high)}]"
        genes = ", ".join(str(row.top_genes).split(", ")[:GENES])
        rows.append((
            str(row.feature), row.term or "none", f"{_shown(row.difference)} {span}", f"{row.level:.2g}",
            small_text(row.p), small_text(row.q), small_text(row.permuted_p), genes,
        ))  # fmt: skip
    header = ("feature", "program", "difference", "mean", "p", "q", "permuted p", "genes")
    return NumberTable(header, rows)


def _shown(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")


def _donors(found: Compare) -> NumberTable:
    rows = [
        (str(row.donor), str(row.condition), f"{row.cells}", f"{row.cells_control}") for row in records(found.donors)
    ]
    return NumberTable(("donor", "condition", "cells of the case", "cells of the control"), rows)
