"""What the chosen recipes are made of: features with what leaving each out costs, the smallest recipe that does nearly
as much, how many features it takes to reach the same, and how alike recipes are.

Notable choices

- Recipes of either objective are compared at equal gain, not at equal penalty: the fewest features with which each path
  reaches what both reach.
- The smallest recipe adds features in the order of what leaving each out costs, until ``ENOUGH`` of the gain is there.
- The way back is the same search with the two types exchanged.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.fronts import edit_cosine
from cellprism.steering.contrast.cell_split import Pair
from cellprism.steering.contrast.turning import natural_amounts
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.nulls import firing_and_edit_norms, plain, random_recipe
from cellprism.steering.pareto.beside import search_both, towards
from cellprism.steering.pareto.joint import follow
from cellprism.studies.pareto.beside import GAINS
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.pareto.tables import GENE_COLUMNS, RECIPE_COLUMNS, Drawn, Likeness, Recruited
from cellprism.studies.pareto.unit import CHOSEN, Front, Unit, predicted

ENOUGH = 0.9
LONGER = 3  # times the effort of the path
DRAWS = 99


def recipe_rows(
    unit: Unit, front: Front, programs: dict[int, str], advance: Callable[[int], None]
) -> list[dict[str, Any]]:
    """The features of the chosen recipes, largest edits first; what each costs, of the small recipe for both."""
    firing, squared = firing_and_edit_norms(unit.cache, unit.parts.train.source)
    rows = []
    for kind in CHOSEN:
        strengths = front.strengths[front.places[kind]]
        turned = np.flatnonzero(strengths != 1)
        edit = (squared[turned] * (strengths[turned] - 1) ** 2) if len(turned) else np.empty(0)
        turned = turned[np.argsort(-edit, kind="stable")]
        losses, rank = {}, {}
        if kind == "both" and len(turned):
            losses = left_out(unit, strengths, turned, advance)
            rank = {feature: place for place, feature in enumerate(smallest(unit, strengths, losses))}
        own = natural_amounts(unit.turn, torch.from_numpy(strengths).to(unit.cache.W_dec)).cpu().numpy()
        for f in turned.tolist():
            latent, expression = losses.get(f, (np.nan, np.nan))
            share = squared[f] * (strengths[f] - 1) ** 2 / edit.sum() if edit.sum() > 0 else np.nan
            rows.append(dict(zip(RECIPE_COLUMNS, (
                kind, f, float(own[f]), programs.get(f, ""), float(firing[f]), float(share), latent, expression,
                rank.get(f, -1),
            ), strict=True)))  # fmt: skip
    return rows


def left_out(
    unit: Unit, strengths: Float[np.ndarray, " feature"], turned: np.ndarray, advance: Callable[[int], None]
) -> dict[int, tuple[float, float]]:
    """What leaving each feature out costs of both gains on test cells."""
    whole, found = gains_of(unit, strengths), {}
    for done, f in enumerate(turned.tolist()):
        without = strengths.copy()
        without[f] = 1
        rest = gains_of(unit, without)
        found[f] = (whole[0] - rest[0], whole[1] - rest[1])
        advance(done + 1)
    return found


def smallest(unit: Unit, strengths: Float[np.ndarray, " feature"], losses: dict[int, tuple[float, float]]) -> list[int]:
    """The features that are needed for ``ENOUGH`` of the mean gain, in the order in which they were taken."""
    order = sorted(losses, key=lambda f: -sum(losses[f]))
    wanted, one = ENOUGH * float(np.mean(gains_of(unit, strengths))), np.ones_like(strengths)
    for count, f in enumerate(order):
        one[f] = strengths[f]
        if np.mean(gains_of(unit, one)) >= wanted:
            return order[: count + 1]
    return order


def gains_of(unit: Unit, strengths: Float[np.ndarray, " feature"], part: str = "test") -> tuple[float, float]:
    """Both gains of a recipe on a part's cells."""
    after = predicted(unit, part, torch.from_numpy(strengths).to(unit.cache.W_dec))
    said = unit.judge[part].scores(after)
    return said[GAINS[0]], said[GAINS[1]]


