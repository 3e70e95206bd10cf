"""Which features differ between conditions, with the donor as the unit."""

from cellprism.studies.compare.settings import CompareSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="compare",
    title="Find features that differ between two conditions, with the donor as the unit.",
    method="Features were compared between two conditions, with the donor as the unit.",
    needs=("cells", "train", "programs"),
    Settings=CompareSettings,
    work="cellprism.studies.compare.work:work",
    tables="cellprism.studies.compare.tables",
    claims="cellprism.studies.compare.page:claims",
    section="cellprism.studies.compare.page:section",
    headline=("compare-features-differ",),
    every_run=False,
)
