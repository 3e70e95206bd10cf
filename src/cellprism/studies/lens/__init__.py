"""What features mean by the cells in which they are high: the way of Schuster 2025 (scFeatureLens), with controls."""

from cellprism.studies.lens.settings import LensSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="lens",
    title="Read features by the cells in which they are high: their genes and terms, rare cells, and what a model "
    "predicts when one is set high.",
    method="Features were read by the cells in which they are high: their genes, their terms, and rare "
    "cells among them, beside dictionaries that nobody trained.",
    needs=("cells", "train", "programs"),
    Settings=LensSettings,
    work="cellprism.studies.lens.work:work",
    tables="cellprism.studies.lens.tables",
    claims="cellprism.studies.lens.claims:claims",
    section="cellprism.studies.lens.page:section",
    headline=("lens-rare-cells",),
    every_run=False,
)
