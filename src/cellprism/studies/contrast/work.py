"""Moving one cell type towards another, with each objective in turn."""

from cellprism.errors import ModelError
from cellprism.steering.contrast.contrast import ContrastResult, contrast_read, read_contrast_cells
from cellprism.steering.model_output import lacks_expression
from cellprism.studies.contrast.settings import ContrastSection
from cellprism.studies.contrast.tables import Contrasts, Recipe
from cellprism.studies.workbench import Workbench


def work(bench: Workbench, settings: ContrastSection) -> Contrasts:
    """Search a recipe for each objective. No types given: nothing to do.

    An objective that has no meaning for the model is left out, with the reason.

    Raises:
        ModelError: none of the objectives has a meaning, or the autoencoder is a transcoder.
    """
    if not (settings.source and settings.target):
        return Contrasts()
    why = lacks_expression(bench.model)
    absent = {objective: why for objective in settings.objectives if objective == "expression" and why}
    if len(absent) == len(settings.objectives):
        raise ModelError(why)
    for objective in absent:
        bench.say(f"no {objective} recipe: {why}")
    with bench.bar(f"reading {settings.source} and {settings.target}", None):
        read = read_contrast_cells(
            bench.model, bench.sae, bench.cells, bench.config.layer, settings.source, settings.target,
            settings=settings.search, seed=bench.config.seed,
        )  # fmt: skip
    recipes = []
    for objective in [o for o in settings.objectives if o not in absent]:
        with bench.bar(f"{settings.source} to {settings.target}, {objective} objective", None):
            recipes.append(_recipe(contrast_read(read, objective, settings.named)))
    return Contrasts(recipes, absent)


def _recipe(result: ContrastResult) -> Recipe:
    return Recipe(result.summary, result.path, result.genes, result.cells, result.recipe, result.trials)
