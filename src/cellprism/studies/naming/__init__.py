"""Labels that predict: a few words for every feature, shown where they foretell its activation in other cells."""

from cellprism.studies.naming.settings import NamingSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="naming",
    title="Give features labels that foretell in which other cells they are active, better than other labels would.",
    method="Features were given labels that were chosen on some cells and judged by how well they foretell "
    "activity in others.",
    needs=("cells", "train", "programs"),
    Settings=NamingSettings,
    work="cellprism.studies.naming.work:work",
    tables="cellprism.studies.naming.tables",
    claims="cellprism.studies.naming.page:claims",
    section="cellprism.studies.naming.page:section",
    card="cellprism.studies.naming.card:facts",
)
