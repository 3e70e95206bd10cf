"""What every feature does to every gene."""

from cellprism.report.open_questions import Open
from cellprism.studies.screen.settings import ScreenSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="screen",
    title="Screen every feature: what it does to every gene, and whether that is what it says.",
    needs=("cells", "train", "programs"),
    Settings=ScreenSettings,
    work="cellprism.studies.screen.work:work",
    tables="cellprism.studies.screen.tables",
    claims="cellprism.studies.screen.claims:claims",
    section="cellprism.studies.screen.page:section",
    open=(
        Open(
            "features-control",
            "Features that describe the cells well also move their genes",
            None,
            "no run of `cellprism screen` measured what every feature does",
        ),
    ),
    every_run=False,
)
