"""The table of cosines: every way to read the embedding against every weighting of genes, with the common mode left in
and taken out, where nothing is turned; and the published pair along the paths."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from cellprism.steering.contrast.recipe_search import aim_of, measure
from cellprism.steering.pareto.cosines import LEFT_IN, TAKEN_OUT, Gradients, Slopes, gradients
from cellprism.steering.pareto.points import weighted
from cellprism.steering.pareto.pooled import ALL, FINAL, Pooled, ways_of
from cellprism.steering.settings import WEIGHTINGS
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.pareto.tables import COSINE_COLUMNS
from cellprism.studies.pareto.unit import Front, Unit

EVERY = "all genes alike"
PATHS = (0.0, 0.5, 1.0)
"""Weights along whose paths cosines are taken."""


def slopes_of(unit: Unit, settings: ParetoSettings, ways: list[Pooled], weightings: tuple[str, ...]) -> Slopes:
    """What is read, with the gaps between the training cells of the two types."""
    train, n_genes = unit.parts.train, settings.search.n_genes
    base = measure(unit.cache, train, train, n_genes)
    bases = {name: weighted(unit.cache, base, train, n_genes, name) for name in weightings if name != EVERY}
    if EVERY in weightings:
        bases[EVERY] = replace(base, weight=np.isfinite(base.gap).astype(float))
    aims = {
        name: aim_of(unit.cache, "expression", one, np.random.default_rng(0))
        for name, one in bases.items() if one.weight.any()
    }  # fmt: skip
    return Slopes.of(unit.cache, train, ways, np.flatnonzero(base.weight), aims)


def neutral_rows(unit: Unit, settings: ParetoSettings, seed: int, tick: Callable[[int], None]) -> list[dict[str, Any]]:
    """Every pair where nothing is turned."""
    slopes = slopes_of(unit, settings, ways_of(unit.cache), (*WEIGHTINGS, EVERY))
    still = unit.cache.W_dec.new_ones(unit.cache.n_features)
    found = gradients(unit.cache, unit.problem.latent.cells, slopes, unit.turn, still, tick)
    where = {"unit": unit.name, "at": "neutral", "weight": np.nan, "lambda": np.nan}
    return [where | row for row in _pairs(found, slopes, settings, seed)]


def path_rows(
    unit: Unit, settings: ParetoSettings, front: Front, seed: int, advance: Callable[[int], None]
) -> list[dict[str, Any]]:
    """The published pair at every recipe of the paths of ``PATHS``."""
    slopes = slopes_of(unit, settings, [Pooled(FINAL, ALL)], (settings.weighting,))
    weights = front.rows["weight"].to_numpy()
    wanted = [weights[np.abs(weights - weight).argmin()] for weight in PATHS]
    rows = []
    for place in np.flatnonzero(np.isin(weights, wanted) & (front.rows["features"].to_numpy() > 0)):
        strengths = torch.from_numpy(front.strengths[place]).to(unit.cache.W_dec)
        found = gradients(unit.cache, unit.problem.latent.cells, slopes, unit.turn, strengths)
        row = front.rows.iloc[place]
        where = {"unit": unit.name, "at": "path", "weight": row["weight"], "lambda": row["lambda"]}
        rows += [where | pair for pair in _pairs(found, slopes, settings, seed)]
        advance(len(rows))
    return rows


def _pairs(found: Gradients, slopes: Slopes, settings: ParetoSettings, seed: int) -> list[dict[str, Any]]:
    rows = []
    for i, way in enumerate(slopes.ways):
        for j, weighting in enumerate(slopes.expression):
            for common in (LEFT_IN, TAKEN_OUT):
                value, low, high = found.cosine(i, len(slopes.ways) + j, common, settings.search.resamples, seed)
                rows.append({
                    "place": way.place, "pooling": way.pooling, "weighting": weighting, "common": common,
                    "cosine": value, "low": low, "high": high,
                })  # fmt: skip
    return rows


def cosine_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """All rows, in the order of ``tables.COSINE_COLUMNS``."""
    return pd.DataFrame(rows, columns=pd.Index(list(COSINE_COLUMNS)))
