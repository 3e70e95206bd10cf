"""Which block to look into: how many dimensions each fills, and what a dictionary adds there."""

from cellprism.studies.blocks.settings import BlocksSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="blocks",
    title="Say block by block how much there is to find, before or after training an autoencoder.",
    method="Block by block it was measured how much there is to find, without training and by dictionaries "
    "trained in short.",
    needs=("cells",),
    Settings=BlocksSettings,
    work="cellprism.studies.blocks.work:work",
    tables="cellprism.studies.blocks.tables",
    claims="cellprism.studies.blocks.page:claims",
    section="cellprism.studies.blocks.page:section",
)
