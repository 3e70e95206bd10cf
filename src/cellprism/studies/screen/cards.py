"""A row of numbers for every feature: what it causes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from cellprism.equations.effects import antisymmetry
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.plausible import RealCells, plausible_range
from cellprism.steering.screen.scalars import Scalar
from cellprism.studies.programs.tables import Programs, lists_of
from cellprism.studies.screen.own_genes import FAR, Dictionary, beside_controls
from cellprism.studies.screen.settings import ScreenSettings
from cellprism.studies.screen.summary import AGREES_AT, Passed, apart, quadrants, rank_correlation
from cellprism.studies.workbench import Workbench


def card_table(
    bench: Workbench, settings: ScreenSettings, dose_cells: DoseCells, live: Sequence[int],
    matrix: Float[np.ndarray, "feature gene"], scalars: Sequence[Scalar],
    scores: dict[str, Float[np.ndarray, "scalar feature"]], passed: Passed, ours: Dictionary,
    others: Sequence[Dictionary],
) -> pd.DataFrame:  # fmt: skip
    """Columns as ``tables.CARD_COLUMNS`` says, a row for each feature that was screened."""
    programs: Programs = bench.results("programs")
    known = programs.features.set_index("feature").loc[list(live)]
    change = FAR * matrix
    own = _own_share(programs, dose_cells, live, change)
    table = pd.DataFrame({
        "feature": np.array(live), "program": known["best_term"].astype(str).to_numpy(),
        "sign": known["sign"].astype(str).to_numpy(), "described": ours.described,
        "firing_rate": dose_cells.firing[list(live)], "cells": [len(dose_cells.rows(f)) for f in live],
        "edit_size": [dose_cells.edit_size(f) for f in live],
        "edit_ratio": [dose_cells.edit_ratio(f, 1 + FAR) for f in live], "genes_own": own["genes"],
        "effect": ours.effect, "reach": (np.abs(change) >= settings.reach_from).sum(axis=1),
        "specificity": own["share"], "specificity_expected": own["expected"], "response": ours.response,
    })  # fmt: skip
    table = pd.concat([table, beside_controls(ours, others, settings.controls)], axis=1)
    table = pd.concat([table, _exactly(dose_cells, change, passed, len(live))], axis=1)
    table = pd.concat([table, _ranges(settings, dose_cells, live, passed)], axis=1)
    table = table.assign(quadrant=quadrants(ours.described, ours.effect), apart=apart(ours.described, ours.effect))
    columns = {
        f"{kind}: {s.name}": found[row, list(live)] for kind, found in scores.items() for row, s in enumerate(scalars)
    }
    for strength in AGREES_AT:
        for scalar in scalars:
            values = np.full(len(live), np.nan)
            for place in passed.effects:
                values[place] = passed.at(place, strength) @ scalar.weights
            columns[f"exact {strength:g}: {scalar.name}"] = values
    return table.assign(**columns)


def _own_share(
    programs: Programs, dose_cells: DoseCells, live: Sequence[int], change: Float[np.ndarray, "feature gene"]
) -> pd.DataFrame:
    """Of each feature: its own genes of which the model speaks, their share of its summed absolute changes, and what as
    many genes would have if all changed alike."""
    lists, genes, rows = lists_of(programs), dose_cells.cache.genes, []
    for row, feature in enumerate(live):
        place = genes.get_indexer(pd.Index(list(lists.get(str(feature), ())), dtype=object))
        own, size = np.unique(place[place >= 0]), np.abs(change[row])
        share = size[own].sum() / size.sum() if own.size and size.sum() > 0 else np.nan
        rows.append((own.size, share, own.size / len(genes) if own.size else np.nan))
    return pd.DataFrame(rows, columns=pd.Index(["genes", "share", "expected"]))


def _exactly(dose_cells: DoseCells, change: Float[np.ndarray, "feature gene"], passed: Passed, n: int) -> pd.DataFrame:
    """What exact passes say of the features that were passed: why they were, mirror symmetry, and how straight."""
    said, mirror, linear = [""] * n, np.full(n, np.nan), np.full(n, np.nan)
    for name, places in (("random", passed.random), ("top", passed.top)):
        for place in places.tolist():
            said[place] = name
            mirror[place] = antisymmetry(passed.at(place, 2.0), passed.at(place, 0.0), dose_cells.level)
            r = rank_correlation(change[place], passed.at(place, 5.0))
            linear[place] = np.nan if r is None else r
    return pd.DataFrame({"passed": said, "mirror": mirror, "linear_genes": linear})


def _ranges(settings: ScreenSettings, dose_cells: DoseCells, live: Sequence[int], passed: Passed) -> pd.DataFrame:
    """Plausible strengths of the features that were passed exactly, and how strength 5 strains the cells."""
    names = ["plausible_low", "plausible_high", "percentile_at_5", "misfit_at_5"]
    found, real = np.full((len(live), len(names)), np.nan), RealCells(dose_cells)
    tried = sorted({*settings.range, 1 + FAR} - {1.0})
    for place in passed.effects:
        strains = real.strain(live[place], tried)
        five = next(strain for strain in strains if strain.strength == 1 + FAR)
        found[place] = (*plausible_range(strains), five.percentile, five.misfit)
    return pd.DataFrame(found, columns=pd.Index(names))
