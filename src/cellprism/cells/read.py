"""Cells at the door: read, checked, aligned to a model's genes; everything that is wrong is said at once.

- Only counts, cells and what is known of them go on, and the embedding that a model reads; graphs and other layers
  stay behind.
- ``obs["total_counts"]`` is over the whole matrix as read, before genes are dropped: a cell's depth is a
  property of the cell, not of a gene list.
- Repeated cell names are made unique, and said; repeated gene names are an error unless Ensembl ids tell
  them apart.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from anndata.utils import make_index_unique
from jaxtyping import Float

from cellprism.cells.align import DataGenes, GeneMapping, align, data_genes, mapping_record, match_genes
from cellprism.cells.contradictions import contradictions, drop_notes
from cellprism.cells.expression import cell_blocks
from cellprism.cells.genes import GeneTable, HasGenes, ReadsEmbedding, bare_ensembl
from cellprism.cells.labels import (
    CELL_TYPE,
    UNLABELLED,
    alike,
    cell_types,
    label_column,
    label_problems,
    possible_columns,
)
from cellprism.cells.only import restricted
from cellprism.cells.overlap import overlap_problems, species_of, umi_problems
from cellprism.cells.raw import RawCells
from cellprism.cells.report import CellsReport, cells_report
from cellprism.cells.source import read_source
from cellprism.cells.totals import TOTAL, declared_totals, totals_hint
from cellprism.cells.values import pieces, rounded, value_problems
from cellprism.errors import CellsError, ConfigError, ModelError
from cellprism.store.room import stacked

FEW_COUNTS, MANY_COUNTS = 10, 500
"""A cell with fewer counts is none, where others have that many."""
NO_NAME = ("", "nan", "None", "NA", "<NA>")
UNTOLD = (
    "no Ensembl id tells them apart; add ids as var['gene_ids'], or, if all are genes and their counts may be added "
    "up: adata.var_names_make_unique(); adata.var['feature_types'] = 'Gene Expression'"
)


@dataclass(frozen=True)
class Wanted:
    """What is asked of the cells; the arguments of ``read_cells``."""

    table: GeneTable | None
    labels: str | None
    types: tuple[str, ...]
    totals: str | None
    least_overlap: float
    least_umi: float


def read_cells(
    source: AnnData | str | Path,
    model: HasGenes | None = None,
    *,
    genes: GeneTable | None = None,
    labels: str | None = None,
    types: Sequence[str] = (),
    counts: str | None = None,
    totals: str | None = None,
    only: Mapping[str, Sequence[object]] | None = None,
    least_overlap: float = 0.3,
    least_umi: float = 0.1,
) -> AnnData:
    """Read raw counts, check them, and align them to a model's genes.

    Genes match by Ensembl id, then symbol, then alias; genes of the data that hit the same gene of the model
    are summed.

    Args:
        source: an .h5ad, .h5mu or 10x .h5 file, a .zarr or 10x matrix folder, a .csv manifest of several (a column
            ``file``, and others that become columns of ``obs``), the name of a data set
            (``bundled:pbmc68k``, ``pbmc3k``, ``planted:small`` for cells with known answers), or an AnnData, which is
            left as it is.
        model: the model that will read the cells; its ``gene_table`` is used. One that reads an embedding gets it,
            and may come without a gene table: then all genes are kept.
        genes: a gene table instead of a model's. With neither, all genes are kept under their own names.
        labels: column of ``obs`` with cell types; default: the one known for the data set, else
            ``cell_type``.
        types: cell types that must be there, for example those to steer between.
        counts: which matrix of an AnnData holds raw counts: ``"X"`` (the default), ``"layers/NAME"`` or ``"raw"``.
        totals: column of ``obs`` with each cell's count over all genes, where the matrix holds only some
            genes; all that divides by a cell's total then divides by it.
        only: read only cells that have one of some values in columns of ``obs``, such as
            ``{"donor": ["1", "2"], "cell_type": ["B cells"]}``; ``cell_type`` means the column with cell types.
        least_overlap: genes in common as a share of the smaller list, below which reading fails.
        least_umi: share of counts in common genes, below which reading fails.

    Returns:
        AnnData. ``X``: counts [cell, gene] as CSR float32; columns are named by the model's symbols, in the
        model's order, and only genes that were measured. ``var``: ``ensembl``, ``names_in_data``. ``obs``:
        as read, with ``total_counts`` (over all genes read, or declared) and, where labels are given or
        known, ``cell_type`` (missing: ``unlabelled``). ``uns["cellprism"]``: source, sha256, notes and, with
        a model, what was matched, summed, dropped and absent. ``obsm``: the
        embedding that the model reads, if it does.

    Raises:
        CellsError: the cells cannot be used; ``problems`` lists everything that is wrong, each with its fix.
        DamagedError: a fetched or bundled data set is not the published one.
        ModelError: the model came without a gene list.
        ConfigError: an argument is of another kind, or out of range.

    >>> import cellprism as cp
    >>> cells = cp.read_cells("bundled:pbmc68k", model=cp.load_model("pbmc2"))
    >>> cells.shape, cells.obs["cell_type"].nunique()
    ((700, 765), 10)
    """
    _check_arguments(labels, types, least_overlap, least_umi)
    embedding = model.key if isinstance(model, ReadsEmbedding) else None
    if model is not None and genes is None:
        genes = model.gene_table
        if genes is None and embedding is None:
            raise ModelError("the model came without a gene list; load it with genes=FILE to read cells")
    wanted = Wanted(genes, labels, tuple(types), totals, least_overlap, least_umi)
    raw = read_source(source, counts, embedding)
    raw, problems = restricted(raw, only or {}, label_column(raw.obs, raw.labels, labels))
    cells = _usable(raw, wanted, problems)
    if embedding is not None:
        cells.obsm[embedding] = raw.embedding
    return cells


def _check_arguments(labels: object, types: object, least_overlap: float, least_umi: float) -> None:
    """Refuse arguments of another kind than they should be."""
    if labels is not None and not isinstance(labels, str):
        raise ConfigError(f"labels is {labels!r:.60}: expected the name of one column of obs")
    if isinstance(types, str):
        raise ConfigError(f"types is the text {types!r:.60}: expected a list of cell types, such as [{types!r:.60}]")
    for name, least in (("least_overlap", least_overlap), ("least_umi", least_umi)):
        if not 0 <= least <= 1:
            raise ConfigError(f"{name} is {least}: expected a share from 0 to 1")


def check_cells(source: AnnData | str | Path, model: HasGenes | None = None, **options: Any) -> CellsReport:
    """Read cells as ``read_cells`` does, with its arguments, and return only the report, to be printed.

    It ends in a verdict: the cells fit, or fit with losses, which it names; where they do not fit, that is the error.

    Raises:
        CellsError, DamagedError, ModelError: as ``read_cells``.
    """
    try:
        return cells_report(read_cells(source, model, **options))
    except CellsError as error:
        raise CellsError(error.source, [*error.problems, "verdict: does not fit"]) from error


def _usable(raw: RawCells, wanted: Wanted, problems: list[str]) -> AnnData:
    names = data_genes(raw.var, raw.typed)
    column = label_column(raw.obs, raw.labels, wanted.labels)
    values = value_problems(raw.matrix, raw.obs.index, raw.where, raw.offers)
    countable = not values
    sums = _sums(raw.matrix, 1) if countable else np.zeros(len(raw.obs))
    umi = _sums(raw.matrix, 0) if countable else np.zeros(len(raw.var))
    problems = [*problems, *values, *repeated_genes(names)]
    problems += label_problems(raw.obs, column, wanted.types)
    declared, wrong = declared_totals(raw, wanted.totals, sums)
    problems += wrong
    if countable and wanted.totals is None and (fewer := raw.larger()):
        problems.append(fewer)
    mapping, record = None, {}
    if wanted.table is not None:
        mapping = match_genes(names, wanted.table)
        record = {"mapping": mapping_record(mapping, names, wanted.table, umi)}
        few = overlap_problems(mapping, names, wanted.table, raw.obs.index, wanted.least_overlap)
        little = umi_problems(record["mapping"]["umi_share_kept"], wanted.least_umi) if countable else []
        problems += few or little
        problems += contradictions(mapping, names, wanted.table, umi)
        if countable and not few and not little:
            problems += _lost_cells(raw, mapping)
    if problems:
        raise CellsError(raw.source, problems)
    x, var = _columns(raw, names, mapping, wanted.table)
    obs = cell_rows(raw.obs, column, sums if declared is None else declared)
    notes = [
        *raw.notes,
        *_notes(raw, names, column, wanted.table, x),
        *(drop_notes(mapping, names, umi) if mapping is not None else []),
        *([] if declared is not None else totals_hint(raw, sums)),
    ]
    about = {
        "source": raw.source, "sha256": raw.sha256, "counts_from": raw.where, "n_read": len(raw.var),
        "umi": float(sums.sum()), "median_umi": float(np.median(obs[TOTAL])), "label_column": column or "",
        "totals": wanted.totals or raw.totals_from,
        "notes": np.array(notes, dtype=str),
    }  # fmt: skip
    return AnnData(x, obs=obs, var=var, uns={"cellprism": about | record})


def _sums(matrix: sp.csr_matrix, axis: int) -> Float[np.ndarray, " sums"]:
    sums = (matrix[rows].sum(axis=axis, dtype=np.float64) for rows in cell_blocks(matrix.get_shape()[0]))
    parts = [np.asarray(part).ravel() for part in sums]
    return np.rint(np.concatenate(parts) if axis else np.sum(parts, axis=0))


def _lost_cells(raw: RawCells, mapping: GeneMapping) -> list[str]:
    """A sentence if cells have counts, but none in the genes of the model."""
    known = (mapping.place >= 0).astype(np.float64)
    empty = np.flatnonzero(
        np.concatenate([raw.matrix[rows] @ known for rows in cell_blocks(raw.matrix.get_shape()[0])]) == 0
    )
    if not empty.size:
        return []
    return [
        f"{empty.size:,} of {len(raw.obs):,} cells have no counts in the model's genes, such as "
        f"{str(raw.obs.index[empty[0]])!r}: empty barcodes, or cells of another kind; take the filtered matrix in "
        "place of the raw one, or drop these cells"
    ]


def repeated_genes(names: DataGenes) -> list[str]:
    """Sentences if genes of the data cannot be told apart."""
    problems = []
    repeated = {key: n for key, n in Counter(names.key).items() if n > 1}
    ids = [key for key in repeated if bare_ensembl(key)]
    symbols = [key for key in repeated if not bare_ensembl(key)]
    for keys, what, fix in (
        (ids, "Ensembl ids", "keep one row of each, or add the rows up"),
        (symbols, "gene names", UNTOLD),
    ):
        if keys:
            shown = ", ".join(f"{key!r} ({repeated[key]} times)" for key in keys[:3])
            problems.append(f"{len(keys):,} {what} occur more than once, such as {shown}: {fix}")
    return problems


def _columns(
    raw: RawCells, names: DataGenes, mapping: GeneMapping | None, table: GeneTable | None
) -> tuple[sp.csr_matrix, pd.DataFrame]:
    """Counts and what is known of their genes; with a table, the model's genes."""
    stored = raw.matrix
    blocks = (rounded(stored[rows]) for rows in cell_blocks(len(raw.obs)))
    aligned = (_tidied(block) if mapping is None else align(block, mapping) for block in blocks)
    width = len(raw.var) if mapping is None else mapping.kept.size
    return stacked(aligned, width), gene_rows(raw.var, names, mapping, table)


