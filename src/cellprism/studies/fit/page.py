"""The autoencoder's part of the page."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.section import Section, Table
from cellprism.studies.fit.claims import PATH
from cellprism.studies.fit.figures import class_table, firing_figure, training_figure
from cellprism.studies.fit.tables import HISTORY, Fit


def section(found: Fit | None, claims: Sequence[Claim], context: Context) -> Section:
    """The training curve, how often features fire, and which genes they rebuild."""
    rows, tables = [], []
    if found is not None:
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
        "Features are only worth reading if little of the inner state is lost when it is rebuilt from them, and if "
        "something simpler would not rebuild it as well.",
        rows,
        tables,
        "" if found else "The autoencoder was not measured; `cellprism do fit RUN` does it.",
        cannot=[
            "Tell which features a second training would find again: one autoencoder was trained, with one "
            "seed. Refer to features by their genes, not by their numbers."
        ]
        if found
        else [],
    )
