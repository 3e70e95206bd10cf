"""What features do to genes exactly, beside which derivatives are judged."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.screen.parts import gene_shares


def exact_effects(
    dose_cells: DoseCells,
    feature: int,
    strengths: Sequence[float],
    tick: Callable[[int], None] = lambda passes: None,
) -> Float[np.ndarray, "strength gene"]:
    """Mean change of every gene with a feature at some strengths, over all cells that express it.

    Args:
        dose_cells: the cells.
        feature: which.
        strengths: at which.
        tick: told of each strength that is done.
    """
    cache = dose_cells.cache
    shares, before = gene_shares(cache), cache.baseline.values
    every, found = np.arange(len(cache.genes)), np.zeros((len(strengths), len(cache.genes)))
    for row, strength in enumerate(strengths):
        for cells, after in cache.values_at(dose_cells.turned(feature, strength), every):
            found[row] += (np.nan_to_num(after - before[cells]) * shares[cells]).sum(axis=0)
        tick(1)
    return found


def to_check(
    scores: Float[np.ndarray, " feature"], share: float, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " top"], Int[np.ndarray, " random"]]:
    """Which of some features are passed exactly: the share of them with the largest scores, and as many of the others,
    drawn at random."""
    count = min(len(scores), max(1, round(share * len(scores))))
    top = np.argsort(-np.abs(scores), kind="stable")[:count]
    others = np.setdiff1d(np.arange(len(scores)), top)
    return top, np.sort(rng.permutation(others)[:count])
