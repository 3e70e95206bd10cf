"""The part of the page about steering one cell type towards another."""

from collections.abc import Sequence

import numpy as np

from cellprism.report.claims import Claim
from cellprism.report.context import Context, cells_of
from cellprism.report.figure import listing, percent
from cellprism.report.findings import than_control
from cellprism.report.frames import numbers
from cellprism.report.section import Section, Table, folded
from cellprism.steering.settings import BY_CELL
from cellprism.studies.contrast.claims import OF_GENES, score_id
from cellprism.studies.contrast.closed import closed_figures
from cellprism.studies.contrast.doses import dose_figure
from cellprism.studies.contrast.figures import axis_figure, gap_figure, marker_words, path_figure
from cellprism.studies.contrast.scores import progress_figure, score_table
from cellprism.studies.contrast.tables import SUMMARY, Contrasts
from cellprism.studies.contrast.view import Contrast, contrast_of
from cellprism.studies.reading import where_read

DIRECTIONS = (
    "Detect a recipe reliably by the share of genes that move in the right direction: a recipe of permuted labels that "
    "goes the right way by luck, be it ever so little, turns as many rightly. How far expression goes can be told."
)
"""What the calibration table says of these scores."""
STEPLESS = "This run has no contrast step; `cellprism contrast RUN --from TYPE --to TYPE` adds one."


def section(found: Contrasts | None, claims: Sequence[Claim], context: Context) -> Section:
    """How far cells go, beside permuted labels; the recipes; the scores."""
    contrasts = [contrast_of(recipe, context) for recipe in found.recipes] if found else []
    by_id = {claim.id: claim for claim in claims}
    types = (
        f"{contrasts[0].source_cells} be steered towards {contrasts[0].target}"
        if contrasts
        else "one cell type be steered towards another"
    )
    absent = " ".join(f"{what.capitalize()}: {why}." for what, why in (found.absent if found else {}).items())
    said = [_pulls(contrasts), *_reading(contrasts), context.words.note]
    return Section(
        "contrast",
        f"How far can {types}?",
        "Type to type",
        " ".join(filter(None, [_doubt(contrasts), _said(contrasts)])),
        folded(_rows(contrasts), len(contrasts)),
        [Table(_caption(c), score_table(c, by_id)) for c in contrasts],
        absent or ("" if contrasts else STEPLESS),
        method="A recipe of strengths is fitted on some cells, its size chosen on others, and judged on a third "
        f"part that it has never seen. {' '.join(filter(None, said))}",
        told={id: said for contrast in contrasts for id, said in _told(contrast, by_id)},
        can=[
            f"Show how far this model's picture of {contrasts[0].source_cells} can be moved towards "
            f"{contrasts[0].target}, on cells that the recipe has not seen."
        ]
        if contrasts
        else [],
        cannot=[DIRECTIONS] if any("balanced_correct" in contrast.scores for contrast in contrasts) else [],
    )


def _reading(contrasts: list[Contrast]) -> list[str]:
    """How genes were read, and how they were chosen."""
    if not contrasts or contrasts[0].gaps is None:
        return []
    chosen = "Genes that differ between the types were chosen by counts of cells that are neither fitted nor scored."
    return [where_read(contrasts[0].read, contrasts[0].passes), chosen]


def _doubt(contrasts: list[Contrast]) -> str:
    """A warning where what the model says of the types' genes does not follow the counts."""
    doubt = contrasts[0].doubt if contrasts else ""
    return f"{doubt[0].upper()}{doubt[1:]}. Claims about genes are left open." if doubt else ""


