"""Whether another training finds the same features."""

from cellprism.report.open_questions import Open
from cellprism.report.published import NUMBERS
from cellprism.studies.stability.settings import StabilitySettings
from cellprism.studies.study import Study

STUDY = Study(
    name="stability",
    title="Say which features another training finds again, and what chance finds again.",
    method="Features were looked for in autoencoders trained with other seeds, and in dictionaries drawn by chance.",
    needs=("cells", "train", "programs"),
    Settings=StabilitySettings,
    work="cellprism.studies.stability.work:work",
    tables="cellprism.studies.stability.tables",
    claims="cellprism.studies.stability.claims:claims",
    section="cellprism.studies.stability.page:section",
    card="cellprism.studies.stability.card:facts",
    headline=("features-stable",),
    open=(
        Open(
            "features-stable",
            "Features that another training with another seed finds again",
            NUMBERS["stability"],
            "features of autoencoders of several seeds were not compared one by one; `cellprism do stability RUN` does "
            "it",
        ),
    ),
)
