"""How far a recipe goes dose by dose, beside the plain difference of means at the same norms."""

import plotly.graph_objects as go

from cellprism.report import theme
from cellprism.report.figure import Figure, NumberTable, canvas
from cellprism.report.frames import numbers, ordered, where
from cellprism.steering.settings import DIFFERENCE, DIFFERENCE_PER_GENE, RECIPE
from cellprism.studies.contrast.view import Contrast

LOOKS = {
    RECIPE: ("the recipe", theme.OURS, "circle"),
    DIFFERENCE_PER_GENE: ("difference of means, gene by gene", theme.OPPOSITE, "diamond"),
    DIFFERENCE: ("difference of means, one vector", theme.CONTROL, "square"),
}


def dose_figure(contrast: Contrast, files: tuple[str, ...]) -> Figure | None:
    """Progress on the objective's own scale against the norm of the edit; none where nothing was moved."""
    latent = contrast.objective.startswith("latent")
    score = "latent_progress" if latent else f"{contrast.predicts}_progress"
    lines = {kind: ordered(where(contrast.trials, contrast.trials["kind"] == kind), "dose") for kind in LOOKS}
    lines = {kind: line for kind, line in lines.items() if len(line) > 1}
    if RECIPE not in lines or score not in contrast.trials:
        return None
    traces, rows = [], []
    for kind, line in lines.items():
        name, colour, symbol = LOOKS[kind]
        doses, way = numbers(line, "dose"), numbers(line, score)
        traces.append(
            go.Scatter(
                x=doses, y=way, mode="lines+markers", name=name, line={"color": colour, "width": 2},
                marker={"symbol": symbol, "size": 9},
                hovertemplate=f"<b>{name}</b><br>%{{x:g}} of the recipe's norm<br>way %{{y:.2f}}<extra></extra>",
            )
        )  # fmt: skip
        rows.append((name, *(f"{value:.2f}".replace("-", "−") for value in way)))
    doses = numbers(lines[RECIPE], "dose")
    scale = "inner state" if latent else contrast.words.said.removeprefix("predicted ")
    words = "; ".join(f"{row[0]} {row[1 + list(doses).index(1.0)]}" for row in rows)
    return Figure(
        f"doses-{contrast.objective}",
        f"At equal size, way in {scale}: {words}",
        canvas(
            traces,
            xaxis={"title": {"text": "norm of the edit (1 = the recipe's)"}, "type": "log", "tickvals": list(doses)},
            yaxis={"title": {"text": f"way in {scale} (1 = the whole gap)"}, "zeroline": True},
        ),
        "Every edit at a quarter, half, once and twice the norm of the recipe. The difference of means adds to each "
        "token what the two types' training cells differ by on average: it needs no autoencoder and no search, and is "
        "what a recipe has to beat, or to match with far fewer features.",
        f"Lines of the way in {scale} against the norm of the edit. " + words,
        files,
        height=380,
        numbers=NumberTable(("edit", *(f"norm {dose:g}" for dose in doses)), rows),
    )
