"""The autoencoder's part of the page."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.findings import control_of, than_control
from cellprism.report.section import Section, Table
from cellprism.studies.fit.claims import PATH
from cellprism.studies.fit.figures import beside_figure, class_table, firing_figure, training_figure
from cellprism.studies.fit.tables import HISTORY, Fit, Measures

VARIANCE = "sae-explained-variance"
ROOM = 0.25
"""An inner state that fills a smaller share of its dimensions leaves room for its features side by side."""


def section(found: Fit | None, claims: Sequence[Claim], context: Context) -> Section:
    """The training curve, how often features fire, and which genes they rebuild."""
    rows, tables = [], []
    if found is not None:
        if figure := beside_figure(found.measures, (PATH,)):
            rows.append((figure,))
        rows.append(
            (training_figure(found, context, (f"fit/{HISTORY}", PATH)), firing_figure(found.measures, context, (PATH,)))
        )
        if table := class_table(found.measures):
            caption = (
                f"Which genes' inner state the features rebuild ({PATH}). A class with a larger share of the error "
                "than of the variance is rebuilt worse than the others."
            )
            tables.append(Table(caption, table))
    return Section(
        "fit",
        "Does the autoencoder stand for the model?",
        "The autoencoder",
        _said(found, claims),
        rows,
        tables,
        "" if found else "The autoencoder was not measured; `cellprism do fit RUN` does it.",
        method=_method(found, context),
        told={
            c.id: f"{_explained(found.measures, c)}, {than_control(c)}." for c in claims if c.id == VARIANCE and found
        },
    )


def _explained(measures: Measures, claim: Claim) -> str:
    return (
        f"{measures.k:g} of {measures.n_features} features at a time explain {claim.show(claim.value)} of the variance "
        "of the inner state"
    )


def _said(found: Fit | None, claims: Sequence[Claim]) -> str:
    """Both claims, each beside its control."""
    said = []
    for claim in claims if found else ():
        if found and claim.value is not None:
            what = _explained(found.measures, claim)
            if claim.id != VARIANCE:
                kept = claim.show(claim.value)
                what = (
                    f"With the rebuilt state in its place, predictions keep {kept} of what the state is worth to them"
                )
            said.append(f"{what}; {control_of(claim).replace(': ', ' ')}.")
    return " ".join(said)


def _method(found: Fit | None, context: Context) -> str:
    """The room that the inner state fills, then what is asked."""
    asked = (
        "Features are only worth reading if little of the inner state is lost when it is rebuilt from them, and if "
        "something simpler would not rebuild it as well."
    )
    if found is None:
        return asked
    stream = found.measures.stream
    taken_off = "each gene's mean" if context.tokens == "genes" else "the mean"
    room = (
        f"With {taken_off} taken off, the inner state fills about {stream.effective:.1f} of its {stream.width} "
        f"dimensions: {stream.components_90} principal components hold 90 % of its variance, "
        f"{stream.components_99} hold 99 %. "
    )
    if stream.effective < ROOM * stream.width:
        return (
            f"{room}That is far fewer than it has: there is no need for features to share dimensions, and directions "
            f"taken from the inner state at random rebuild much of it. {asked}"
        )
    return f"{room}Features may share dimensions (superposition), which is what an autoencoder is to undo. {asked}"
