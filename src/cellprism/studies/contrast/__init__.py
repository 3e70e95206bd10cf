"""How far one cell type can be steered towards another, and whether shuffled labels would do as well."""

from cellprism.report.open_questions import Open
from cellprism.report.published import NUMBERS
from cellprism.studies.contrast.settings import ContrastSection
from cellprism.studies.study import Study

STUDY = Study(
    name="contrast",
    title="Find the feature strengths that move one cell type towards another.",
    method="Strengths of features were searched for that move cells of one type towards another, on "
    "training cells, chosen on others and judged on others again.",
    needs=("cells", "train"),
    Settings=ContrastSection,
    work="cellprism.studies.contrast.work:work",
    tables="cellprism.studies.contrast.tables",
    claims="cellprism.studies.contrast.claims:claims",
    section="cellprism.studies.contrast.page:section",
    headline=("contrast-latent*-nearer-target", "contrast-expression*-expression-progress"),
    card="cellprism.studies.contrast.card:facts",
    open=(
        Open(
            "types-steered",
            "Cells of one type end closer to another when features are steered",
            NUMBERS["closer-latent"],
            "no cell type was steered towards another in this run",
        ),
    ),
)
