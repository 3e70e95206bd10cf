"""Some of the cells, as many of each type as there are."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def balanced(labels: Sequence[str], count: int, rng: np.random.Generator) -> Int[np.ndarray, " some"]:
    """Rows of at most ``count`` cells, as many of each label as the rarest allow, in ascending order."""
    kinds, place = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    waiting = [list(rng.permutation(np.flatnonzero(place == kind))) for kind in range(len(kinds))]
    chosen: list[int] = []
    while len(chosen) < count and any(waiting):
        for rows in rng.permutation([i for i, rows in enumerate(waiting) if rows])[: count - len(chosen)]:
            chosen.append(int(waiting[rows].pop()))
    return np.sort(np.array(chosen, dtype=np.int64))
