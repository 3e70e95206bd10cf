"""Every null and baseline that features could be mistaken for, under every list rule: the ladder E0 to E8."""

from cellprism.studies.ladder.settings import LadderSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="ladder",
    title="Put the features beside every null and baseline, under every list rule.",
    method="Features were put beside every null and baseline, under every rule that makes lists of genes.",
    needs=("cells", "train", "programs"),
    Settings=LadderSettings,
    work="cellprism.studies.ladder.work:work",
    tables="cellprism.studies.ladder.tables",
    claims="cellprism.studies.ladder.claims:claims",
    section="cellprism.studies.ladder.page:section",
    headline=("ladder-top20",),
    every_run=False,
)
