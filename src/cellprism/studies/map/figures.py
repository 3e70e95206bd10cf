"""Features and cells on a plane, the overlap of gene lists, and whether features of one group mean the same."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellprism.enrich.labels import UNLABELLED
from cellprism.report import theme
from cellprism.report.context import cells_of
from cellprism.report.figure import Figure, NumberTable, canvas, joined, plain, wrapped
from cellprism.report.frames import numbers, records, texts, where
from cellprism.studies.map.claims import WORDS
from cellprism.studies.map.tables import Found

DARKER = "rgba(134,141,152,0.45)"
BARE = {"showgrid": False, "showticklabels": False, "ticks": "", "zeroline": False}


def maps(found: Found, files: tuple[str, str]) -> tuple[Figure, ...]:
    """The features, and the cells where there is a map of them; a type has one colour on both."""
    features = where(found.features, ~found.features["dead"])
    kinds = _kinds(found)
    marks = {kind: (theme.PROGRAMS[i], theme.SYMBOLS[i]) for i, kind in enumerate(kinds)}
    s = found.summary
    of_features = Figure(
        "map-features",
        f"{s.firing} features by what they write: {s.modules.count} modules of features are active together",
        _plane(
            features,
            "high_in",
            marks,
            "genes high nowhere in particular",
            [_feature_hover(r) for r in records(features)],
        ),
        "Each mark is a feature that fires. Near ones write in nearly the same direction of the inner state (UMAP of "
        "the decoder's rows); far distances mean little. Colour and shape say in which cells the feature's own "
        "genes are high. Point at a mark for its genes and module.",
        f"Map of {s.firing} features by their decoder rows, coloured by the cell type in which their genes are high.",
        files[:1],
        height=520,
    )
    of_cells = Figure(
        "map-cells",
        f"{s.cells} cells by the features that are active in them",
        _plane(found.cells, "cell_type", marks, "other cells", [plain(r.cell) for r in records(found.cells)]),
        "Each mark is a cell. Near ones have nearly the same features active (UMAP of the features' principal "
        "components); far distances and empty space mean little. Colours are those of the other map.",
        f"Map of {s.cells} cells by their features, coloured by cell type.",
        files[1:],
        height=520,
    )
    return of_features, of_cells


def overlap_figure(found: Found, files: tuple[str, ...]) -> Figure:
    """How many pairs of gene lists overlap by how much, beside lists that use each gene as often."""
    table, s = found.overlaps, found.summary
    middle = (numbers(table, "low") + numbers(table, "high")) / 2
    shown = [
        ("features", "pairs", theme.OURS, "circle"),
        ("lists that use each gene as often", "random", theme.CONTROL, "diamond-open"),
    ]
    traces = []
    for name, column, colour, symbol in shown:
        some = numbers(table, column)
        traces.append(go.Scatter(
            x=middle[some > 0], y=some[some > 0], mode="lines+markers", name=name,
            line={"color": colour, "shape": "hvh"}, marker={"symbol": symbol, "size": 7},
            hovertemplate=f"<b>{name}</b><br>overlap about %{{x:.2f}}: %{{y:,.0f}} pairs<extra></extra>",
        ))  # fmt: skip
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": s.overlap, "x1": s.overlap,
            "line": {"color": theme.CONTROL, "width": 1.5, "dash": "dot"}}  # fmt: skip
    title = f"{s.graph.edges:,} pairs of features share enough genes to be joined, {s.random.edges:,} of random lists"
    return Figure(
        "map-overlaps",
        title,
        canvas(
            traces,
            xaxis={"title": {"text": "overlap of two gene lists, |A ∩ B| / √(|A| |B|)"}, "range": [0, 1]},
            yaxis={"title": {"text": "pairs (log scale)"}, "type": "log", "dtick": 1},
            shapes=[line],
        ),
        f"Every pair of features by the overlap of their gene lists. Pairs to the right of the dotted line, above "
        f"{s.overlap:g}, are joined. Grey: lists of the same sizes that use each gene as often as the features do, so "
        "what overlaps there overlaps because some genes are in many lists.",
        f"Distribution of the overlap of pairs of gene lists: {s.graph.edges} pairs above {s.overlap:g}, "
        f"{s.random.edges} among lists that use each gene as often.",
        files,
        height=380,
        numbers=NumberTable(
            ("joined above the limit", "pairs", "components", "largest", "alone"),
            [_graph_row("features", s.graph), _graph_row("lists that use each gene as often", s.random)],
        ),
    )


def meaning_figure(found: Found, verdicts: Sequence[str], files: tuple[str, ...]) -> Figure | None:
    """Similarity of terms within groups minus between, beside two kinds of chance; None where none could be asked."""
    rows = found.summary.alike[::-1]
    if not rows:
        return None
    labels = [wrapped(f"features {WORDS[row.groups]}", 24) for row in rows]
    traces = [
        _band(labels, [r.dealt_interval for r in rows], "features dealt out among the groups", -0.2, DARKER),
        _band(labels, [r.renamed_interval for r in rows], "genes under each other's names", 0.2, theme.CONTROL_BAND),
        go.Scatter(
            x=[r.difference for r in rows], y=labels, mode="markers", name="this run",
            marker={"color": theme.OURS, "symbol": "circle", "size": 11},
            customdata=[[r.within, r.between] for r in rows],
            hovertemplate="<b>%{y}</b><br>within %{customdata[0]:.3f}, between %{customdata[1]:.3f}<extra></extra>",
        ),
    ]  # fmt: skip
    above = verdicts.count("above chance")
    title = (
        f"Features of one group mean the same beyond shared genes for {above} of {len(rows)} ways to group them"
        if above
        else "Features of one group mean no more of the same than sharing genes gives"
    )
    return Figure(
        "map-meaning",
        title,
        canvas(
            traces,
            xaxis={
                "title": {"text": "similarity of terms, within groups minus between"},
                "zeroline": True,
                "showgrid": True,
            },
            yaxis={"type": "category", "ticks": "", "showline": False},
            barmode="overlay",
        ),
        "To the right, two features of one group have terms that are more alike than two features of different groups. "
        "The darker band: features dealt out among the groups. That they share genes makes them alike already; the "
        "pale band is what is left when genes have each other's names: lists overlap as before and mean nothing.",
        "Dot plot of the similarity of terms within groups minus between: "
        + "; ".join(f"{r.groups} {r.difference:+.3f}" for r in rows),
        files,
        height=330,
        numbers=NumberTable(
            ("features", "within", "between", "dealt out (95 %)", "genes renamed (95 %)"),
            [
                (
                    WORDS[r.groups],
                    f"{r.within:.3f}",
                    f"{r.between:.3f}",
                    _span(r.dealt_interval),
                    _span(r.renamed_interval),
                )
                for r in rows[::-1]
            ],
        ),
    )


def _kinds(found: Found) -> list[str]:
    """As many types as there are colours: those of most cells, else those named by most features."""
    named = Counter(texts(found.cells, "cell_type")) or Counter(texts(found.features, "high_in"))
    return [kind for kind, _ in named.most_common() if kind not in ("", UNLABELLED)][: len(theme.PROGRAMS)]


def _plane(
    table: pd.DataFrame, column: str, marks: dict[str, tuple[str, str]], rest: str, hover: list[str]
) -> go.Figure:
    kind, text = np.array(texts(table, column), dtype=object), np.array(hover, dtype=object)
    traces: list[Any] = []
    looks = [(rest, ~np.isin(kind, list(marks)), theme.CONTROL, "circle-open")]
    looks += [(cells_of(name), kind == name, *look) for name, look in marks.items()]
    for name, inside, colour, symbol in looks:
        if not inside.any():
            continue
        some = where(table, inside)
        traces.append(go.Scatter(
            x=numbers(some, "x"), y=numbers(some, "y"), mode="markers", name=plain(name), text=text[inside],
            marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.8},
            hovertemplate="%{text}<extra></extra>",
        ))  # fmt: skip
    return canvas(traces, xaxis=BARE, yaxis=BARE, legend={"font": {"size": 11.5}, "itemsizing": "constant"})


def _feature_hover(row: Any) -> str:
    component = "joined to none" if row.component < 0 else f"component {row.component}"
    term = plain(row.best_term) if row.best_term else "no program"
    same = f" · duplicate of {row.duplicate_of}" if row.duplicate_of >= 0 else ""
    genes = joined(str(row.top_genes).split(",")[:8], 4)
    return f"<b>Feature {row.feature}</b>, {term}<br>{genes}<br>module {row.module} · {component}{same}"


def _band(labels: list[str], spans: Sequence[tuple[float, float]], name: str, offset: float, colour: str) -> go.Bar:
    return go.Bar(
        base=[low for low, _ in spans], x=[high - low for low, high in spans], y=labels, orientation="h", name=name,
        marker={"color": colour}, width=0.3, offset=offset - 0.15, hoverinfo="skip",
    )  # fmt: skip


def _graph_row(name: str, graph: Any) -> tuple[str, ...]:
    return (name, f"{graph.edges:,}", f"{graph.components}", f"{graph.largest}", f"{graph.alone}")


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:+.3f} to {interval[1]:+.3f}".replace("-", "−")
