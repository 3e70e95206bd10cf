"""Does the model know who regulates whom, or only who goes with whom?"""

from cellprism.report.open_questions import Open
from cellprism.report.published import NUMBERS
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="regulation",
    title="Ask whether factors move their targets beyond what co-expression gives, and beyond the way back.",
    method="Transcription factors were asked whether the model moves their targets with them, beyond "
    "co-expression and beyond the way back.",
    needs=("cells", "train"),
    Settings=RegulationSettings,
    work="cellprism.studies.regulation.work:work",
    tables="cellprism.studies.regulation.tables",
    claims="cellprism.studies.regulation.claims:claims",
    section="cellprism.studies.regulation.page:section",
    headline=("regulator*-direct*",),
    open=(
        Open(
            "regulators-directed",
            "The model carries the direction of regulation, from transcription factors to their targets",
            NUMBERS["tbx21"],
            "no probe of regulatory direction was run (`cellprism regulation RUN --all --edges FILE`); a handful of "
            "edges "
            "would not decide it: about 262 are needed to see an AUROC of 0.60 with 80 % power",
        ),
        Open(
            "regulators-specific",
            "Transcription factors that move their own targets specifically",
            NUMBERS["specific-tfs"],
            "no panel of transcription factors was probed (`cellprism regulation RUN --all --edges FILE`); at least 50 "
            "with 10 or more expressed targets are needed",
        ),
    ),
    every_run=False,
)
