"""Cells along ten programs of twenty-four genes each, and directions that follow them or nothing."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.studies.adds.halves import Halves, halves_of
from cellprism.studies.adds.measures import Measured, Yardstick, protein_levels
from cellprism.studies.adds.reading import Reading

CELLS, PROGRAMS, LENGTH, FEATURES = 240, 10, 24, 17
EFFECT = 0.4  # of a program on the log of its genes: modest, else whatever varies finds it by correlation
NAMES = [f"G{i}" for i in range(PROGRAMS * LENGTH)]
COLLECTION = {f"program {p}": tuple(NAMES[LENGTH * p : LENGTH * (p + 1)]) for p in range(PROGRAMS)}
PROTEINS = [f"protein {p}" for p in range(PROGRAMS)]
OF = np.repeat(np.arange(PROGRAMS), LENGTH)  # program of each gene


def world(seed: int = 0, effect: float = EFFECT) -> tuple[AnnData, np.ndarray]:
    """Cells, each of the type of its strongest program and with a protein for each, and the programs' activities."""
    rng = np.random.default_rng([seed, 1])
    activity = rng.normal(size=(CELLS, PROGRAMS))
    mean = np.exp(effect * activity[:, OF] + rng.normal(0, 0.7, size=len(NAMES)))
    cells = AnnData(sp.csr_matrix(rng.poisson(2 * mean).astype(np.float32)))
    cells.obs_names, cells.var_names = [f"cell{i}" for i in range(CELLS)], NAMES
    cells.obs["cell_type"] = [f"type {p}" for p in activity.argmax(axis=1)]
    cells.obs[PROTEINS] = activity + rng.normal(size=activity.shape)
    return cells, activity


def halves(cells: AnnData, seed: int = 0) -> Halves:
    return halves_of(cells, np.ones(cells.n_obs, dtype=int), cells.n_obs, seed)


def yardstick(some: Halves) -> Yardstick:
    return Yardstick(some, tuple(NAMES), COLLECTION, 3, 0.05, proteins=protein_levels(some, PROTEINS))


def directions(
    rng: np.random.Generator, activity: np.ndarray, planted: float, features: int = FEATURES, genes: bool = True
) -> Reading:
    """A share of the directions follows a program, in cells and at genes; the others follow nothing."""
    follows = np.where(rng.random(features) < planted, np.arange(features) % PROGRAMS, -1)
    on = follows >= 0
    cells, strong = rng.gamma(1.0, size=(CELLS, features)), rng.gamma(1.0, size=(features, len(NAMES)))
    cells[:, on] += 4 * np.maximum(activity[:, follows[on]], 0)
    strong += 6.0 * (on[:, None] & (OF[None] == follows[:, None]))
    table = AnnData(strong, obs=pd.DataFrame({"firing_rate": 0.1}, index=[str(i) for i in range(features)]))
    table.var_names = NAMES
    return Reading(table if genes else None, sp.csc_matrix(cells))


def measured(seed: int, planted: float, features: int = FEATURES) -> dict[str, Measured]:
    """What directions of a seed have in every column, in one world for all."""
    cells, activity = world()
    return yardstick(halves(cells)).measure(directions(np.random.default_rng([seed, 2]), activity, planted, features))
