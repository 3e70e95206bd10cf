"""Files of a manifest as one set of cells: every cell, and the genes that all files measure.

- A gene that one file lacks was not looked for there, which is not a count of zero: it is left out of all, and each
  cell's total over the genes of its own file stays with it.
- Genes are the same by Ensembl id; where one file has none, by symbol.
- What the manifest says of a file becomes columns of all its cells.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int

from cellprism.cells.align import DataGenes, data_genes
from cellprism.cells.expression import cell_blocks
from cellprism.cells.genes import bare_ensembl
from cellprism.cells.manifest import FILE, Listed, read_manifest
from cellprism.cells.raw import RawCells
from cellprism.errors import CellsError
from cellprism.store.room import stacked

MANIFEST = ".csv"
HEAD = 1 << 16  # bytes, in which the names of columns stand
LEAST = 0.3  # of the genes of the smallest file, below which files are not of one kind


def is_manifest(path: Path) -> bool:
    """Whether a path is a CSV table with a column ``file``."""
    if path.suffix.lower() != MANIFEST or not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(HEAD).partition(b"\n")[0].decode("utf-8-sig", "replace")
    return FILE in [name.strip().strip("\"'") for name in head.split(",")]


def files_of_manifest(path: Path) -> list[Path]:
    """The files that a manifest lists.

    Raises:
        CellsError: it is no manifest.
    """
    return [one.path for one in read_manifest(path)]


def read_several(path: Path, read: Callable[[Path], RawCells]) -> RawCells:
    """Read the files of a manifest.

    Args:
        path: the manifest.
        read: reads one of its files.

    Raises:
        CellsError: no such files, one of them cannot be read, or they have too few genes in common.
    """
    listed = read_manifest(path)
    if manifests := [str(one.path) for one in listed if is_manifest(one.path)]:
        raise CellsError(str(path), [f"{manifests[0]} is a manifest itself; list the files of cells"])
    return together(str(path), [(one, read(one.path)) for one in listed])


def together(source: str, files: Sequence[tuple[Listed, RawCells]]) -> RawCells:
    """Cells of several files, in their order.

    Raises:
        CellsError: genes repeat within a file, or too few are in all of them.
    """
    places = _shared(source, files)
    held = [raw for _, raw in files]
    first = held[0]
    shared, every = len(places[0]), {int(raw.matrix.get_shape()[1]) for raw in held}
    whole = every == {shared} and all(raw.totals is None for raw in held)
    notes = [f"{one.path.name}: {note}" for one, raw in files for note in raw.notes]
    notes += [f"{len(files)} files with {sum(len(raw.obs) for raw in held):,} cells are read as one"]
    if every != {shared}:
        left = ", ".join(f"{one.path.name} {len(raw.var):,}" for one, raw in files)
        notes += [f"only the {shared:,} genes that all files have are read ({left}); totals are over all of a file's"]
    return RawCells(
        source=source,
        matrix=stacked(_blocks(held, places), shared),
        obs=pd.concat([_rows(one, raw) for one, raw in files]),
        var=first.var.iloc[places[0]],
        where=first.where,
        larger=lambda: next((said for raw in held if (said := raw.larger())), ""),
        typed=all(raw.typed for raw in held),
        totals=None if whole else np.concatenate([_totals(raw) for raw in held]),
        totals_from=_one_of({raw.totals_from for raw in held}),
        embedding=_embeddings(source, files),
        notes=tuple(notes),
    )


def _shared(source: str, files: Sequence[tuple[Listed, RawCells]]) -> list[Int[np.ndarray, " gene"]]:
    """Of each file the columns of the genes that all have, in the first one's order."""
    named = [data_genes(raw.var, raw.typed) for _, raw in files]
    for (one, _), names in zip(files, named, strict=True):
        if again := [key for key, n in Counter(names.key).items() if n > 1 and bare_ensembl(key)]:
            many = f"{len(again):,} ids of {one.path.name} occur more than once, such as {again[0]!r}"
            raise CellsError(source, [f"{many}: keep one row of each, or add the rows up, before files are joined"])
    found = [_columns(named[0], names) for names in named]
    shared = [gene for gene in found[0] if all(gene in columns for columns in found)]
    if len(shared) < LEAST * min(len(names.key) for names in named):
        seen = "; ".join(
            f"{one.path.name} has {', '.join(n.key[:2])}" for (one, _), n in zip(files, named, strict=True)
        )
        few = f"only {len(shared):,} genes are in all files ({seen}, ...)"
        raise CellsError(source, [f"{few}: files of one kind name genes alike, by Ensembl id or by symbol"])
    return [np.array([columns[gene] for gene in shared], dtype=np.int64) for columns in found]


def _columns(first: DataGenes, names: DataGenes) -> dict[int, int]:
    """Place of each gene of the first file in another; genes that a name does not tell apart are in neither."""
    by_id = {ensembl: gene for gene, ensembl in enumerate(first.ensembl) if ensembl}
    by_name = _told_apart(first)
    found: dict[int, list[int]] = {}
    theirs = {column: name for name, column in _told_apart(names).items()}
    for column, ensembl in enumerate(names.ensembl):
        gene = by_id.get(ensembl)
        if gene is None and column in theirs:
            gene = by_name.get(theirs[column])
            if gene is not None and ensembl and first.ensembl[gene]:
                gene = None  # both have ids, and these differ
        if gene is not None:
            found.setdefault(gene, []).append(column)
    return {gene: columns[0] for gene, columns in found.items() if len(columns) == 1}


def _told_apart(names: DataGenes) -> dict[str, int]:
    """Column of each name, a symbol where there is one, that only one gene has."""
    shown = [pair[-1] for pair in names.names]
    times = Counter(shown)
    return {name: column for column, name in enumerate(shown) if times[name] == 1}


def _blocks(held: Sequence[RawCells], places: Sequence[np.ndarray]) -> Iterator[sp.csr_matrix]:
    kind = np.result_type(*(raw.matrix.dtype for raw in held))
    for raw, columns in zip(held, places, strict=True):
        for rows in cell_blocks(len(raw.obs)):
            yield sp.csr_matrix(raw.matrix[rows][:, columns], dtype=kind)


def _rows(one: Listed, raw: RawCells) -> pd.DataFrame:
    """What is known of the cells of a file; categories become text, since files have their own."""
    plain = {
        str(name): column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
        for name, column in raw.obs.items()
    }
    return pd.DataFrame(plain, index=raw.obs.index).assign(**one.columns)


def _totals(raw: RawCells) -> Float[np.ndarray, " cell"]:
    """Counts of each cell over all genes of its file."""
    if raw.totals is not None:
        return raw.totals
    sums = [raw.matrix[rows].sum(axis=1, dtype=np.float64) for rows in cell_blocks(len(raw.obs))]
    return np.concatenate([np.asarray(part).ravel() for part in sums])


def _embeddings(source: str, files: Sequence[tuple[Listed, RawCells]]) -> Float[np.ndarray, "cell d_model"] | None:
    held = [raw.embedding for _, raw in files]
    known = [values for values in held if values is not None]
    if not known:
        return None
    if len({values.shape[1] for values in known}) > 1:
        widths = ", ".join(f"{one.path.name} {values.shape[1]}" for (one, _), values in zip(files, known, strict=True))
        raise CellsError(
            source, [f"the embedding differs in its number of dimensions ({widths}): use that of one model"]
        )
    return np.concatenate(known)


def _one_of(names: set[str]) -> str:
    """What all say, empty where they differ."""
    return names.pop() if len(names) == 1 else ""
