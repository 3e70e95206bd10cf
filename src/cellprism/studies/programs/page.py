"""The features' part of the page."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import NumberTable, listing, small
from cellprism.report.findings import hardest, than_control
from cellprism.report.section import Section, Table
from cellprism.studies.programs.claims import CONTROLS, control_claims
from cellprism.studies.programs.feature_rows import feature_rows
from cellprism.studies.programs.figures import feature_map, program_heatmap
from cellprism.studies.programs.rates import rate_figure
from cellprism.studies.programs.seed_figure import seed_figure
from cellprism.studies.programs.tables import (
    FEATURES,
    RATES,
    SEEDS,
    SOUGHT,
    SOUGHT_NULLS,
    SPECIFICITY,
    TYPES,
    Programs,
)

APART = "features-tell-types-apart"
RATE, MODULES = "annotated-against-", "correlated-against-coexpression"
SHORT = {id for id, _ in CONTROLS.values() if id.startswith(RATE)}
"""Claims about the 20 genes at which each feature is strongest."""

LISTS = {
    "correlation": "the 20 genes that go with it most over cells",
    "participation": "the genes at which it is strongest, as many as it spreads over",
    "top20": "the 20 genes at which it is strongest",
    "top50": "the 50 genes at which it is strongest",
    "maximum": "the 20 genes at which it was ever strongest",
    "standardised": "the 20 genes at which it is strongest beside other features",
}
"""What a list holds, by rule."""
NO_EVIDENCE = "so matching a program is by itself no evidence that a feature adds anything"


def section(found: Programs | None, claims: Sequence[Claim], context: Context) -> Section:
    """Which programs are inside, and whether chance gives them too."""
    rows = []
    if found is not None:
        by_id = {claim.id: claim.verdict for claim in claims}
        verdicts = {name: by_id[id] for name, (id, _) in control_claims().items() if id in by_id}
        files = tuple(f"programs/{name}" for name in (FEATURES, SPECIFICITY))
        first = (
            program_heatmap(found, (*files, f"programs/{TYPES}")),
            seed_figure(found.seeds, verdicts, (f"programs/{SEEDS}",)),
        )
        then = (
            feature_map(found, context, files), rate_figure(found.rates, verdicts, (f"programs/{RATES}",)),
        )  # fmt: skip
        rows = [row for row in (tuple(filter(None, first)), *((figure,) for figure in then if figure)) if row]
    return Section(
        "features",
        "Which gene programs are inside, and would chance give them too?",
        "Features",
        _said(claims),
        rows,
        method="The autoencoder splits the model's inner state into features. Each is described "
        f"{context.words.described}. {_list_words(found)} Lists are compared with known programs, and so are lists "
        "that nobody learned.",
        absent="" if found else "This run has no features yet; `cellprism do programs RUN` adds them.",
        tables=[sought_table(found)] if found and found.sought else [],
        told=_told(claims),
        can=["Show which gene programs this model separates on these cells, and in which cell types they are strong."]
        if found
        else [],
        long=[feature_rows(found, context)] if found else [],
    )


def sought_table(found: Programs) -> Table:
    """The programs looked for by name, found or not."""
    rows = []
    for one in found.sought:
        if one.feature is None:
            rows.append((one.words, "no term bears it" if not one.terms else "no list shares a gene", *["–"] * 5))
            continue
        mark = "" if one.padj < found.rates["alpha"] else " (not significant)"
        chance = (small(one.chance[null]) if null in one.chance else "–" for null in SOUGHT_NULLS)
        rows.append((
            one.words, f"{one.term}{mark}", str(one.feature), f"{len(one.genes)} of {one.term_size}: "
            f"{listing(list(one.genes[:6]))}", small(one.padj), *chance,
        ))  # fmt: skip
    caption = (
        f"Programs looked for by name (programs/{SOUGHT}; `programs.sought` names others): of all features and all "
        "terms that bear the name the pair that matches best, with the term's q. Beside it how often one of as many "
        f"lists made by chance matches such a term as well (one-sided p over {found.sought[0].replicates} families, "
        "not corrected over names): lists of genes as popular, and groups of genes that vary together. Looked at, not "
        "judged."
    )
    header = ("name", "best term", "feature", "genes shared", "q", "p, as popular", "p, co-expressed")
    return Table(caption, NumberTable(header, rows))


def _list_words(found: Programs | None) -> str:
    words = LISTS.get(found.rates.get("rule", "participation")) if found else None
    return f"Its list is {words}." if words else ""


def _told(claims: Sequence[Claim]) -> dict[str, str]:
    said = dict.fromkeys(SHORT, "match a known gene program by the 20 genes at which each is strongest")
    said |= {claim.id: "tell cell types apart" for claim in claims if claim.id.startswith(APART)}
    return {
        c.id: f"{c.show(c.value)} of features {said[c.id]}, {than_control(c)}." for c in claims if c.id in said
    }  # fmt: skip


def _said(claims: Sequence[Claim]) -> str:
    """The annotated rate against popularity, an untrained autoencoder and the hardest control, all means over
    seeds; then beside co-expression modules, where lists are made by one rule."""
    by_id = {claim.id: claim for claim in claims}
    compared = [claim for id, claim in by_id.items() if id in SHORT and claim.null]
    if not compared:
        return ""
    most, modules = hardest(compared), by_id.get(MODULES)
    named = [by_id.get(RATE + "popularity"), by_id.get(RATE + "untrained"), most]
    shown = {claim.id: claim for claim in named if claim is not None}.values()
    controls = [f"{c.show(c.null.value)} of {c.null.name.split(' (')[0]}" for c in shown if c.null]
    said = f"{most.show(most.value)} of its features match a known gene program by 20 genes each"
    start = f"{said}, against {listing(controls)}"
    beyond = most.verdict == "above chance"
    said = "more than any of these explains" if beyond else NO_EVIDENCE
    start = f"{start}{': ' if beyond else ', '}{said}."
    if modules is None or modules.null is None:
        return start
    ours, theirs = modules.show(modules.value), modules.show(modules.null.value)
    start += f" By correlation over cells, 20 genes each, {ours} of features do, {theirs} of co-expression modules"
    if modules.verdict == "below chance":
        return f"{start}: genes that merely vary together match programs more often than features do."
    return f"{start}." if modules.verdict == "above chance" else f"{start}, {NO_EVIDENCE}."
