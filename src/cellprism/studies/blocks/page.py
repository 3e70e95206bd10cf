"""The blocks' part of the page. It compares and claims nothing: what is claimed of the run's own block stands under
the autoencoder."""

from collections.abc import Sequence

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import Figure, NumberTable, canvas, percent
from cellprism.report.section import Section, Table
from cellprism.studies.blocks.tables import FILE, Block, Blocks, Dictionary, Dimensions
from cellprism.studies.fit.labels import CONTROL_LABELS

PATH = f"blocks/{FILE}"
METHOD = (
    "An autoencoder has something to find where an inner state fills many dimensions that recur. Each cell is read "
    "twice, from halves of its counts, and what the two readings share counts. After every block a dictionary is "
    "trained for a short time and stands beside the best directions that nobody trained."
)


def claims(found: Blocks, context: Context) -> list[Claim]:
    """None."""
    return []


def section(found: Blocks | None, claims: Sequence[Claim], context: Context) -> Section:
    """Dimensions and what a dictionary adds, block by block."""
    if found is None:
        absent = "The blocks were not compared; `cellprism do blocks RUN` does it."
        return Section("blocks", "Which block is worth looking into?", "The blocks", "", absent=absent)
    rows = [(_dimension_figure(found, context),), *((figure,) for figure in _dictionary_figure(found, context))]
    caption = (
        f"Every block, numbered from 0 ({PATH}). Dimensions: participation ratio of the covariance's eigenvalues; in "
        "brackets those of the whole cells, noise included. Shares: of the variance that recurs when each of "
        f"{found.cells} cells is read twice, from either half of its counts."
    )
    return Section(
        "blocks", "Which block is worth looking into?", "The blocks", _said(found, context), rows,
        [Table(caption, _table(found, context))], method=METHOD,
    )  # fmt: skip


def _said(found: Blocks, context: Context) -> str:
    """What is there to find, and where most."""
    most = max(found.blocks, key=lambda block: block.pooled.recurring or 0.0)
    said = (
        f"The cells differ along {_number(found.counts.recurring)} dimensions in their counts, and along "
        f"{_number(most.pooled.recurring)} of {found.width} in the inner state after {_place(most.layer, context)}, "
        "where they are most. "
    )
    tried = [block for block in found.blocks if block.dictionary is not None]
    if tried:
        best = max(tried, key=lambda block: block.dictionary.excess if block.dictionary else 0.0)
        assert best.dictionary is not None, "as chosen"
        adds, place = 100 * best.dictionary.excess, _place(best.layer, context)
        beyond = "the best directions that nobody trained"
        said += (
            f"A dictionary trained in a short time adds most after {place}: it explains {adds:.1f} points "
            f"more of the variance of other cells than {beyond}."
            if adds > 0
            else f"A dictionary trained in a short time explains less of the variance of other cells than {beyond}, "
            f"after every block; after {place} it comes nearest, {-adds:.1f} points below."
        )
    return said.strip()


def _dimension_figure(found: Blocks, context: Context) -> Figure:
    """Recurring dimensions by block."""
    kinds: list[tuple[str, str, Sequence[Dimensions | None]]] = [
        ("means of cells", theme.OURS, [block.pooled for block in found.blocks])
    ]
    if context.tokens == "genes":
        kinds.append(("gene tokens", theme.OPPOSITE, [block.tokens for block in found.blocks]))
        rest = [block.without_count for block in found.blocks]
        kinds.append(("gene tokens, own count taken off", theme.CONTROL, rest))
    layers = [block.layer for block in found.blocks]
    traces = [
        _line(name, colour, layers, [one.recurring if one else None for one in of], ".1f") for name, colour, of in kinds
    ]
    if (counts := found.counts.recurring) is not None:
        traces.append(
            go.Scatter(
                x=[layers[0], layers[-1]], y=[counts, counts], mode="lines", name="cells' own counts",
                line={"color": theme.CONTROL, "width": 1, "dash": "dot"}, hoverinfo="skip",
            )
        )  # fmt: skip
    words = "; ".join(
        f"{name} " + ", ".join(_number(one.recurring if one else None) for one in of) for name, _, of in kinds
    )
    return Figure(
        "block-dimensions",
        "Dimensions that recur, block by block",
        canvas(
            traces,
            xaxis={"title": {"text": "after block"}, "tickvals": layers},
            yaxis={"title": {"text": "dimensions"}, "rangemode": "tozero"},
        ),
        "How many dimensions vary as much as they would if each varied alike, once noise is left out: each cell's "
        "counts are dealt into halves, both are read, and only what the two readings share counts. Few dimensions mean "
        "that few directions say nearly all, and that features can hardly say more.",
        f"Lines of dimensions after each block: {words}; the counts themselves {_number(counts)}.",
        (PATH,),
        height=360,
    )


