"""The cells of the study in two halves: what is chosen on the first is judged on the second."""

from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from jaxtyping import Bool, Int, Shaped

DONOR = "donor"  # column of obs


@dataclass(frozen=True, eq=False)
class Halves:
    """Some cells of a run."""

    rows: Int[np.ndarray, " cell"]
    """Their rows in the run's cells, ascending."""
    cells: AnnData
    """Their counts."""
    first: Bool[np.ndarray, " cell"]
    """Whether each belongs to the first half."""
    by_donor: bool
    """Whether no donor has cells in both halves."""


def halves_of(cells: AnnData, tokens: Int[np.ndarray, " cell"], count: int, seed: int) -> Halves:
    """At most ``count`` random cells that have tokens, in halves: of donors where ``obs`` tells two or more, else of
    cells."""
    rng = np.random.default_rng([seed, 47])
    rows = np.sort(rng.permutation(np.flatnonzero(tokens))[:count])
    some = cells[rows].copy()
    donors = some.obs[DONOR].astype(str).to_numpy() if DONOR in some.obs else np.array([])
    if len(set(donors)) > 1:
        return Halves(rows, some, _some_donors(donors, rng), True)
    return Halves(rows, some, rng.permutation(len(rows)) < len(rows) // 2, False)


def _some_donors(donors: Shaped[np.ndarray, " cell"], rng: np.random.Generator) -> Bool[np.ndarray, " cell"]:
    """Cells of about half of the donors: the largest first, each to the side that has fewer cells."""
    names, counts = np.unique(donors, return_counts=True)
    order = rng.permutation(len(names))
    sides: tuple[list[str], list[str]] = ([], [])
    held = [0, 0]
    for i in order[np.argsort(-counts[order], kind="stable")]:
        side = int(held[1] < held[0])
        sides[side].append(str(names[i]))
        held[side] += int(counts[i])
    return np.isin(donors, sides[0])
