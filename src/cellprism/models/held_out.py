"""Cells that a model in training never sees, drawn by a seed."""

import numpy as np


def held_out_cells(n_cells: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of training and of held-out cells, both sorted; the same for the same arguments."""
    order = np.random.default_rng([seed, 0x5E1]).permutation(n_cells)
    n_held = max(1, round(share * n_cells))
    return np.sort(order[n_held:]), np.sort(order[:n_held])
