"""What happens when one feature is turned up or down, beside features that nobody trained."""

from cellprism.report.open_questions import Open
from cellprism.report.published import NUMBERS
from cellprism.studies.steer.settings import SteerSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="steer",
    title="Turn features up and down and see which genes follow.",
    method="Chosen features were turned up and down, and the genes that follow were set beside those of "
    "control features.",
    needs=("cells", "train", "programs"),
    Settings=SteerSettings,
    work="cellprism.studies.steer.work:work",
    tables="cellprism.studies.steer.tables",
    claims="cellprism.studies.steer.claims:claims",
    section="cellprism.studies.steer.page:section",
    headline=("steer-programs-features-beat-controls",),
    card="cellprism.studies.steer.card:facts",
    open=(
        Open(
            "features-steer",
            "Features move the genes of their program beyond features of random dictionaries",
            NUMBERS["steering-beats-random"],
            "no feature was turned up or down in this run",
        ),
    ),
)
