"""Gene or state: what the variance of features is made of, and what known things of the cells go with them."""

from cellprism.studies.state.settings import StateSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="state",
    title="Ask whether features stand for genes or for states of cells, and what known of the cells goes with them.",
    method="The variance of features was divided between genes and cells, and features were set beside "
    "what is known of the cells.",
    needs=("cells", "train", "programs"),
    Settings=StateSettings,
    work="cellprism.studies.state.work:work",
    tables="cellprism.studies.state.tables",
    claims="cellprism.studies.state.claims:claims",
    section="cellprism.studies.state.page:section",
    headline=("features-follow-depth",),
    card="cellprism.studies.state.card:facts",
)
