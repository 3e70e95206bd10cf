"""What a trained autoencoder adds to directions that nobody trained."""

from cellprism.studies.adds.settings import AddsSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="adds",
    title="Put the trained autoencoder beside directions that nobody trained, in one table.",
    method="The trained autoencoder was put beside directions that nobody trained, by the same measures.",
    needs=("cells", "train", "programs"),
    Settings=AddsSettings,
    work="cellprism.studies.adds.work:work",
    tables="cellprism.studies.adds.tables",
    claims="cellprism.studies.adds.page:claims",
    section="cellprism.studies.adds.page:section",
)
