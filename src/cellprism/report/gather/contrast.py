"""Claims about steering one cell type towards another."""

import numpy as np

from cellprism.report.claims import Claim, Published, Source, Test, judged
from cellprism.report.facts import ContrastFacts, cells_of
from cellprism.report.figures.scores import longer_search
from cellprism.report.published import AIDO_100M, NUMBERS
from cellprism.report.verdict import SHARE_MATTERS

SECTION = "From one cell type to another"
MARKERS = ("CD8A", "CD8B")
SCORES = {
    "fraction_closer": (
        "{source} end closer to the mean of {target} in the model's inner state",
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
    "up_correct": ("Genes higher in {target} rise{within}", "of differential genes", ".0%"),
    "down_correct": ("Genes lower in {target} fall{within}", "of differential genes", ".0%"),
}
"""Scores that become claims: statement, unit, format."""

FARTHER = Published("83 % of cells end farther from CD8 in latent space (17 % closer)", AIDO_100M, 0.17)
PUBLISHED = {
    ("latent", "fraction_closer"): NUMBERS["closer-latent"],
    ("latent", "up_correct"): NUMBERS["gap-up"],
    ("latent", "down_correct"): NUMBERS["gap-down"],
    ("expression", "fraction_closer"): FARTHER,
}
RECIPES = {
    ("latent", 0.3): "recipe-latent-0.3",
    ("latent", 0.5): "recipe-latent-0.5",
    ("expression", 0.5): "recipe-expression-0.5",
}


def contrast_claims(contrast: ContrastFacts) -> list[Claim]:
    """Every score of one contrast against shuffled labels and random recipes, its markers and the size of
    its recipe."""
    claims = [_score(contrast, name, "shuffled_labels") for name in SCORES if name in contrast.scores]
    own = f"{contrast.objective}_progress"
    if own in contrast.scores and "random_recipe" in contrast.scores[own].nulls:
        claims.append(_score(contrast, own, "random_recipe"))
    claims += [_marker(contrast, gene) for gene in MARKERS]
    claims += [_recipe(contrast, limit) for objective, limit in RECIPES if objective == contrast.objective]
    return claims


def _score(contrast: ContrastFacts, name: str, against: str) -> Claim:
    statement, unit, form = SCORES[name]
    score = contrast.scores[name]
    null = score.nulls.get(against)
    words = statement.format(source=contrast.source_cells, target=contrast.target, within=contrast.words.within)
    id = f"contrast-{contrast.objective}-{name.replace('_', '-')}"
    rival = null.name if null else "nothing"
    return judged(
        id if against == "shuffled_labels" else f"{id}-against-{against.replace('_', '-')}",
        SECTION,
        f"{words}, {contrast.objective} recipe, against {rival}",
        score.value,
        unit=unit,
        format=form,
        interval=score.interval,
        published=PUBLISHED.get((contrast.objective, name)),
        null=null,
        test=Test(
            "score on test cells, bootstrap over cells",
            "greater",
            f"{contrast.source_cells} and {cells_of(contrast.target)}",
            unit_of_inference="cells of one data set, not donors",
            n=contrast.n_test,
            matters=SHARE_MATTERS,
        ),
        source=_summary(contrast, f"scores.{name}.value"),
        barred=longer_search(score, form) if against == "shuffled_labels" else "",
    )


def _marker(contrast: ContrastFacts, gene: str) -> Claim:
    named = contrast.named.get(gene)
    return judged(
        f"contrast-{contrast.objective}-{gene.lower()}",
        SECTION,
        f"{gene} moves towards its level in {contrast.target}{contrast.words.within}, {contrast.objective} recipe",
        named.value if named else None,
        unit="of its gap closed",
        format=".0%",
        interval=named.interval if named else None,
        published=NUMBERS["cd8a-cd8b"],
        null=named.null if named else None,
        test=Test(
            "gap fraction of one gene on test cells, ranked among random edits of equal norm",
            "greater",
            unit_of_inference="random edits",
            n=contrast.n_test,
            matters=SHARE_MATTERS,
        ),
        source=_summary(contrast, f"named.{gene}.gap_fraction") if named else None,
        why="" if named else f"{gene} is not among the genes of this run, or does not differ between the two types",
    )


def _recipe(contrast: ContrastFacts, limit: float) -> Claim:
    size = int((np.abs(contrast.recipe["strength"] - 1) > limit).sum())
    return judged(
        f"contrast-{contrast.objective}-recipe-{str(limit).replace('.', '')}",
        SECTION,
        f"Features that the {contrast.objective} recipe moves by more than {limit}",
        float(size),
        unit="features",
        format=".0f",
        published=NUMBERS[RECIPES[contrast.objective, limit]],
        null=None,
        test=Test("count at the chosen penalty", unit_of_inference="features"),
        source=Source(f"contrast/{contrast.objective}/recipe.parquet", f"rows with |strength − 1| > {limit}"),
        why=("a size has no null of its own: it follows the penalty and the number of features of the autoencoder"),
    )


def _summary(contrast: ContrastFacts, field: str) -> Source:
    return Source(f"contrast/{contrast.objective}/summary.json", field)
