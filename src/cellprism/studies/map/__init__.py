"""The map of features: which share genes, which are active together, which say the same."""

from cellprism.studies.map.settings import MapSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="map",
    title="Put features on a map: which share genes, which are active together, which say the same.",
    method="Features were grouped and put on a map by the genes that they share, by the cells in which "
    "they are active together, and by what each writes into the inner state.",
    needs=("cells", "train", "programs"),
    Settings=MapSettings,
    work="cellprism.studies.map.work:work",
    tables="cellprism.studies.map.tables",
    claims="cellprism.studies.map.claims:claims",
    section="cellprism.studies.map.page:section",
    headline=("*-share-meaning",),
    card="cellprism.studies.map.card:facts",
    every_run=False,
)
