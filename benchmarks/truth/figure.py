"""The benchmark's figure, from the results alone: by method, by distance from the data, by shape of the network."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cellprism.report.theme import CONTROL, OPPOSITE, OURS, PUBLISHED, templates
from truth.claims import METHOD, in_grid

COLOURS = {"architecture": OURS, "untrained": CONTROL, "dense": PUBLISHED, "supervised": OPPOSITE}
NAMES = {
    "architecture": "sparse autoencoder", "untrained": "dictionary without training", "dense": "dense method",
    "supervised": "told answers or programs",
}  # fmt: skip
MARKS = {"architecture": "circle", "untrained": "square", "dense": "diamond", "supervised": "triangle-up"}
BOARDS = 3  # leaderboards that are drawn, in the order of the file


def page(record: dict[str, Any]) -> go.Figure:
    """Leaderboards above; below, recovery by distance and by shape of the network."""
    worlds = record["worlds"]
    boards = [name for name, world in worlds.items() if len(world["race"]["architectures"]) > 1 and "L0" not in name]
    boards = boards[:BOARDS]
    grid = {name: world for name, world in worlds.items() if in_grid(name, world)}
    titles = [*boards, *[""] * (BOARDS - len(boards)), "by distance: topk, untrained, ridge", "by shape of the network"]
    plot = make_subplots(
        rows=2, cols=BOARDS, subplot_titles=titles, row_heights=[0.6, 0.4], horizontal_spacing=0.13,
        vertical_spacing=0.13, specs=[[{}] * BOARDS, [{}, {"colspan": BOARDS - 1}, *[None] * (BOARDS - 2)]],
    )  # fmt: skip
    for place, name in enumerate(boards, 1):
        _board(plot, worlds[name]["leaderboard"], place)
    _distances(plot, grid)
    _shapes(plot, grid)
    plot.update_layout(template=templates()["light"], width=1280, height=900, margin={"l": 60, "r": 20, "t": 130})
    plot.update_layout(
        title={
            "text": "How much of what is hidden is recovered: mean held-out |r| of the one-to-one match"
            "<br><sup>Bars: from the lowest to the highest seed; by distance, lowest to highest network</sup>",
            "font": {"size": 17}, "x": 0.01, "y": 0.97, "yanchor": "top",
        },
        legend={"y": 1.055, "x": 0}, paper_bgcolor="white",
    )  # fmt: skip
    return plot


def _board(plot: go.Figure, rows: list[dict[str, Any]], place: int) -> None:
    """One leaderboard: a mark at the mean, a line from the lowest seed to the highest, a tick at chance."""
    table = pd.DataFrame(rows)[::-1]
    table["short"] = table["method"].str.replace(", told the", ",", regex=False)
    for group, part in table.groupby("group", sort=False):
        spread = {
            "type": "data", "symmetric": False, "array": part["highest"] - part["score"],
            "arrayminus": part["score"] - part["lowest"],
        }  # fmt: skip
        marker = {"color": COLOURS[group], "symbol": MARKS[group], "size": 9}
        shown = place == 1
        plot.add_scatter(
            x=part["score"], y=part["short"], error_x=spread, mode="markers", marker=marker, name=NAMES[group],
            legendgroup=group, showlegend=shown, row=1, col=place,
        )  # fmt: skip
    plot.add_scatter(
        x=table["chance"], y=table["short"], mode="markers", name="chance (answers dealt to other samples)",
        marker={"symbol": "line-ns-open", "size": 9, "color": CONTROL}, showlegend=place == 1, row=1, col=place,
    )  # fmt: skip
    order = table["short"].tolist()
    plot.update_yaxes(categoryorder="array", categoryarray=order, tickfont={"size": 11}, row=1, col=place)
    plot.update_xaxes(range=[0, 1], title="mean |r|", row=1, col=place)


def _distances(plot: go.Figure, grid: dict[str, Any]) -> None:
    """Mean over the grid's networks, at each distance."""
    parts = [pd.DataFrame(world["rows"]).assign(world=name) for name, world in grid.items()]
    if not parts:
        return
    rows = pd.concat(parts)
    series = [(METHOD, "architecture"), ("untrained", "untrained"), ("ridge, told the answers", "supervised")]
    for place, (method, group) in enumerate(series):
        each = rows[rows["method"] == method].groupby(["world", "distance"])["matched"].mean().unstack()
        mean = each.mean()
        spread = {
            "type": "data", "symmetric": False, "array": each.max() - mean, "arrayminus": mean - each.min(),
        }  # fmt: skip
        plot.add_scatter(
            x=mean.index + 0.06 * (place - 1), y=mean, error_y=spread, mode="lines+markers",
            marker={"color": COLOURS[group], "symbol": MARKS[group], "size": 9}, line={"color": COLOURS[group]},
            showlegend=False, row=2, col=1,
        )  # fmt: skip
    plot.update_xaxes(title="arrows from the data", dtick=1, range=[0.7, 4.3], row=2, col=1)
    plot.update_yaxes(range=[0, 1], title="mean |r|", row=2, col=1)


def _shapes(plot: go.Figure, grid: dict[str, Any]) -> None:
    """Each network of the grid: the autoencoder's score, and the best dictionary without training."""
    names = []
    for name, world in grid.items():
        shape = world["network"]
        names.append((shape["latent"], shape["depth"], shape["wide"], name))
    labels, scores = [], []
    for latent, depth, wide, name in sorted(names):
        table = pd.DataFrame(grid[name]["leaderboard"]).set_index("method")
        labels.append(f"{latent} · {depth}{' · wide' if wide else ''}")
        scores.append((table.loc[METHOD], table[table["group"] == "untrained"]["score"].max()))
    mean = [row["score"] for row, _ in scores]
    spread = {
        "type": "data", "symmetric": False, "array": [row["highest"] - row["score"] for row, _ in scores],
        "arrayminus": [row["score"] - row["lowest"] for row, _ in scores],
    }  # fmt: skip
    marker = {"color": OURS, "symbol": MARKS["architecture"], "size": 9}
    plot.add_scatter(x=labels, y=mean, error_y=spread, mode="markers", marker=marker, showlegend=False, row=2, col=2)
    marker = {"color": CONTROL, "symbol": MARKS["untrained"], "size": 8}
    plot.add_scatter(x=labels, y=[v for _, v in scores], mode="markers", marker=marker, showlegend=False, row=2, col=2)
    plot.update_xaxes(title=f"latent · depth of the network: {METHOD}, best without training", row=2, col=2)
    plot.update_yaxes(rangemode="tozero", title="mean |r|", row=2, col=2)
