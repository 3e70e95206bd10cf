"""How good the cell model is, beside what does the same job without a network, or without training."""

from cellprism.studies.assess.settings import AssessSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="assess",
    title="Say how good the cell model is, beside simpler methods.",
    method="How good the cell model is on these cells was measured beside simpler methods that were fitted "
    "on others of them.",
    needs=("cells",),
    Settings=AssessSettings,
    work="cellprism.studies.assess.work:work",
    tables="cellprism.studies.assess.tables",
    claims="cellprism.studies.assess.claims:claims",
    section="cellprism.studies.assess.page:section",
    headline=("model-beats-*", "model-gains-over-*", "cell-types-against-*"),
)
