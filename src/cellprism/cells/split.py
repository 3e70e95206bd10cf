"""Cells split into parts that hold every cell type in the same shares."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from jaxtyping import Int

from cellprism.cells.raw import suggestion
from cellprism.errors import CellsError, ConfigError

PARTS = {2: ("train", "test"), 3: ("train", "validation", "test")}


def split_cells(
    adata: AnnData, fractions: Sequence[float] = (0.6, 0.2, 0.2), by: str | None = "cell_type", seed: int = 0
) -> dict[str, Int[np.ndarray, " some"]]:
    """Split cells at random within each value of an ``obs`` column.

    Every part gets each value's cells in the given shares, rounded so that they sum up; a value with at
    least as many cells as there are parts has a cell in each. With fewer, the first parts come first.

    Args:
        adata: the cells.
        fractions: shares of train and test, or of train, validation and test; they sum to 1.
        by: column of ``adata.obs``; None splits without regard to any.
        seed: decides who goes where.

    Returns:
        Row numbers, ascending, under ``train``, ``validation`` (with three shares) and ``test``. Together
        they are all cells.

    Raises:
        CellsError: no such column; the message names near matches.
        ConfigError: not two or three positive shares that sum to 1.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.size not in PARTS or (shares <= 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise ConfigError(
            f"fractions {tuple(fractions)} must be two or three positive numbers that sum to 1, such as (0.6, 0.2, 0.2)"
        )
    if by is not None and by not in adata.obs:
        raise CellsError(
            "the AnnData",
            [f"obs has no column {by!r} to split by; {suggestion(by, list(map(str, adata.obs.columns)))}"],
        )
    rng = np.random.default_rng(seed)
    values = np.zeros(adata.n_obs, dtype=str) if by is None else adata.obs[by].astype(str).to_numpy()
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for value in np.unique(values):
        members = rng.permutation(np.flatnonzero(values == value))
        cuts = np.cumsum(part_sizes(members.size, shares))[:-1]
        for part, chosen in zip(parts, np.split(members, cuts), strict=True):
            part.append(chosen)
    names = PARTS[shares.size]
    return {name: np.sort(np.concatenate(part)) for name, part in zip(names, parts, strict=True)}


def part_sizes(n: int, shares: np.ndarray) -> Int[np.ndarray, " part"]:
    """Whole numbers that sum to n, by largest remainders of ``shares`` of n; none is 0 while n allows it."""
    exact = shares * n
    sizes = np.floor(exact).astype(int)
    sizes[np.argsort(sizes - exact, kind="stable")[: n - sizes.sum()]] += 1
    while n >= sizes.size and (sizes == 0).any():
        sizes[np.argmax(sizes)] -= 1
        sizes[np.argmin(sizes)] += 1
    return sizes
