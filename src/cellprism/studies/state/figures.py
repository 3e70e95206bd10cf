"""Gene against state, a mark a feature; and what goes with features, a row a covariate."""

import numpy as np
import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas, listing, percent, plain, wrapped
from cellprism.report.frames import numbers, texts, where
from cellprism.studies.state.claims import judged_of
from cellprism.studies.state.tables import Followed, Found

KINDS = {
    "of_gene": ("mostly which gene", theme.OPPOSITE, "diamond"),
    "of_state": ("mostly the cell's state", theme.OURS, "circle"),
    "of_rest": ("mostly this gene in this cell", theme.CONTROL, "circle-open"),
}


def gene_state_figure(found: Found, files: tuple[str, ...]) -> Figure | None:
    """Share of variance that is gene against share that is state; None where there is no split."""
    table = where(found.features, found.features["score"].notna())
    if table.empty:
        return None
    shares = np.stack([numbers(table, kind) for kind in KINDS], axis=1)
    largest = shares.argmax(axis=1)
    counts = [int((largest == i).sum()) for i in range(len(KINDS))]
    traces = []
    for number, (words, colour, symbol) in enumerate(KINDS.values()):
        inside = largest == number
        if not inside.any():
            continue
        some = where(table, inside)
        custom = [[f, *map(percent, row)] for f, row in zip(texts(some, "feature"), shares[inside], strict=True)]
        traces.append(go.Scatter(
            x=shares[inside, 0], y=shares[inside, 1], mode="markers", name=words, customdata=custom,
            marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.8},
            hovertemplate="<b>Feature %{customdata[0]}</b><br>gene %{customdata[1]} · state %{customdata[2]} · "
            "rest %{customdata[3]}<extra></extra>",
        ))  # fmt: skip
    most = float(shares[:, :2].max())
    share_axis = {"range": [-0.03 * most, 1.05 * most], "tickformat": ".0%"}
    said = [f"{n} {words}" for n, (words, _, _) in zip(counts, KINDS.values(), strict=True) if n]
    return Figure(
        "gene-or-state",
        f"Of {len(table)} features, {listing(said)}",
        canvas(
            traces,
            xaxis={"title": {"text": "variance that is which gene"}, **share_axis},
            yaxis={"title": {"text": "variance that is the cell's state"}, **share_axis},
        ),
        "Each mark is a feature. To the right its activation says which gene it stands at, the same in every cell. "
        "High up it says something of the cell: its genes agree on the cells in which it is strong. Near the lower "
        "left is what each gene does by itself in each cell, noise among it; what is missing to 100 % is that rest.",
        f"Scatter plot of {len(table)} features: share of variance that is gene identity against share that is state "
        f"of the cell. {listing(said)}.",
        files,
        height=460,
        numbers=NumberTable(
            ("share of variance", "lowest quarter", "median", "highest quarter"),
            [
                (words, *(percent(float(q)) for q in np.quantile(shares[:, i], [0.25, 0.5, 0.75])))
                for i, (words, _, _) in enumerate(KINDS.values())
            ],
        ),
    )  # fmt: skip


def followed_figure(found: Found, names: dict[str, str], verdicts: dict[str, str], files: tuple[str, ...]) -> Figure:
    """Share of features that go with each covariate, beside the same dealt out at random.

    Args:
        found: the study's results, with some covariate.
        names: of covariates, for labels.
        verdicts: of the claims, by covariate.
        files: that hold the numbers.
    """
    rows = found.state.followed[::-1]
    labels = [wrapped(names[row.name], 26) for row in rows]
    judged = [judged_of(row)[0] for row in rows]
    bands = go.Bar(
        base=[f.interval[0] for f in judged], x=[f.interval[1] - f.interval[0] for f in judged], y=labels,
        orientation="h", name="95 % when dealt out at random", marker={"color": theme.CONTROL_BAND}, width=0.5,
        hovertemplate="<b>%{y}</b><br>at random: %{base:.1%} to %{x:.1%}<extra></extra>",
    )  # fmt: skip
    traces = [bands, _marks(rows, labels, [f.share for f in judged], _judged_words(rows), theme.OURS, "circle")]
    if rows[0].within_types is not None:
        over = [row.over_cells.share for row in rows]
        traces.append(_marks(rows, labels, over, "all cells, types included", theme.CONTROL, "diamond-open"))
    above = [names[row.name] for row in found.state.followed if verdicts.get(row.name) == "above chance"]
    where_ = " within cell types" if rows[0].within_types is not None else ""
    title = f"More features than chance go with {listing(above)}{where_}" if above else (
        f"No more features than chance go with {listing([names[row.name] for row in found.state.followed])}{where_}"
    )  # fmt: skip
    return Figure(
        "state-followed",
        title,
        canvas(
            traces,
            xaxis={"title": {"text": "share of features beyond the limit of one in twenty"}, "tickformat": ".0%",
                   "range": [0, 1], "showgrid": True},
            yaxis={"type": "category", "ticks": "", "showline": False},
            barmode="overlay",
        ),
        "Each row is something known of the cells. The filled mark is the share of features whose ranks over cells go "
        "with it further than one in twenty would by chance; within cell types where cells have types, since types "
        "differ in depth and the like by themselves. The band holds 95 % of what comes out when it is dealt out among "
        "the cells at random. A feature that goes with depth is not wrong for that, but it may be about depth.",
        "Dot plot of the share of features that go with each covariate: "
        + "; ".join(f"{names[r.name]} {percent(judged_of(r)[0].share)}" for r in found.state.followed),
        files,
        height=150 + 52 * len(rows),
        numbers=NumberTable(
            ("known of the cells", "made from", "all cells", "within types", "at random", "features with q < .05"),
            [_numbers(row, names) for row in found.state.followed],
        ),
    )  # fmt: skip


def _judged_words(rows: list[Followed]) -> str:
    return "all cells" if rows[0].within_types is None else "within cell types"


def _marks(
    rows: list[Followed], labels: list[str], shares: list[float], name: str, colour: str, symbol: str
) -> go.Scatter:
    return go.Scatter(
        x=shares, y=labels, mode="markers", name=name, customdata=[[plain(row.origin)] for row in rows],
        marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 1.5}},
        hovertemplate=f"<b>%{{y}}</b><br>{name}: %{{x:.1%}}<br>%{{customdata[0]}}<extra></extra>",
    )  # fmt: skip


def _numbers(row: Followed, names: dict[str, str]) -> tuple[str, ...]:
    followers = judged_of(row)[0]
    low, high = followers.interval
    within = "–" if row.within_types is None else percent(row.within_types.share)
    kind = f"{row.origin}, {row.groups} groups" if row.groups else row.origin
    return (
        names[row.name], kind, percent(row.over_cells.share), within, f"{percent(low)} to {percent(high)}",
        str(followers.significant),
    )  # fmt: skip
