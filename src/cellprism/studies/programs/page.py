"""The features' part of the page."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import listing
from cellprism.report.section import Section
from cellprism.report.summary import hardest, key_numbers
from cellprism.studies.programs.claims import CONTROLS
from cellprism.studies.programs.feature_rows import feature_rows
from cellprism.studies.programs.figures import feature_map, program_heatmap
from cellprism.studies.programs.rates import rate_figure
from cellprism.studies.programs.tables import FEATURES, RATES, SPECIFICITY, TYPES, Programs

RATE = "annotated-against-"


def section(found: Programs | None, claims: Sequence[Claim], context: Context) -> Section:
    """Which programs are inside, and whether chance gives them too."""
    rows = []
    if found is not None:
        by_id = {claim.id: claim.verdict for claim in claims}
        verdicts = {name: by_id[id] for name, (id, _) in CONTROLS.items() if id in by_id}
        files = tuple(f"programs/{name}" for name in (FEATURES, SPECIFICITY))
        drawn = (
            feature_map(found, context, files),
            program_heatmap(found, (*files, f"programs/{TYPES}")),
            rate_figure(found.rates, verdicts, (f"programs/{RATES}",)),
        )
        rows = [(figure,) for figure in drawn if figure]
    return Section(
        "features",
        "Which gene programs are inside, and would chance give them too?",
        "Features",
        f"The autoencoder splits the model's inner state into features. Each is described {context.words.described}. "
        "Each list of genes is then compared with known programs, and so are lists that nobody learned.",
        rows,
        absent="" if found else "This run has no features yet; `cellprism do programs RUN` adds them.",
        keys=key_numbers(claims, RATE, "of features match a known gene program"),
        summary=_summary(claims),
        can=["Show which gene programs this model separates on these cells, and in which cell types they are strong."]
        if found
        else [],
        long=[feature_rows(found, context)] if found else [],
    )


def _summary(claims: Sequence[Claim]) -> str:
    """The annotated rate against popularity, co-expression and the hardest control."""
    by_id = {claim.id: claim for claim in claims}
    compared = [claim for id, claim in by_id.items() if RATE in id and claim.null]
    if not compared:
        return ""
    most = hardest(compared)
    named = [by_id.get(RATE + "popularity"), by_id.get(RATE + "coexpression"), most]
    shown = {claim.id: claim for claim in named if claim is not None}.values()
    controls = [f"{c.show(c.null.value)} of {c.null.name.split(' (')[0]}" for c in shown if c.null]
    start = f"{most.show(most.value)} of its features match a known gene program, against {listing(controls)}"
    if most.verdict == "above chance":
        return f"{start}: more than any of these explains."
    if most.verdict == "below chance" and most.id == RATE + "coexpression":
        return f"{start}: genes that merely vary together match programs more often than features do."
    return f"{start}, so matching a program is by itself no evidence that a feature adds anything."