def _tidied(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Each gene once, zeros left out."""
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def gene_rows(
    var: pd.DataFrame, names: DataGenes, mapping: GeneMapping | None, table: GeneTable | None
) -> pd.DataFrame:
    """What is known of the genes that are kept: with a table those of the model that were measured, else all."""
    if mapping is None or table is None:
        named = var.set_axis(make_index_unique(pd.Index(names.shown, dtype=str)))
        ids = pd.Series(names.ensembl, dtype=str)
        return named.assign(ensembl=ids.mask(ids.duplicated(), "").to_numpy())
    theirs: dict[int, list[str]] = {}
    for place, name in zip(mapping.place.tolist(), names.shown, strict=True):
        theirs.setdefault(place, []).append(name)
    kept = mapping.kept.tolist()
    return pd.DataFrame(
        {"ensembl": [table.ensembl[i] for i in kept], "names_in_data": ["|".join(theirs[i]) for i in kept]},
        index=pd.Index([table.symbol[i] for i in kept], dtype=str),
    )


def cell_rows(obs: pd.DataFrame, column: str | None, totals: Float[np.ndarray, " cell"]) -> pd.DataFrame:
    """What is known of the cells, with their totals, and their types where a column holds them."""
    rows = obs.set_axis(make_index_unique(obs.index.astype(str)))
    rows[TOTAL] = totals
    if column is not None:
        rows[CELL_TYPE] = cell_types(obs, column).to_numpy()
        rows[CELL_TYPE] = rows[CELL_TYPE].astype("category")
    return rows


def _shallow(x: sp.csr_matrix) -> int:
    sums = _sums(x, 1)
    return int((sums < FEW_COUNTS).sum()) if sums.max(initial=0) >= MANY_COUNTS else 0


def _notes(raw: RawCells, names: DataGenes, column: str | None, table: GeneTable | None, x: sp.csr_matrix) -> list[str]:
    notes = []
    repeated = raw.obs.index[raw.obs.index.duplicated()]
    if len(repeated):
        notes.append(
            f"{len(repeated):,} cell names repeat an earlier one, such as {repeated[0]!r}; "
            "they were made unique by adding -1, -2, ..."
        )
    if (off := max((float(np.abs(some - np.rint(some)).max()) for some in pieces(raw.matrix.data)), default=0.0)) > 0:
        notes.append(f"values were up to {off:.2g} from whole numbers and were rounded")
    if shallow := _shallow(x):
        notes.append(f"{shallow:,} cells have fewer than {FEW_COUNTS} counts and are hardly cells: empty barcodes?")
    if column is None:
        likely = ", ".join(map(repr, possible_columns(raw.obs))) or "none"
        how = "name their column with labels = COLUMN (on the command line: --labels COLUMN)"
        notes.append(f"no cell types: {how}; columns of obs that could hold them: {likely}")
    elif missing := int((cell_types(raw.obs, column) == UNLABELLED).sum()):
        notes.append(f"{missing:,} cells have no type in obs[{column!r}] and are called {UNLABELLED!r}")
    if column is not None and all(str(t).isdecimal() for t in cell_types(raw.obs, column).unique() if t != UNLABELLED):
        notes.append(
            f"the types in obs[{column!r}] are numbers: clusters, or codes of categories that lost their names"
        )
    if column is not None and (same := alike(cell_types(raw.obs, column))):
        notes.append(f"types in obs[{column!r}] that differ by capitals or blanks alone: {'; '.join(same[:5])}")
    if unnamed := sum(name.strip() in NO_NAME for name in names.shown):
        notes.append(f"{unnamed:,} rows have no name, so that nobody can tell which genes they are")
    if column not in (None, CELL_TYPE) and CELL_TYPE in raw.obs:
        notes.append(f"obs[{CELL_TYPE!r}] as read was replaced by obs[{column!r}]")
    species = species_of([e for e in names.ensembl if e] or names.shown)
    if table is None and species not in ("", "human"):
        notes.append(f"the genes look like {species}; the bundled and published models are of human cells")
    return notes
