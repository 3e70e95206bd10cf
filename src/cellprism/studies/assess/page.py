"""The model's part of the page."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import NumberTable, listing
from cellprism.report.findings import control_of, than_control
from cellprism.report.section import Section, Table
from cellprism.studies.assess.banner import banner
from cellprism.studies.assess.claims import PATH, error_id, gain_id
from cellprism.studies.assess.figures import agreement_figure, error_figure, gain_figure, reading_figure
from cellprism.studies.assess.labels import ERROR_LABELS, GAIN_LABELS, TYPE_LABELS
from cellprism.studies.assess.tables import Assessment, CardScores, Gain, HiddenGenes, MaskedError, Measure

NOT_MEASURED = "How good the model is was not measured; `cellprism do assess RUN` does it."
SEEN = "Tell whether the model has seen these cells before. On cells that it was trained on it looks better than it is"
KINDS = {
    "model-beats-": "On these cells the model removes {} of the error that gene means make on hidden genes",
    "model-gains-over-": "On these cells the model gains {} nats per hidden count over the gene means",
    "cell-types-against-": "The type of {} of cells is read rightly from the model's inner state",
}
"""Start of the ids of the claims that are told on top -> what was found."""


def section(found: Assessment | None, claims: Sequence[Claim], context: Context) -> Section:
    """Its scores on the run's cells beside those of something simpler; apart from them, what its card says."""
    measured, found = found is not None, found or Assessment()
    by_id = {claim.id: claim.verdict for claim in claims}
    figures = (
        error_figure(found, {name: by_id[error_id(name)] for name in ERROR_LABELS if error_id(name) in by_id}, (PATH,)),
        agreement_figure(found, (PATH,)),
        gain_figure(found, {name: by_id[gain_id(name)] for name in GAIN_LABELS if gain_id(name) in by_id}, (PATH,)),
        reading_figure(found, (PATH,)),
    )
    drawn = [figure for figure in figures if figure]
    data = (
        f"; its card says that it was trained on {context.model.data}" if context.model and context.model.data else ""
    )
    return Section(
        "model",
        "Is the model any good on these cells?",
        "The model",
        _said(claims),
        [tuple(drawn[i:end]) for i, end in ((0, 1), (1, 3), (3, 4)) if drawn[i:end]],
        [*_beside_noise(found), *_card(found.card), *_neighbours(found.card)],
        " ".join(found.absent) if measured else NOT_MEASURED,
        banner=banner(found, claims),
        method="Before asking what a model has learned, ask whether it has learned anything that holds for these "
        "cells: each of its scores stands beside that of something simpler that was fitted on other cells of this run.",
        told={
            claim.id: f"{words.format(claim.show(claim.value))}, {than_control(claim)}."
            for start, words in KINDS.items()
            for claim in claims
            if claim.id.startswith(start)
        },
        cannot=[f"{SEEN}{data}."] if drawn else [],
    )


def _said(claims: Sequence[Claim]) -> str:
    """A sentence for each kind of score, with all of its controls."""
    said = []
    for start, words in KINDS.items():
        if some := [claim for claim in claims if claim.id.startswith(start)]:
            controls = listing([control_of(claim).replace(": ", " ") for claim in some])
            said.append(f"{words.format(some[0].show(some[0].value))}; {controls}.")
    return " ".join(said)


def _beside_noise(found: Assessment) -> list[Table]:
    """Both ratios and both agreements, and the same on noise cells."""
    genes, noise = found.hidden_genes, found.noise
    if genes is None:
        return []

    def removed(part: HiddenGenes | None, name: str) -> str:
        return _shown(part.methods.get(name) if part else None, ".3f")

    def agrees(part: HiddenGenes | None, token: str) -> str:
        return _shown(part.agreement.get(token) if part else None, ".2f")

    no_means = "absent: the model's card holds no gene means"
    over = [_shown(part.over_training_means, ".3f") if part else "–" for part in (genes, noise)]
    rows = [
        (
            "error of the model as it is, over that of the gene means of its training data",
            *(over if genes.over_training_means else (no_means, "–")),
        ),
        *(
            (f"error of {what}, over that of the gene means of these cells", removed(genes, name), removed(noise, name))
            for name, what in (("model", "the model, each gene's mean put right"), ("ridge", ERROR_LABELS["ridge"]))
        ),
        *(
            (f"correlation of output and counts at {token} genes", agrees(genes, token), agrees(noise, token))
            for token in ("hidden", "visible")
        ),
    ]
    caption = (
        f"Measured on {found.cells:,} cells of this run ({PATH}); simpler methods were fitted on {found.fit_cells:,} "
        "others. Noise cells are counts drawn at random with the same depth of each cell and the same share of each "
        "gene: whatever is found there is found without any difference between cells."
    )
    return [Table(caption, NumberTable(("", "these cells", "noise cells"), rows))]


def _card(card: CardScores) -> list[Table]:
    """What the card says, apart from what was measured here."""
    rows = [
        *((f"error on hidden genes, {ERROR_LABELS[n]}", _shown(m, ".3f")) for n, m in card.held_out.items()),
        *(
            (f"nats per hidden count gained, {GAIN_LABELS[n]}", _shown(m, ".3f"))
            for n, m in card.reconstruction.items()
        ),
        *((f"cell types read from {TYPE_LABELS.get(n, n)}", _shown(m, ".0%")) for n, m in card.cell_types.items()),
    ]
    if not rows:
        return []
    cells = f" on {card.cells:,} cells" if card.cells else ""
    caption = (
        f"What the model's card says: measured by its makers{cells} held out of its training, not on the cells of this "
        "run. Errors are shares of the gene means' error there."
    )
    return [Table(caption, NumberTable(("according to the card", "value"), rows))]


def _shown(measure: Measure | MaskedError | Gain | None, form: str) -> str:
    """A number with its interval in brackets; a dash where there is none."""
    if measure is None:
        return "–"
    span = f" [{measure.interval[0]:{form}}, {measure.interval[1]:{form}}]" if measure.interval else ""
    return f"{measure.value:{form}}{span}".replace("-", "−").replace("%", "\u00a0%")


def _neighbours(card: CardScores) -> list[Table]:
    if not card.neighbours:
        return []
    before = card.neighbours_at_start
    rows = [(gene, ", ".join(near), ", ".join(before.get(gene, []))) for gene, near in card.neighbours.items()]
    caption = (
        "According to the card: genes whose learned embeddings lie closest, best first. What was there before the "
        "first step of training is its control: where embeddings start from co-expression, neighbours come with the "
        "start."
    )
    return [Table(caption, NumberTable(("gene", "after training", "before training"), rows))]
