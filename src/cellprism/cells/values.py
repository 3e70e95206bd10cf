"""Are these numbers raw counts? Everything that is wrong is said at once, with how it was recognised.

- Normalised counts give themselves away: within a cell every value is a whole multiple of the smallest one,
  since most cells have genes seen once. Undoing the logarithm first finds log-normalised values. This also
  holds after genes were taken out, when the sums of the cells no longer tell.
- Whole numbers within 0.001 are rounded (counts that went through float32 arithmetic); whether they are counts is
  asked in ``whole``.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.expression import cell_blocks
from cellprism.cells.raw import no_offers, setting
from cellprism.cells.whole import whole_problem
from cellprism.errors import CellsError

WHOLE = 1e-3
AT_ONCE = 1_024  # cells read from a file
PIECE = 1 << 20  # values looked at together
UNCHANGED = "pass the cells as read_cells gives them, and keep what is made of them in a layer or a copy"
SAMPLE = 256
MOST = 1 << 24
"""Counts up to here are whole numbers in single precision, in which they are kept."""
DROP = "drop them: adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()"
LOGARITHMS = {"natural": np.expm1, "base 2": lambda x: np.exp2(x) - 1}


def pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    """Values some at a time: what is asked of single ones makes nothing of the size of all."""
    for start in range(0, len(values), PIECE):
        yield values[start : start + PIECE]


def rounded(stored: sp.csr_matrix) -> sp.csr_matrix:
    """Counts as float32, in the places of the stored values that are next to them."""
    values = np.rint(stored.data).astype(np.float32)
    return sp.csr_matrix((values, stored.indices, stored.indptr), shape=stored.shape)


def is_whole(values: np.ndarray) -> np.ndarray:
    """Which values are whole numbers, within 0.001."""
    if values.dtype.kind in "biu":
        return np.ones(values.shape, dtype=bool)
    return np.abs(values - np.rint(values)) <= WHOLE


def are_counts(matrix: sp.csr_matrix) -> bool:
    """Whether a matrix [cell, gene] holds raw counts, as far as its values tell; cells without any do not matter."""
    values = matrix.data
    if (
        0 in cast(Any, matrix.shape)
        or values.dtype.kind not in "biuf"
        or not np.isfinite(values).all()
        or not values.any()
    ):
        return False
    return not _not_counts(matrix, values, "", no_offers)


def refuse_changed(adata: AnnData) -> None:
    """Refuse cells of which something was made after they were read: one look at every value.

    Raises:
        CellsError: they hold NaN, infinite or negative values, or are not whole.
    """
    for values in _stored(adata):
        if values.dtype.kind not in "biu" and not np.isfinite(values).all():
            said = "NaN or infinite values"
        elif values.size and values.min() < 0:
            said = f"negative values, such as {values.min():.3g}"
        elif not (whole := is_whole(values)).all():
            said = f"values that are not whole, such as {values[~whole][0]:.4g}"
        else:
            continue
        raise CellsError("the AnnData", [f"X holds {said}, so it is no longer the counts that were read; {UNCHANGED}"])


def _stored(adata: AnnData) -> Iterator[np.ndarray]:
    """The values of X, without zeros where they are not stored; of a file a part at a time."""
    if not adata.isbacked:
        x: Any = adata.X
        if x is not None:
            yield from pieces(x.data if sp.issparse(x) else np.asarray(x).ravel())
        return
    for start in range(0, adata.n_obs, AT_ONCE):
        yield from _stored(adata[start : start + AT_ONCE].to_memory())


def value_problems(
    matrix: sp.csr_matrix, cell_names: pd.Index, where: str, offers: Callable[[], Sequence[str]] = no_offers
) -> list[str]:
    """Everything that keeps a matrix [cell, gene] from being raw counts.

    Args:
        matrix: the values as read.
        cell_names: names of the cells, for the message.
        where: what was read: ``X``, ``layers/NAME`` or ``raw``.
        offers: finds the values of ``counts`` under which raw counts lie; asked only where these are none.
    """
    shape: Any = matrix.shape
    n_cells, n_genes = shape
    if not n_cells or not n_genes:
        return [f"{where} is empty ({n_cells:,} cells x {n_genes:,} genes); expected at least one of each"]
    if matrix.dtype.kind not in "biuf":
        return [f"{where} holds values of type {matrix.dtype}; expected numbers"]
    problems = []
    values = matrix.data
    if not all(np.isfinite(some).all() for some in pieces(values)):
        bad = ~np.isfinite(values)
        nan = int(np.isnan(values).sum())
        for count, name in ((nan, "NaN"), (int(bad.sum()) - nan, "infinite")):
            if count:
                problems.append(f"{count:,} values of {where} are {name}; expected counts: find out what wrote them")
        values = values[~bad]
    problems += _not_counts(matrix, values, where, offers)
    return problems + _empty_cells(matrix, cell_names)


def _not_counts(
    matrix: sp.csr_matrix, values: np.ndarray, where: str, offers: Callable[[], Sequence[str]]
) -> list[str]:
    if huge := sum(int((some > MOST).sum()) for some in pieces(values)):
        return [
            f"{huge:,} values of {where} are above {MOST:,}, the largest {values.max():.3g}; no gene is counted so "
            f"often in a cell, and counts are kept exactly up to there; {_way_out(offers())}"
        ]
    negative = sum(int((some < 0).sum()) for some in pieces(values))
    fractions = sum(int((~is_whole(some)).sum()) for some in pieces(values))
    if not negative and not fractions:
        other = "" if values.size < matrix.data.size else whole_problem(matrix)
        return [f"{where} holds whole numbers that are no counts: {other}; {_way_out(offers())}"] if other else []
    said = f"{negative:,} values of {where} are negative, the least {values.min():.3g}"
    if fractions:
        example = values[~is_whole(values)][0]
        share = f"{fractions / values.size:.0%} of the values of {where} are not whole, such as {example:.4g}"
        scaled = f"{where} looks scaled (z-scores): {said}, and {share}"
        said = scaled if negative else _normalised(matrix, where) or share
    return [f"{said}; expected raw counts: {_way_out(offers())}"]


def _normalised(matrix: sp.csr_matrix, where: str) -> str:
    rows = np.unique(np.linspace(0, len(matrix.indptr) - 2, SAMPLE).astype(int))
    cells = [c[np.isfinite(c) & (c > 0)].astype(np.float64) for c in (matrix[r].data for r in rows)]
    cells = [c for c in cells if c.size]
    largest = max((c.max() for c in cells), default=np.inf)
    if largest < 40:  # exp(40) is no expression value
        for base, undo in LOGARITHMS.items():
            if how := _recognised([undo(c) for c in cells]):
                said = f"{base} logarithm, largest value {largest:.2f}"
                return f"{where} looks log-normalised ({said}): after undoing it {how}"
    if how := _recognised(cells):
        return f"{where} looks normalised to a common depth: {how}"
    return ""


def _recognised(cells: list[np.ndarray]) -> str:
    if not cells:
        return ""
    sums = np.array([c.sum() for c in cells])
    if len(cells) > 2 and sums.std() < 0.005 * sums.mean():
        return f"every cell sums to {sums.mean():,.0f}"
    ratios = np.concatenate([c / c.min() for c in cells])
    ratios = ratios[ratios > 1.001]  # the smallest value itself proves nothing
    multiple = np.abs(ratios - np.rint(ratios)) < 0.05 + 0.001 * ratios
    near = ratios < 20  # far out, every number is near a whole one
    if near.sum() >= 10 and multiple[near].mean() > 0.9:
        return f"{multiple[near].mean():.0%} of the values are whole multiples of the smallest one in their cell"
    return ""


def _way_out(offers: Sequence[str]) -> str:
    if not offers:
        return "neither X nor a layer nor raw of this object holds them, so go back to the file that does"
    first, *rest = offers
    others = f"; {' and '.join(map(repr, rest))} would do too" if rest else ""
    return f"raw counts lie in {first}: set {setting('counts', first)}{others}"


def _empty_cells(matrix: sp.csr_matrix, cell_names: pd.Index) -> list[str]:
    parts = ((matrix[rows] != 0).sum(axis=1) for rows in cell_blocks(matrix.get_shape()[0]))
    empty = np.flatnonzero(np.concatenate([np.asarray(part).ravel() for part in parts]) == 0)
    if not empty.size:
        return []
    return [
        f"{empty.size:,} of {len(cell_names):,} cells have no counts at all, such as "
        f"{str(cell_names[empty[0]])!r}; {DROP}"
    ]