def _rows(contrasts: list[Contrast]) -> list[tuple]:
    rows: list[tuple] = []
    for c in contrasts:
        folder = f"contrast/{c.objective}"
        axis = axis_figure(c, (f"{folder}/cells.parquet", f"{folder}/{SUMMARY}"))
        says_of_genes = bool(np.isfinite(numbers(c.genes, "gap_fraction")).any())
        rows.append((axis, gap_figure(c, (f"{folder}/genes.parquet",))) if says_of_genes else (axis,))
    if contrasts:
        scores = progress_figure(contrasts, tuple(f"contrast/{c.objective}/{SUMMARY}" for c in contrasts))
        path = path_figure(contrasts, tuple(f"contrast/{c.objective}/path.parquet" for c in contrasts))
        said = [c for c in contrasts if np.isfinite(numbers(c.genes, "gap_fraction")).any()]
        if said:
            rows.append(closed_figures(said, tuple(f"contrast/{c.objective}/genes.parquet" for c in said)))
        doses = [dose_figure(c, (f"contrast/{c.objective}/trials.parquet",)) for c in contrasts]
        rows += [(scores, path) if scores else (path,), tuple(figure for figure in doses if figure)]
    return rows


def _caption(c: Contrast) -> str:
    return (
        f"The {c.objective} recipe on both scales, on {c.n_test} test cells: value with its 95 % interval over cells, "
        "the range of 95 % of the edits that chance makes (recipes of permuted labels as found, random ones of equal "
        "norm), and the verdict against permuted labels. Of drift, variance and closeness to the own mean neither "
        "direction is better."
    )


def _pulls(contrasts: list[Contrast]) -> str:
    """What the recipes of this run bring close."""
    pulled = {"latent": "the model's inner state", "expression": "predicted expression"}
    said = []
    for contrast in contrasts:
        what = pulled[contrast.objective.removesuffix(BY_CELL)]
        each = "every cell by itself" if contrast.objective.endswith(BY_CELL) else "the cells' mean"
        said.append(f"the {contrast.objective} recipe pulls {what} towards the target, {each}")
    words = "; ".join(said)
    return f"{words[0].upper()}{words[1:]}." if words else ""


SCALES = {
    "nearer_target": "{value} of unseen {source} end nearer to {target} than to their own type",
    "latent_progress": "they go {value} of the way in the model's inner state",
    "expression_progress": "predicted expression goes {value} of the way",
    "token_logit_progress": "token logits go {value} of the way",
}
"""Scores that are told on top, in words."""


def _told(contrast: Contrast, by_id: dict[str, Claim]) -> list[tuple[str, str]]:
    """Id of a claim -> how far cells go with this recipe."""
    found = []
    for name, words in SCALES.items():
        if (claim := by_id.get(score_id(contrast, name))) and claim.value is not None:
            said = words.format(
                value=percent(claim.value), source=contrast.source_cells, target=cells_of(contrast.target)
            )
            steered = f"Steered towards {cells_of(contrast.target)} by the {contrast.objective} recipe, "
            found.append((claim.id, f"{steered}{said}, {than_control(claim)}."))
    return found


def _said(contrasts: list[Contrast]) -> str:
    """How far each recipe leads on both scales, and what becomes of the named genes, each beside permuted labels."""
    said = []
    for name, words in SCALES.items():
        scored = [c for c in contrasts if name in c.scores and not (name in OF_GENES and c.doubt)]
        if not scored or (name == "latent_progress" and "nearer_target" in scored[0].scores):
            continue
        first, *others = [
            f"{percent(c.scores[name].value)} by the {c.objective} recipe{_by_chance(c, name)}" for c in scored
        ]
        value, _, recipe = first.partition(" by ")
        what = words.format(value=value, source=scored[0].source_cells, target=cells_of(scored[0].target))
        said.append(f"{what[0].upper()}{what[1:]} by {', '.join([recipe, *others])}.")
    named = [] if not contrasts or contrasts[0].doubt else list(contrasts[0].named.values())
    if named:
        said.append(f"By the {contrasts[0].objective} recipe, {listing([marker_words(gene) for gene in named])}.")
    return " ".join(said)


def _by_chance(contrast: Contrast, name: str) -> str:
    null = contrast.scores[name].nulls.get("permuted_labels")
    return "" if null is None or null.value is None else f" (permuted labels {percent(null.value)})"
