"""Claims about steering one cell type towards another."""

import re

from cellprism.report.claims import Claim, Null, Published, Source, Test, judged
from cellprism.report.context import Context, cells_of
from cellprism.report.published import AIDO_100M, NUMBERS
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.contrast.tables import SUMMARY, Contrasts
from cellprism.studies.contrast.view import Contrast, Gaps, contrast_of

SECTION = "From one cell type to another"
SCORES = {
    "nearer_target": (
        "{source} end nearer to the mean of {target} than to their own in the model's inner state",
        "of test cells",
        ".0%",
    ),
    "fraction_closer": (
        "{source} end closer to the mean of {target} than before in the model's inner state",
        "of test cells",
        ".0%",
    ),
    "latent_progress": (
        "{source} move along the axis towards {target} in the model's inner state",
        "of the gap",
        ".2f",
    ),
    "expression_progress": (
        "Predicted expression of {source} moves towards that of {target}",
        "of the gap",
        ".2f",
    ),
    "token_logit_progress": (
        "Token logits of genes in {source} move towards those in {target}",
        "of the gap",
        ".2f",
    ),
    "balanced_correct": (
        "Genes that differ move in the right direction{within}, rising and falling ones counted alike",
        "of differential genes",
        ".0%",
    ),
    "up_correct": ("Genes higher in {target} rise{within}", "of differential genes", ".0%"),
    "down_correct": ("Genes lower in {target} fall{within}", "of differential genes", ".0%"),
}
"""Scores that become claims: statement, unit, format."""
OF_GENES = ("expression_progress", "token_logit_progress", "balanced_correct", "up_correct", "down_correct")
"""Those of what the model says of genes: they mean nothing where its gaps do not follow the counts."""

FARTHER = Published("83 % of cells end farther from CD8 in latent space (17 % closer)", AIDO_100M, 0.17)
PUBLISHED = {
    ("latent", "fraction_closer"): NUMBERS["closer-latent"],
    ("latent", "up_correct"): NUMBERS["gap-up"],
    ("latent", "down_correct"): NUMBERS["gap-down"],
    ("expression", "fraction_closer"): FARTHER,
}
SIZES = ("0.3", "0.5")
"""Changes of strength above which features are counted."""
RECIPES = {
    ("latent", "0.3"): NUMBERS["recipe-latent-0.3"],
    ("latent", "0.5"): NUMBERS["recipe-latent-0.5"],
    ("expression", "0.5"): NUMBERS["recipe-expression-0.5"],
}


def claims(found: Contrasts, context: Context) -> list[Claim]:
    """Whether predicted gaps follow the counts; every score of each recipe against permuted labels and random recipes,
    the named genes, the recipe's size."""
    contrasts = [contrast_of(recipe, context) for recipe in found.recipes]
    said = [_gaps(contrasts[0], contrasts[0].gaps)] if contrasts and contrasts[0].gaps else []
    return said + [claim for contrast in contrasts for claim in contrast_claims(contrast)]


def contrast_claims(contrast: Contrast) -> list[Claim]:
    """The claims of one recipe."""
    said = [_score(contrast, name, "permuted_labels") for name in SCORES if name in contrast.scores]
    own = f"{contrast.objective}_progress"
    if own in contrast.scores and "random_recipe" in contrast.scores[own].nulls:
        said.append(_score(contrast, own, "random_recipe"))
    said += [_named(contrast, gene) for gene in contrast.asked]
    return said + [_recipe(contrast, limit) for limit in SIZES]


def score_id(contrast: Contrast, name: str) -> str:
    """Id of the claim about a score against permuted labels."""
    return f"contrast-{contrast.objective}-{name.replace('_', '-')}"


def as_published(contrast: Contrast, number: Published | None) -> Published | None:
    """A published number, where it answers the same question: CD4 cells steered towards CD8 cells."""
    asked = [set(re.findall(r"CD[48](?![0-9])", name)) for name in (contrast.source, contrast.target)]
    return number if asked == [{"CD4"}, {"CD8"}] else None


