"""Do some cells lie together? Their neighbours in a graph, and among whom chance would put them."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped


def neighbours_within(member: sp.csr_matrix, graph: sp.csr_matrix) -> Float[np.ndarray, " group"]:
    """Share of the neighbours of a group's cells that are in the group too.

    Formula: s_f = sum_cd h_fc K_cd h_fd / sum_cd h_fc K_cd; 0 for a group without cells.

    Args:
        member: h, 1 where a cell is in a group [group cell].
        graph: K, 1 where the second cell is a neighbour of the first [cell cell].
    """
    reached: Any = member @ graph
    inside = np.asarray(reached.multiply(member).sum(axis=1), dtype=np.float64).ravel()
    every = np.asarray(reached.sum(axis=1), dtype=np.float64).ravel()
    return np.divide(inside, every, out=np.zeros_like(inside), where=every > 0)


def permuted_within(kinds: Shaped[np.ndarray, " thing"], rng: np.random.Generator) -> Int[np.ndarray, " thing"]:
    """A permutation that moves each cell, or gene, to the place of one of its own kind."""
    order = np.argsort(kinds, kind="stable")
    drawn = np.lexsort((rng.random(len(kinds)), kinds))
    moved = np.empty(len(kinds), dtype=np.int64)
    moved[order] = drawn
    return moved
