"""Which gene programs the features carry, beside what chance, co-expression and untrained networks give."""

from cellprism.report.open_questions import Open
from cellprism.report.published import NUMBERS
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="programs",
    title="Turn a run's features into gene programs, beside what chance gives.",
    method="Each feature became a list of genes, which was tested for over-representation of known "
    "programs, beside lists made by chance and by controls.",
    needs=("cells", "train"),
    Settings=ProgramsSettings,
    work="cellprism.studies.programs.work:work",
    tables="cellprism.studies.programs.tables",
    claims="cellprism.studies.programs.claims:claims",
    section="cellprism.studies.programs.page:section",
    headline=("annotated-against-*[a-z]",),
    card="cellprism.studies.programs.card:facts",
    open=(
        Open(
            "features-annotated",
            "Features match known gene programs more often than chance",
            NUMBERS["annotated-features"],
            "features were not turned into programs in this run",
        ),
    ),
)
