"""What every feature does to every gene."""

from cellprism.report.open_questions import Open
from cellprism.report.published import NUMBERS
from cellprism.studies.screen.settings import ScreenSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="screen",
    title="Screen every feature: what it does to every gene, and whether that is what it says.",
    method="Every feature's effect on every predicted gene was measured, and set beside what the feature says.",
    needs=("cells", "train", "programs"),
    Settings=ScreenSettings,
    work="cellprism.studies.screen.work:work",
    tables="cellprism.studies.screen.tables",
    claims="cellprism.studies.screen.claims:claims",
    section="cellprism.studies.screen.page:section",
    card="cellprism.studies.screen.card:facts",
    headline=("screen-features-move-their-genes",),
    open=(
        Open(
            "screen-features-move-their-genes",
            "Of all firing features, those that move the genes of their own lists beyond features of random "
            "dictionaries",
            NUMBERS["steering-beats-random"],
            "no run of `cellprism screen` measured what every feature does",
        ),
    ),
    every_run=False,
)
