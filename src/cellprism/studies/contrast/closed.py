"""How much of each gene's gap every recipe closes, and which genes move the right way."""

from collections.abc import Sequence

import numpy as np

from cellprism.report import theme
from cellprism.report.figure import Figure
from cellprism.report.frames import numbers, texts, where
from cellprism.studies.contrast.view import Contrast
from cellprism.studies.gap_figures import Closed, curve_figure, fraction_figure


def closed_figures(contrasts: Sequence[Contrast], files: tuple[str, ...]) -> tuple[Figure, Figure]:
    """The distribution of the shares, and the curve from the genes with the largest gap on; all recipes together."""
    recipes, said = [], []
    for contrast in contrasts:
        genes = where(contrast.genes, contrast.genes["gap_fraction"].notna())
        gap = numbers(genes, "target_mean") - numbers(genes, "source_mean")
        move = numbers(genes, "steered_mean") - numbers(genes, "source_mean")
        up = np.array(texts(genes, "direction")) == "up"
        right = (np.sign(move) == np.where(up, 1, -1))[np.argsort(-np.abs(gap), kind="stable")]
        colour, _ = theme.OBJECTIVES.get(contrast.objective, (theme.PUBLISHED, "star"))
        name = f"{contrast.objective} recipe"
        recipes.append(Closed(name, colour, numbers(genes, "gap_fraction"), right))
        before, after = (float(np.abs(left[up]).mean()) if up.any() else np.nan for left in (gap, gap - move))
        said.append(f"{name} {after / before:.0%}" if before > 0 else f"{name}, no gap")
    title = f"What is left of the mean gap of genes that are higher in {contrasts[0].target}: {'; '.join(said)}"
    return (
        fraction_figure("contrast-fractions", recipes, title, files),
        curve_figure("contrast-curve", recipes, "in the prediction", files),
    )
