"""Both recipes on both scales, beside the edits that chance or a plain average would make."""

from collections.abc import Mapping

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.claims import Claim, Null
from cellprism.report.figure import Figure, NumberTable, canvas, percent
from cellprism.studies.contrast.claims import score_id
from cellprism.studies.contrast.view import COMPETITORS, Contrast, Score

SCORE_LABELS = {
    "nearer_target": "cells that end nearer to the target than to their own (share)",
    "fraction_closer": "cells that end closer to the target than before (share)",
    "latent_progress": "way along the axis in the inner state (1 = the whole gap)",
    "expression_progress": "way in predicted expression (1 = the whole gap)",
    "token_logit_progress": "way in the genes' token logits (1 = the whole gap)",
    "balanced_correct": "genes that move the right way, rising and falling ones alike (share)",
    "up_correct": "genes higher in the target that rise (share)",
    "down_correct": "genes lower in the target that fall (share)",
    "drift": "drift across the axis (in gaps)",
    "variance_kept": "variance between cells kept (1 = all)",
    "fraction_closer_to_source": "cells that end closer to their own mean (share)",
}
NULL_LABELS = {
    "permuted_labels": ("permuted labels", "square"),
    "random_recipe": ("random recipes", "x"),
}


def axes(contrast: Contrast) -> tuple[str, str]:
    """The scores of progress in the inner state, and in what the model says of genes."""
    return "latent_progress", f"{contrast.predicts}_progress"


def progress_figure(contrasts: list[Contrast], files: tuple[str, ...]) -> Figure | None:
    """Each recipe and its competitors: progress in the inner state against progress in what the model says of genes."""
    scored = [c for c in contrasts if set(axes(c)) <= set(c.scores)]
    if not scored:
        return None
    said = scored[0].words.said.removeprefix("predicted ")
    traces, rows = [], []
    for contrast in scored:
        # Controls look the same for all recipes but for the colour of their rim, and share
        # one entry of the legend.
        colour, symbol = theme.OBJECTIVES.get(contrast.objective, (theme.PUBLISHED, "star"))
        pair = [contrast.scores[name] for name in axes(contrast)]
        name = f"{contrast.objective} recipe"
        traces.append(_point(name, [Null(name, s.value, s.interval) for s in pair], colour, symbol, 14))
        for null, (words, mark) in NULL_LABELS.items():
            drawn = [s.nulls.get(null) for s in pair]
            if all(d is not None and d.value is not None for d in drawn):
                traces.append(
                    _point(words, [d for d in drawn if d], theme.CONTROL, mark, 9, colour, contrast is scored[0])
                )
        means = plain_edit(pair[0])
        if means and all(means in s.competitors for s in pair):
            level = [Null("", s.competitors[means], None) for s in pair]
            traces.append(_point(f"difference of means ({contrast.objective})", level, colour, f"{symbol}-open", 11))
        rows.append((name, *(percent(s.value) for s in pair)))
    plot = canvas(
        traces,
        xaxis={
            "title": {"text": "way in the inner state (1 = the whole gap)"},
            "zeroline": True,
            "range": _reach([c.scores[axes(c)[0]] for c in scored]),
        },
        yaxis={
            "title": {"text": f"way in {said} (1 = the whole gap)"},
            "zeroline": True,
            "range": _reach([c.scores[axes(c)[1]] for c in scored]),
        },
        legend={"font": {"size": 11.5}},
    )
    words = "; ".join(f"the {name} goes {x} of the way in the inner state, {y} in {said}" for name, x, y in rows)
    return Figure(
        "both-scales",
        words[0].upper() + words[1:],
        plot,
        "Right: cells moved towards the target in the model's inner state. Up: what the model says of genes "
        f"({scored[0].words.said}) became more like the target's. (0, 0) is untouched, (1, 1) is the target. "
        "Filled, coloured: the recipes with their 95 % intervals over test cells. Grey: edits of chance of the same "
        "size, with 95 % of their replicates and a rim in the colour of their recipe. Hollow: simply adding the "
        "difference of the two types' means, gene by gene. A recipe that goes far on one scale only has found a "
        "shortcut of that scale.",
        "Scatter plot: " + words + ".",
        files,
        height=430,
        narrow={"height": 460, "legend.font.size": 10.5},
        numbers=NumberTable(("edit", "inner state", said), rows),
    )


def plain_edit(score: Score) -> str:
    """The difference of means to stand beside a recipe: per gene where cells have several tokens."""
    return next((name for name in reversed(COMPETITORS) if name in score.competitors), "")


def _reach(scores: list[Score]) -> list[float]:
    """A range that holds every point and the recipes' intervals; those of wild controls may stick out."""
    points = [0.0, *(s.value for s in scores)]
    for score in scores:
        points += [*(score.interval or ()), *list(score.competitors.values())[:1]]
        points += [null.value for null in score.nulls.values() if null.value is not None]
    low, high = min(points), max(points)
    return [low - 0.12 * (high - low), high + 0.12 * (high - low)]


def score_table(contrast: Contrast, claims: Mapping[str, Claim]) -> NumberTable:
    """Every score of one recipe, with its interval, its nulls, its competitor and the verdict of its claim, where it
    is one."""
    header = (
        "score",
        "recipe [95 %]",
        *(words for words, _ in NULL_LABELS.values()),
        "difference of means",
        "verdict",
    )
    rows = []
    for name, label in SCORE_LABELS.items():
        if (score := contrast.scores.get(name)) is not None:
            claim = claims.get(score_id(contrast, name))
            rows.append((label, _with_interval(score), *_controls(score), claim.verdict if claim else "–"))
    return NumberTable(header, rows)


def _controls(score: Score) -> list[str]:
    cells = []
    for null in NULL_LABELS:
        drawn = score.nulls.get(null)
        interval = drawn.interval if drawn else None
        cells.append(f"{interval[0]:.2f} to {interval[1]:.2f}".replace("-", "−") if interval else "not measured")
    means = score.competitors.get(plain_edit(score))
    return [*cells, "not measured" if means is None else f"{means:.2f}".replace("-", "−")]


def _with_interval(score: Score) -> str:
    text = f"{score.value:.2f}"
    if score.interval:
        text += f"\u00a0[{score.interval[0]:.2f},\u00a0{score.interval[1]:.2f}]"
    return text.replace("-", "−")


def _point(
    name: str,
    pair: list[Null],
    colour: str,
    symbol: str,
    size: int,
    rim: str | None = None,
    legend: bool = True,
) -> go.Scatter:
    """One edit with its spread on both scales."""
    bars = [_bars(null, colour) for null in pair]
    return go.Scatter(
        x=[pair[0].value],
        y=[pair[1].value],
        error_x=bars[0],
        error_y=bars[1],
        mode="markers",
        name=name,
        showlegend=legend,
        marker={
            "color": colour,
            "symbol": symbol,
            "size": size,
            "line": {"width": 1.5, "color": rim or colour},
        },
        hovertemplate=f"<b>{name}</b><br>inner state %{{x:.2f}}<br>genes %{{y:.2f}}<extra></extra>",
    )


def _bars(null: Null, colour: str) -> dict | None:
    if null.interval is None or null.value is None:
        return None
    low, high = null.interval
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(high - null.value, 0)],
        "arrayminus": [max(null.value - low, 0)],
        "color": colour,
        "thickness": 1.5,
        "width": 4,
    }
