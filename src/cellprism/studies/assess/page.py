"""The model's part of the page."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import NumberTable
from cellprism.report.section import Section, Table
from cellprism.report.summary import key_numbers
from cellprism.studies.assess.claims import PATH, error_id, gain_id
from cellprism.studies.assess.figures import error_figure, gain_figure, reading_figure
from cellprism.studies.assess.labels import ERROR_LABELS, GAIN_LABELS
from cellprism.studies.assess.tables import Assessment

NOT_MEASURED = "How good the model is was not measured: its card holds no scores on held-out cells."


def section(found: Assessment | None, claims: Sequence[Claim], context: Context) -> Section:
    """Its scores beside those of something simpler, and which genes lie close in it."""
    found = found or Assessment()
    by_id = {claim.id: claim.verdict for claim in claims}
    figures = (
        error_figure(found, {name: by_id[error_id(name)] for name in ERROR_LABELS if error_id(name) in by_id}, (PATH,)),
        gain_figure(found, {name: by_id[gain_id(name)] for name in GAIN_LABELS if gain_id(name) in by_id}, (PATH,)),
        reading_figure(found, (PATH,)),
    )
    drawn = tuple(figure for figure in figures if figure)
    return Section(
        "model",
        "Is the model any good?",
        "The model",
        "Before asking what a model has learned, ask whether it has learned anything: each of its scores "
        "stands beside the score of something simpler.",
        [drawn] if drawn else [],
        _neighbours(found),
        "" if found.held_out or found.reconstruction or found.cell_types else NOT_MEASURED,
        keys=key_numbers(claims, "model-beats-ridge", "of the error on hidden genes removed"),
    )


def _neighbours(found: Assessment) -> list[Table]:
    if not found.neighbours:
        return []
    before = found.neighbours_at_start
    rows = [(gene, ", ".join(near), ", ".join(before.get(gene, []))) for gene, near in found.neighbours.items()]
    caption = (
        "Genes whose learned embeddings lie closest, best first. What was there before the first step of "
        "training is its control: where embeddings start from co-expression, neighbours come with the start."
    )
    return [Table(caption, NumberTable(("gene", "after training", "before training"), rows))]
