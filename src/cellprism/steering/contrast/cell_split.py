"""Which cells are learned from, which choose the penalty, and which judge; and the same with permuted labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from jaxtyping import Int

from cellprism.cells.raw import suggestion
from cellprism.cells.split import split_cells
from cellprism.errors import CellsError, ConfigError

NAMES = ("train", "validation", "test")
FEWEST = 2  # cells of a type in a part: one has no variance, none has no mean


@dataclass(frozen=True)
class Pair:
    """Cells of the two types in one part of the split, as row numbers."""

    source: Int[np.ndarray, " some"]
    target: Int[np.ndarray, " other"]

    def permuted(self, rng: np.random.Generator) -> "Pair":
        """The same cells with their labels permuted; both groups keep their sizes."""
        mixed = rng.permutation(np.concatenate([self.source, self.target]))
        return Pair(mixed[: self.source.size], mixed[self.source.size :])


@dataclass(frozen=True)
class CellSplit:
    """The three parts of the split."""

    train: Pair
    validation: Pair
    test: Pair

    def permuted(self, seed: int) -> "CellSplit":
        """Labels permuted within the training and within the validation cells; those that judge keep theirs."""
        rng = np.random.default_rng(seed)
        return CellSplit(self.train.permuted(rng), self.validation.permuted(rng), self.test)

    def sizes(self) -> dict[str, dict[str, int]]:
        """Cells per part and type, as plain JSON."""
        return {
            name: {"source": int(pair.source.size), "target": int(pair.target.size)}
            for name, pair in ((name, getattr(self, name)) for name in NAMES)
        }


def type_rows(adata: AnnData, label: str, wanted: str) -> Int[np.ndarray, " cell"]:
    """Rows of one cell type.

    Raises:
        CellsError: no such column or type; the message names near matches.
    """
    if label not in adata.obs:
        near = suggestion(label, [str(column) for column in adata.obs.columns])
        raise CellsError("the AnnData", [f"obs has no column {label!r} of cell types; {near}"])
    types = adata.obs[label].astype(str)
    rows = np.flatnonzero(types == wanted)
    if rows.size == 0:
        near = suggestion(wanted, sorted(types.unique()))
        raise CellsError("the AnnData", [f"obs[{label!r}] has no cell type {wanted!r}; {near}"])
    return rows


def split_types(
    adata: AnnData,
    source: str,
    target: str,
    label: str,
    split: Mapping[str, Int[np.ndarray, " some"]] | None,
    max_cells: int,
    seed: int,
) -> tuple[Int[np.ndarray, " kept"], CellSplit]:
    """The rows of ``adata`` that take part, and the parts as positions among those rows.

    Args:
        adata: the cells.
        source: type to start from.
        target: type to reach.
        label: column of ``adata.obs``.
        split: row numbers under ``train``, ``validation`` and ``test``; drawn 60/20/20 per type where None.
        max_cells: cells kept per type, the same share of each part.
        seed: decides the split and which cells are kept.

    Raises:
        CellsError: no such label or type, or a part has fewer than two cells of a type.
        ConfigError: source and target are the same, or ``split`` lacks a part or overlaps.
    """
    if source == target:
        raise ConfigError(f"source and target are both {source!r}; name two cell types")
    rows = {"source": type_rows(adata, label, source), "target": type_rows(adata, label, target)}
    split = split_cells(adata, by=label, seed=seed) if split is None else split
    _check_split(split)
    rng = np.random.default_rng(seed)
    chosen: dict[str, dict[str, np.ndarray]] = {name: {} for name in NAMES}
    for side, members in rows.items():
        share = min(1.0, max_cells / members.size)
        for name in NAMES:
            here = np.intersect1d(members, split[name])
            count = max(min(FEWEST, here.size), int(here.size * share))
            chosen[name][side] = np.sort(rng.permutation(here)[:count])
    small = [
        f"{len(chosen[name][side])} cells of {kind!r} in the {name} part; at least {FEWEST} are needed"
        for name in NAMES
        for side, kind in (("source", source), ("target", target))
        if len(chosen[name][side]) < FEWEST
    ]
    if small:
        raise CellsError("the AnnData", [*small, "merge rare types or use more cells"])
    kept = np.sort(np.concatenate([rows for sides in chosen.values() for rows in sides.values()]))
    pairs = (Pair(*(np.searchsorted(kept, chosen[name][side]) for side in ("source", "target"))) for name in NAMES)
    return kept, CellSplit(*pairs)


def _check_split(split: Mapping[str, Sequence[int] | Int[np.ndarray, " some"]]) -> None:
    missing = [name for name in NAMES if name not in split]
    if missing:
        raise ConfigError(f"the split has {sorted(split)}; expected {list(NAMES)}, each with row numbers")
    together = np.concatenate([np.asarray(split[name]) for name in NAMES])
    shared = together.size - np.unique(together).size
    if shared:
        raise ConfigError(
            f"{shared} cells stand in more than one part of the split; a cell that scores must not be learned from"
        )
