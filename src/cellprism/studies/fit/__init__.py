"""How well the autoencoder stands for the model: fit, firing, loss recovered, other cells."""

from cellprism.studies.fit.settings import FitSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="fit",
    title="Say how well a run's autoencoder stands for its model.",
    method="How well the autoencoder stands for the model was measured beside an untrained one and "
    "directions that nobody trained.",
    needs=("cells", "train"),
    Settings=FitSettings,
    work="cellprism.studies.fit.work:work",
    tables="cellprism.studies.fit.tables",
    claims="cellprism.studies.fit.claims:claims",
    section="cellprism.studies.fit.page:section",
    headline=("sae-explained-variance",),
)