def _dictionary_figure(found: Blocks, context: Context) -> list[Figure]:
    """Variance explained by a trained dictionary and the best fair one, by block."""
    tried = [(block.layer, block.dictionary) for block in found.blocks if block.dictionary is not None]
    if not tried:
        return []
    layers = [layer for layer, _ in tried]
    traces = [
        _line("trained", theme.OURS, layers, [one.trained for _, one in tried], ".1%"),
        _line("best of fair ones", theme.CONTROL, layers, [one.fair.explained for _, one in tried], ".1%"),
    ]
    words = "; ".join(
        f"{_place(layer, context)}: {percent(one.trained, 1)} and {percent(one.fair.explained, 1)}"
        for layer, one in tried
    )
    return [
        Figure(
            "block-dictionaries",
            f"Variance that {found.k} of {found.n_features} directions explain, trained and not",
            canvas(
                traces,
                xaxis={"title": {"text": "after block"}, "tickvals": layers},
                yaxis={"title": {"text": "variance explained"}, "tickformat": ".1%"},
            ),
            "The gap between the lines is what training adds. Dictionaries were trained for a short time on half of "
            "the cells and judged on the others, all by the same pursuit; the fair ones are tokens, principal "
            "components, or random directions with the inner state's covariance, whichever explains most.",
            f"Two lines, trained and best fair dictionary: {words}.",
            (PATH,),
            height=360,
        )
    ]


def _line(name: str, colour: str, layers: Sequence[int], values: Sequence[float | None], form: str) -> go.Scatter:
    """A value after each block."""
    return go.Scatter(
        x=layers, y=values, mode="lines+markers", name=name, line={"color": colour, "width": 2},
        hovertemplate=f"<b>{name}</b><br>after %{{x}}: %{{y:{form}}}<extra></extra>",
    )  # fmt: skip


def _table(found: Blocks, context: Context) -> NumberTable:
    def row(name: str, pooled: Dimensions, block: Block | None) -> tuple[str, ...]:
        tokens = (block.tokens, block.without_count) if block else (None, None)
        shown = [_shown(one) for one in tokens] if context.tokens == "genes" else []
        return name, *shown, _shown(pooled), *_tried(block.dictionary if block else None)

    rows = [row("the cells' own counts", found.counts, None)]
    rows += [row(_place(block.layer, context), block.pooled, block) for block in found.blocks]
    tokens = ("gene tokens", "without own count") if context.tokens == "genes" else ()
    return NumberTable(("after", *tokens, "cells", "trained dictionary", "best fair one", "excess, points"), rows)


def _tried(dictionary: Dictionary | None) -> tuple[str, str, str]:
    if dictionary is None:
        return "–", "–", "–"
    fair = dictionary.fair
    return (
        percent(dictionary.trained, 1),
        f"{percent(fair.explained, 1)}, {CONTROL_LABELS[fair.kind]}",
        f"{100 * dictionary.excess:+.1f}".replace("-", "−"),
    )


def _place(layer: int, context: Context) -> str:
    """Models that read a cell as a whole have layers, of which the last is the latent vector."""
    return f"{'block' if context.tokens == 'genes' else 'layer'} {layer}"


def _shown(found: Dimensions | None) -> str:
    if found is None:
        return "–"
    return f"{_number(found.recurring)} ({found.whole:.1f}), {percent(found.share)}"


def _number(dimensions: float | None) -> str:
    return "none" if dimensions is None else f"{dimensions:.1f}"
