"""Where features are high, and what setting them high does."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.effect import change_axis, changed, on_axis
from cellprism.report.figure import Figure, canvas, percent, plain, small, wrapped
from cellprism.report.frames import flags, numbers, records, where
from cellprism.studies.lens.tables import SUMMARY, Lens


def rare_figure(found: Lens, claim: Claim) -> Figure:
    """Neighbours of high cells that are high, beside random cells, a dot a feature."""
    table, rare = found.features, found.summary.rare
    assert rare is not None
    local = flags(table, "local")
    looks = ((~local, "global", theme.CONTROL, "circle"), (local, "local", theme.OURS, "diamond"))
    traces = []
    for chosen, name, colour, symbol in looks:
        rows = where(table, chosen)
        hover = [
            f"<b>feature {row.feature}</b>, high in {row.high} cells"
            + (f", {percent(row.type_share)} of them {plain(row.high_in)}" if row.high_in else "")
            + f"<br>neighbours that are high {percent(row.neighbours)}, random cells {percent(row.expected)}"
            + f"<br>q = {small(row.q)}" + (f"<br>{plain(row.term)}" if row.term else "")
            for row in records(rows)
        ]  # fmt: skip
        traces.append(
            go.Scatter(
                x=numbers(rows, "expected"), y=numbers(rows, "neighbours"), mode="markers", name=name, text=hover,
                marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
                hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    top = float(max(numbers(table, "neighbours").max(initial=0), numbers(table, "expected").max(initial=0), 0.01))
    line = go.Scatter(
        x=[0, top], y=[0, top], mode="lines", name="as random cells", hoverinfo="skip",
        line={"color": theme.CONTROL, "width": 1, "dash": "dot"},
    )  # fmt: skip
    same = " of the same types" if rare.by_type else ""
    return Figure(
        "lens-rare-cells",
        f"{percent(rare.beyond)} of features are high in cells that lie together beyond 95 % of draws, "
        f"{percent(rare.null)} where cells trade places ({claim.verdict})",
        canvas(
            [line, *traces],
            xaxis={"title": {"text": wrapped(f"random cells{same}: neighbours that are high", 40)},
                   "tickformat": ".0%"},
            yaxis={"title": {"text": "high cells: neighbours that are high"}, "tickformat": ".0%"},
        ),
        f"Each mark is a feature. Upwards: of the nearest neighbours of its high cells, in the principal components of "
        f"the cells' own counts, the share that are high cells too. To the right: the same for random cells, as many "
        f"and{same or ' drawn from all'}. A feature above the line is high in cells that lie together; it is called "
        f"local where its q over all features is below {found.summary.alpha:g}. Features are functions of these "
        "counts, so that many are local also in a random dictionary: the table says how many.",
        "Scatter plot of the share of neighbours of high cells that are high, against that of random cells. "
        f"{int(local.sum())} of {len(table)} features are local.",
        (f"lens/{SUMMARY}", "lens/features.parquet"),
        height=440,
    )  # fmt: skip


def moved_figure(found: Lens, claims: Sequence[Claim], context: Context) -> Figure:
    """What setting features high does to their genes, beside the controls of each."""
    rows = found.summary.moved[::-1]
    labels = [wrapped(f"{one.feature}: {one.term or 'no term'}", 30) for one in rows]
    unit = context.words.unit
    spans = [on_axis(one.null_interval or (np.nan, np.nan), unit) for one in rows]
    said = {claim.source.field: claim.verdict for claim in claims if claim.source}
    verdicts = [said.get(f"moved.{len(rows) - 1 - i}.value", "") for i in range(len(rows))]
    bars = go.Bar(
        y=labels, base=[low for low, _ in spans], x=[high - low for low, high in spans], orientation="h", width=0.5,
        name="95 % of control features", marker={"color": theme.CONTROL_BAND}, hoverinfo="skip",
    )  # fmt: skip
    ours = go.Scatter(
        x=on_axis([one.value for one in rows], unit), y=labels, mode="markers", name="the feature",
        marker={"color": theme.OURS, "symbol": "diamond", "size": 11},
        text=[f"{changed(one.value, unit)}<br>{one.genes} genes, {v}" for one, v in zip(rows, verdicts, strict=True)],
        hovertemplate="<b>%{y}</b><br>%{text}<extra></extra>",
    )  # fmt: skip
    above = verdicts.count("above chance")
    return Figure(
        "lens-set-high",
        f"Set high, {above} of {len(rows)} features raise their own genes beyond features of random dictionaries",
        canvas(
            [bars, ours],
            xaxis={**change_axis("rise of its genes", context.words), "showgrid": True},
            yaxis={"type": "category", "ticks": "", "showline": False},
            barmode="overlay",
        ),
        "Each line is a feature, set to its 99th percentile in all cells while the model reads them; the mark says by "
        "how much its differential genes rise then, less other genes of which the model predicts as much. The grey "
        "bar holds 95 % of features that nobody trained, found by the same rules, each on its own genes and with an "
        "edit of the same size.",
        "Dot plot of the rise of each feature's genes beside that of control features: "
        + "; ".join(f"feature {one.feature} {changed(one.value, unit)}" for one in rows),
        (f"lens/{SUMMARY}", "lens/moved.parquet"),
        height=150 + 62 * len(rows),
    )
