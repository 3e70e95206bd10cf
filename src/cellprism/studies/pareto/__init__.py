"""How far one recipe goes in a model's inner state and in expression at once, and whether the two pull together."""

from cellprism.report.open_questions import Open
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.study import Study

STUDY = Study(
    name="pareto",
    title="Trade the inner state against expression: what one recipe can reach of both.",
    method="Recipes were searched for along weights of two objectives, the inner state and predicted "
    "expression, and judged on test cells.",
    needs=("cells", "train"),
    Settings=ParetoSettings,
    work="cellprism.studies.pareto.work:work",
    tables="cellprism.studies.pareto.tables",
    claims="cellprism.studies.pareto.claims:claims",
    section="cellprism.studies.pareto.page:section",
    headline=("pareto-both-at-once",),
    open=(
        Open(
            "one-recipe-for-both",
            "One small recipe moves a cell type both in the inner state and in expression",
            None,
            "no run of `cellprism pareto` traded one against the other",
        ),
    ),
    every_run=False,
)
