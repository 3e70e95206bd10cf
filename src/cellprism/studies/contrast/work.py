"""Moving one cell type towards another, with each objective in turn."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.errors import ModelError
from cellprism.parallel.shards import Arrays, Shard
from cellprism.steering.contrast.contrast import ContrastCells, ContrastResult, contrast_read, read_contrast_cells
from cellprism.steering.contrast.trials import permuted_recipe
from cellprism.steering.model_output import lacks_expression
from cellprism.studies.contrast.settings import ContrastSection
from cellprism.studies.contrast.tables import Contrasts, Recipe
from cellprism.studies.mapping import mapped
from cellprism.studies.shards import shards_of
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
        read = _read(bench, settings)
    asked = [settings.source, settings.target, settings.search]
    shards, recipes = shards_of(bench, "contrast", ("cells", "train"), asked), []
    for objective in [o for o in settings.objectives if o not in absent]:

        def permuted(numbers: Sequence[int], objective: str = objective) -> Iterator[Float[Tensor, " feature"]]:
            parts = [
                Shard(f"{objective}-{i}", f"permutation {i} of the labels, {objective} objective", (objective, i))
                for i in numbers
            ]
            title = f"permuted labels, {objective} objective"
            for found in mapped(bench, title, parts, shards, read, reading, by_permuted_labels, "searches").gather():
                yield torch.from_numpy(found["strengths"]).to(read.cache.W_dec)

        with bench.bar(f"{settings.source} to {settings.target}, {objective} objective", None):
            recipes.append(_recipe(contrast_read(read, objective, settings.named, permuted)))
    shards.clear()
    return Contrasts(recipes, absent)


def _read(bench: Workbench, settings: ContrastSection) -> ContrastCells:
    return read_contrast_cells(
        bench.model, bench.sae, bench.cells, bench.config.layer, settings.source, settings.target,
        settings=settings.search, seed=bench.config.seed,
    )  # fmt: skip


def reading(bench: Workbench) -> ContrastCells:
    """The cells of a run's two types, read up to its site."""
    return _read(bench, bench.settings("contrast"))


def by_permuted_labels(read: ContrastCells, task: tuple[str, int]) -> Arrays:
    """What one search with permuted labels finds."""
    objective, number = task
    found = permuted_recipe(read.cache, read.parts, objective, read.settings, read.seed, number)
    return {"strengths": found.detach().cpu().numpy()}


def _recipe(result: ContrastResult) -> Recipe:
    return Recipe(result.summary, result.path, result.genes, result.cells, result.recipe, result.trials)
