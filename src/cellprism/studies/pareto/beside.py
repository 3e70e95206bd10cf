"""The table of what a recipe stands beside: other searches and plain edits, all of the norm of the recipe for both."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cellprism.parallel.shards import ShardFolder
from cellprism.steering.contrast.cell_split import Pair
from cellprism.steering.contrast.scores import BaselineValues
from cellprism.steering.contrast.turning import Multiply, edit_norm, residuals_of, turning
from cellprism.steering.nulls import firing_and_edit_norms, moved_along, random_recipe
from cellprism.steering.pareto.beside import (
    Searched,
    axes,
    halves,
    random_target,
    scaled,
    search_both,
    top_by_difference,
    towards,
)
from cellprism.steering.pareto.directions import directions, independent_dictionary
from cellprism.steering.settings import EDITS
from cellprism.steering.site_cache import Prediction
from cellprism.studies.pareto.judges import Outside
from cellprism.studies.pareto.kept import kept_rows
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.pareto.tables import (
    BY_DIFFERENCE,
    DENSE,
    EDIT_OF,
    HALF,
    ICA,
    OTHER_TYPE,
    OURS,
    PERMUTED,
    PERMUTED_SCALED,
    RANDOM_RECIPE,
    RANDOM_TARGET,
    SMALL,
)
from cellprism.studies.pareto.unit import Front, Unit, columns_of

RANDOM_TARGETS = 5
LONGER = 3  # times the effort of the recipe's own


class _Edit(NamedTuple):
    kind: str
    replicate: int
    made: Searched | None
    """A recipe."""
    after: Callable[[float], Prediction]
    """What the model says of the test cells at a norm."""
    own: float
    """Norm of the recipe as it was found; not a number of a direction."""
    at_norm: bool = True


_Make = Callable[[], list[_Edit]]


def beside_rows(
    unit: Unit,
    settings: ParetoSettings,
    front: Front,
    outside: Outside,
    shards: ShardFolder,
    seed: int,
    advance: Callable[[str], None],
) -> list[dict[str, Any]]:
    """One row an edit: kind, replicate, features, norm (over that of the difference of means per gene), and what
    becomes of the test cells."""
    small = _recipe(unit, front, front.places["both"])
    norm = _norm(unit, small) or unit.norm
    rows: list[dict[str, Any]] = []
    for name, make in _tasks(unit, settings, small, seed):
        advance(name)
        rows += kept_rows(
            shards, f"beside-{name}", lambda make=make: [_row(unit, settings, outside, one, norm) for one in make()]
        )
    return rows


def _row(unit: Unit, settings: ParetoSettings, outside: Outside, edit: _Edit, norm: float) -> dict[str, Any]:
    columns = columns_of(unit.cache, settings.named)
    size = norm if edit.at_norm else edit.own
    after = edit.after(size)
    ways = unit.judge["test"].fractions(after, np.array(columns, dtype=int)).tolist()
    return {
        "kind": edit.kind, "replicate": edit.replicate, "features": edit.made.features if edit.made else 0,
        "norm": size / unit.norm, **unit.judge["test"].scores(after),
        **{f"way of {gene}": way for gene, way in zip(unit.cache.genes[columns], ways, strict=True)},
        **outside.ways(after),
    }  # fmt: skip


def _recipe(unit: Unit, front: Front, place: int) -> Searched:
    return Searched(unit.cache, unit.turn, torch.from_numpy(front.strengths[place]).to(unit.cache.W_dec))


def _norm(unit: Unit, made: Searched) -> float:
    return edit_norm(made.cache, made.turn, unit.parts.test.source, made.strengths)


def _of_recipe(unit: Unit, kind: str, replicate: int, made: Searched, at_norm: bool = True) -> _Edit:
    own = _norm(unit, made)

    def after(norm: float) -> Prediction:
        one = scaled(made, norm, own)
        return made.cache.predict_from(residuals_of(made.cache, made.turn, unit.parts.test.source, one.strengths))

    return _Edit(kind, replicate, made, after, own, at_norm)


def _tasks(unit: Unit, settings: ParetoSettings, small: Searched, seed: int) -> list[tuple[str, _Make]]:
    """Everything that the recipe stands beside, by a name of its own, not made yet."""
    tasks: list[tuple[str, _Make]] = [
        ("small", lambda: [_of_recipe(unit, SMALL, 0, small, at_norm=False)]),
        ("any size", lambda: [_of_recipe(unit, OURS, 0, _searched(unit, settings, seed))]),
        ("directions", lambda: _directions(unit)),
        ("difference", lambda: [_of_recipe(unit, BY_DIFFERENCE, 0, _top(unit, settings, small))]),
        ("free", lambda: [_of_recipe(unit, DENSE, 0, _free(unit, settings, small, seed))]),
        ("independent", lambda: [_of_recipe(unit, ICA, 0, _independent(unit, settings, small, seed))]),
        ("random", lambda: _random(unit, settings, small, seed)),
    ]
    for edit in [edit for edit in EDITS if edit != settings.edit]:
        tasks.append((edit, lambda edit=edit: [
            _of_recipe(unit, EDIT_OF.format(edit), 0, _searched(unit, settings, seed, edit=edit))
        ]))  # fmt: skip
    return tasks + _elsewhere(unit, settings, seed)


def _directions(unit: Unit) -> list[_Edit]:
    def after(vectors: Tensor) -> Callable[[float], Prediction]:
        rows = unit.parts.test.source
        return lambda norm: unit.cache.predict_from(moved_along(unit.cache, rows, vectors, norm))

    found = directions(unit.cache, unit.parts.train)
    return [_Edit(name, 0, None, after(vectors), np.nan) for name, vectors in found.items()]


def _top(unit: Unit, settings: ParetoSettings, small: Searched) -> Searched:
    strengths = top_by_difference(unit.cache, unit.parts.train, max(1, small.features), settings.search.bound)
    return Searched(unit.cache, Multiply(), strengths)


def _free(unit: Unit, settings: ParetoSettings, small: Searched, seed: int) -> Searched:
    flat, turn = axes(unit.cache)
    free = replace(settings.search, smallest_penalty=1e-6, bound=1e6, iterations=LONGER * settings.search.iterations)
    return _between(unit, Searched(flat, turn, small.strengths), settings, free, seed)


def _independent(unit: Unit, settings: ParetoSettings, small: Searched, seed: int) -> Searched:
    cache = unit.cache.recoded(independent_dictionary(unit.cache, unit.parts.train.source, seed))
    return _between(unit, Searched(cache, Multiply(), small.strengths), settings, settings.search, seed)


def _random(unit: Unit, settings: ParetoSettings, small: Searched, seed: int) -> list[_Edit]:
    firing, squared = firing_and_edit_norms(unit.cache, unit.parts.train.source)
    rng, found = np.random.default_rng([seed, 73]), []
    for i in range(settings.search.random_edits if small.features else 0):
        other = random_recipe(small.strengths, firing, squared, rng)
        found.append(_of_recipe(unit, RANDOM_RECIPE, i, Searched(unit.cache, unit.turn, other)))
    return found


def _searched(unit: Unit, settings: ParetoSettings, seed: int, edit: str = "") -> Searched:
    """A recipe for both alike, of any size."""
    train = unit.parts.train
    turn = turning(unit.cache, edit, train.source, train.target) if edit else unit.turn
    return _between(unit, Searched(unit.cache, turn, torch.empty(0)), settings, settings.search, seed)


def _between(unit: Unit, how: Searched, settings: ParetoSettings, search: Any, seed: int) -> Searched:
    """The same between the two types, as another dictionary or edit would have it."""
    return search_both(
        how.cache, how.turn, unit.problem.latent.cells, unit.judge["train"].base, unit.parts.validation.source,
        unit.judge["validation"].base, search, seed,
    )  # fmt: skip


def _elsewhere(unit: Unit, settings: ParetoSettings, seed: int) -> list[tuple[str, _Make]]:
    """Searches of the same effort whose target is not the target."""
    search, parts, learn = settings.search, unit.parts, unit.problem.latent.cells
    bases = [unit.judge[part].base for part in ("train", "validation")]

    def between(pairs: list[Pair], learners: np.ndarray) -> Searched:
        ends = [towards(unit.cache, pair, pairs[0], search.n_genes, settings.weighting) for pair in pairs]
        return search_both(unit.cache, unit.turn, learners, ends[0], pairs[1].source, ends[1], search, seed)

    def away(ends: list[BaselineValues]) -> Searched:
        choose = parts.validation.source
        return search_both(unit.cache, unit.turn, learn, ends[0], choose, ends[1], search, seed)

    def permuted(i: int) -> list[_Edit]:
        other = parts.permuted(seed + 1 + i)
        made = between([other.train, other.validation], np.sort(other.train.source[: len(learn)]))
        return [_of_recipe(unit, PERMUTED, i, made, at_norm=False), _of_recipe(unit, PERMUTED_SCALED, i, made)]

    def typed(i: int, kind: str) -> list[_Edit]:
        made = away([_towards_type(base, unit.others[kind]) for base in bases])
        return [_of_recipe(unit, OTHER_TYPE.format(kind), i, made)]

    def random(i: int) -> list[_Edit]:
        rng = np.random.default_rng([seed, 79, i])
        return [_of_recipe(unit, RANDOM_TARGET, i, away([random_target(base, rng) for base in bases]))]

    def half() -> list[_Edit]:
        rng = np.random.default_rng([seed, 83])
        pairs = [halves(parts.train.source, rng), halves(parts.validation.source, rng)]
        if any(min(len(pair.source), len(pair.target)) < 2 for pair in pairs):
            return []
        return [_of_recipe(unit, HALF, 0, between(pairs, np.sort(pairs[0].source[: len(learn)])))]

    tasks: list[tuple[str, _Make]] = [("half", half)]
    tasks += [(f"permuted {i}", lambda i=i: permuted(i)) for i in range(search.null_replicates)]
    tasks += [(f"type {i}", lambda i=i, kind=kind: typed(i, kind)) for i, kind in enumerate(unit.others)]
    return tasks + [(f"elsewhere {i}", lambda i=i: random(i)) for i in range(RANDOM_TARGETS)]


def _towards_type(base: Any, means: tuple[np.ndarray, np.ndarray]) -> Any:
    """The same source with another type as the target, on the same genes."""
    embedding, values = means
    return replace(base, target=embedding, target_mean=np.where(np.isfinite(values), values, base.source_mean))