def gene_rows(unit: Unit, front: Front) -> list[dict[str, Any]]:
    """What is left of every counting gene's predicted gap, for each chosen recipe."""
    judge, genes, rows = unit.judge["test"], unit.cache.genes, []
    used = np.flatnonzero(judge.base.weight)
    gap, observed = judge.base.gap[used], judge.base.observed_gap[used]
    for kind in CHOSEN:
        after = front.after["test"][front.places[kind]]
        move = (expressing_mean(after.values) - expressing_mean(judge.before.values))[used]
        for i in np.argsort(-np.abs(observed), kind="stable"):
            direction, fraction = "up" if observed[i] > 0 else "down", move[i] / gap[i] if gap[i] else np.nan
            rows.append(dict(zip(GENE_COLUMNS, (
                kind, str(genes[used[i]]), direction, float(observed[i]), float(gap[i]), float(gap[i] - move[i]),
                float(fraction),
            ), strict=True)))  # fmt: skip
    return rows


def recruited(unit: Unit, settings: ParetoSettings, front: Front, recipes: pd.DataFrame) -> list[Recruited]:
    """How many features either objective takes to reach what both reach, and what a longer search would find."""
    rows, found = front.rows, []
    paths = {kind: rows.loc[rows["weight"] == weight] for kind, weight in (("latent", 0.0), ("expression", 1.0))}
    most = [float(path[f"validation_{kind}_gain"].max()) for kind, path in paths.items()]
    least = min(most)
    search = replace(settings.search, iterations=LONGER * settings.search.iterations)
    greedy = int((recipes["rank"] >= 0).sum()) or None
    for number, (kind, path) in enumerate(paths.items()):
        reach = path.loc[path[f"validation_{kind}_gain"] >= least - 1e-9, "features"]
        longer = follow(unit.problem.at(float(number)), search)[-1].strengths
        gain = gains_of(unit, longer.cpu().numpy(), "validation")[number]
        chosen = int(rows["features"].iloc[front.places[kind]])
        found.append(Recruited(
            kind, plain(least), int(reach.min()) if len(reach) else None, greedy, chosen, plain(gain),
            int((longer != 1).sum()),
        ))  # fmt: skip
    return found


def likeness(unit: Unit, settings: ParetoSettings, front: Front, seed: int) -> list[Likeness]:
    """Recipes beside each other, and beside the way back."""
    squared = unit.problem.squared_edit_norm().cpu().numpy()
    chosen = {kind: front.strengths[front.places[kind]] for kind in CHOSEN}
    back = way_back(unit, settings, seed).cpu().numpy()
    pairs = [
        ("of the inner state and of expression", chosen["latent"], chosen["expression"]),
        ("for both and of the inner state", chosen["both"], chosen["latent"]),
        ("for both and of expression", chosen["both"], chosen["expression"]),
        ("for both, and the way back", chosen["both"], back),
    ]
    return [_alike(words, one - 1, other - 1, squared) for words, one, other in pairs]


def _alike(words: str, one: np.ndarray, other: np.ndarray, squared: np.ndarray) -> Likeness:
    # strengths times the edit that each makes: what edit_cosine does to gradients with the inverse
    cosine = edit_cosine(one * squared, other * squared, squared)
    turned = [one != 0, other != 0]
    return Likeness(words, int((turned[0] & turned[1]).sum()), int((turned[0] | turned[1]).sum()), plain(cosine))


def way_back(unit: Unit, settings: ParetoSettings, seed: int) -> Float[Tensor, " feature"]:
    """The recipe that the same search finds from the target to the source."""
    search, parts = settings.search, unit.parts
    pairs = [Pair(pair.target, pair.source) for pair in (parts.train, parts.validation)]
    ends = [towards(unit.cache, pair, pairs[0], search.n_genes, settings.weighting) for pair in pairs]
    learn = np.sort(np.random.default_rng([seed, 89]).permutation(parts.train.target)[: search.train_cells])
    return search_both(unit.cache, unit.turn, learn, ends[0], pairs[1].source, ends[1], search, seed).strengths


def annotated_share(unit: Unit, front: Front, programs: dict[int, str], seed: int) -> Drawn | None:
    """Share of the small recipe's features that match a program, beside as many features that fire alike; None without
    programs, or where nothing is turned."""
    strengths = torch.from_numpy(front.strengths[front.places["both"]])
    turned = (strengths != 1).nonzero()[:, 0].tolist()
    if not programs or not turned:
        return None
    firing, squared = firing_and_edit_norms(unit.cache, unit.parts.train.source)
    rng, drawn = np.random.default_rng([seed, 97]), []
    for _ in range(DRAWS):
        other = (random_recipe(strengths, firing, squared, rng) != 1).nonzero()[:, 0].tolist()
        if other:
            drawn.append(np.mean([bool(programs.get(f)) for f in other]))
    if not drawn:
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = float(np.mean([bool(programs.get(f)) for f in turned]))
    return Drawn(value, float(np.mean(drawn)), float(low), float(high), len(drawn))