def _score(contrast: Contrast, name: str, against: str) -> Claim:
    statement, unit, form = SCORES[name]
    score = contrast.scores[name]
    null = score.nulls.get(against)
    words = statement.format(source=contrast.source_cells, target=contrast.target, within=contrast.words.within)
    id, control = score_id(contrast, name), null.name if null else "nothing"
    return judged(
        id if against == "permuted_labels" else f"{id}-against-{against.replace('_', '-')}",
        SECTION,
        f"{words}, {contrast.objective} recipe, against {control}",
        score.value,
        unit=unit,
        format=form,
        interval=score.interval,
        published=as_published(contrast, PUBLISHED.get((contrast.objective, name))),
        null=null,
        test=Test(
            f"score on {contrast.n_test} test cells, ranked among {control}",
            "two-sided",
            f"{contrast.source_cells} and {cells_of(contrast.target)}",
            unit_of_inference="edits; the cells are of one data set",
            n=null.draws if null else None,
            matters=SHARE_MATTERS,
        ),
        source=_summary(contrast, f"scores.{name}.value"),
        barred=_barred(contrast, name),
    )


def _barred(contrast: Contrast, name: str) -> str:
    return contrast.doubt if name in OF_GENES else ""


def _gaps(contrast: Contrast, gaps: Gaps) -> Claim:
    """The same for all recipes: it is about the model."""
    return judged(
        "contrast-gaps-follow-counts",
        SECTION,
        f"Gaps that the model predicts between {contrast.source_cells} and {cells_of(contrast.target)} follow those in "
        "the counts",
        gaps.value,
        unit="correlation over genes",
        format=".2f",
        interval=gaps.interval,
        null=Null("no relation", 0.0, (0.0, 0.0)),
        test=Test(
            "correlation of predicted and observed gaps of the genes that differ most in other cells, bootstrap over "
            "cells",
            "greater",
            f"{gaps.genes} genes, read {contrast.read}",
            unit_of_inference="cells of one data set, not donors",
            n=contrast.n_test,
        ),
        source=_summary(contrast, "gaps.correlation"),
    )


def _named(contrast: Contrast, gene: str) -> Claim:
    named = contrast.named.get(gene)
    return judged(
        f"contrast-{contrast.objective}-{re.sub('[^a-z0-9]+', '-', gene.lower()).strip('-')}",
        SECTION,
        f"{gene} moves towards its level in {contrast.target}{contrast.words.within}, {contrast.objective} recipe",
        named.value if named else None,
        unit="of its gap closed",
        format=".0%",
        interval=named.interval if named else None,
        published=as_published(contrast, NUMBERS["cd8a-cd8b"] if gene in ("CD8A", "CD8B") else None),
        null=named.null if named else None,
        test=Test(
            f"gap fraction of one gene on {contrast.n_test} test cells, ranked among recipes fitted on permuted labels",
            "two-sided",
            unit_of_inference="edits; the cells are of one data set",
            n=named.null.draws if named else None,
            matters=SHARE_MATTERS,
        ),
        source=_summary(contrast, f"named.{gene}.gap_fraction") if named else None,
        why="" if named else f"{gene} is not among the genes of this run, or does not differ between the two types",
        barred=contrast.doubt if named else "",
    )


def _recipe(contrast: Contrast, limit: str) -> Claim:
    return judged(
        f"contrast-{contrast.objective}-recipe-{limit.replace('.', '')}",
        SECTION,
        f"Features that the {contrast.objective} recipe moves by more than {limit}",
        float(contrast.sizes[limit]),
        unit="features",
        format=".0f",
        published=as_published(contrast, RECIPES.get((contrast.objective, limit))),
        null=None,
        test=Test("count at the chosen penalty", unit_of_inference="features"),
        source=_summary(contrast, f"recipe_sizes.{limit}"),
        why="a size has no null of its own: it follows the penalty and the number of features of the autoencoder",
    )


def _summary(contrast: Contrast, field: str) -> Source:
    return Source(f"contrast/{contrast.objective}/{SUMMARY}", field)
