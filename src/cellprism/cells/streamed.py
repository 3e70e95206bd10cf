"""Cells that stay on disk, through the door: checked and aligned to a model's genes in one pass over their counts.

- What is asked of single values (finite, whole, not negative, not too large) and of single cells (not empty) is asked
  of all of them. What only many cells together tell, such as normalised values, is asked of ``SAMPLE`` cells spread
  over the file: cells that lie side by side may be alike for other reasons, such as a file sorted by depth.
- Memory is that of a block of cells, and of what is known of cells and genes apart from counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float, Int

from cellprism.cells.align import GeneMapping, align, data_genes, mapping_record, match_genes
from cellprism.cells.contradictions import contradictions, drop_notes
from cellprism.cells.genes import GeneTable
from cellprism.cells.overlap import overlap_problems, umi_problems
from cellprism.cells.read import cell_rows, gene_rows, repeated_genes
from cellprism.cells.stored import Rows, StoredCells
from cellprism.cells.totals import TOTAL, declared_totals, totals_hint
from cellprism.cells.values import DROP, MOST, is_whole, rounded, value_problems
from cellprism.errors import CellsError

BLOCK = 4_096  # cells looked at together
SAMPLE = 2_048
LEAST_OVERLAP, LEAST_UMI = 0.3, 0.1
"""As of ``read_cells``."""


@dataclass(frozen=True, eq=False)
class AlignedRows:
    """Cells on disk as a model reads them, a block at a time; all that a worker needs of them."""

    rows: Rows
    columns: Int[np.ndarray, " gene"]
    """Column of the stored matrix of each gene."""
    place: Int[np.ndarray, " gene"]
    """Place of each gene among the model's, -1 where it is dropped."""
    names: tuple[str, ...]
    """Symbols of the genes that are kept, in the model's order."""
    ensembl: tuple[str, ...]
    totals: Float[np.ndarray, " cell"]
    """Counts of each cell over all genes."""
    totals_from: str
    """Column that these totals were declared in, empty where they are sums."""

    def part(self, start: int, stop: int) -> AnnData:
        """Some cells, as ``read_cells`` returns them but for their other columns of ``obs``."""
        stored = self.rows.counts(start, stop)[:, self.columns]
        part = AnnData(
            align(rounded(stored), GeneMapping(self.place, np.zeros_like(self.place))),
            obs=pd.DataFrame({TOTAL: self.totals[start:stop]}, index=pd.Index([str(i) for i in range(start, stop)])),
            var=pd.DataFrame({"ensembl": list(self.ensembl)}, index=pd.Index(self.names, dtype=str)),
            uns={"cellprism": {"totals": self.totals_from}},
        )
        if self.rows.embedding:
            part.obsm[self.rows.embedding] = self.rows.vectors(start, stop)
        return part


@dataclass(frozen=True, eq=False)
class CheckedCells:
    """Cells of one file that may be read."""

    source: str
    """What was read, as the user named it."""
    aligned: AlignedRows
    obs: pd.DataFrame
    """As stored, with ``total_counts``."""
    var: pd.DataFrame
    """The genes that are kept."""
    notes: tuple[str, ...]
    values: int
    """Counts that are not zero, as stored."""


def checked_cells(
    stored: StoredCells,
    table: GeneTable | None,
    totals: str | None = None,
    genes: Sequence[str] = (),
    tick: Callable[[int], None] = lambda cells: None,
) -> CheckedCells:
    """Look at every count once, and align the genes to a model's.

    Args:
        stored: cells on disk.
        table: the model's genes; None for one that reads an embedding: then all genes are kept.
        totals: column of ``obs`` with each cell's count over all genes, where the matrix holds only some.
        genes: the model's genes that are read, by symbol; all of them where empty.
        tick: called with the number of cells seen.

    Raises:
        CellsError: the cells cannot be used; ``problems`` lists what is wrong, with the first block of cells whose
            values are no counts.
    """
    head = stored.head
    names = data_genes(head.var, head.typed)
    matched = None if table is None else match_genes(names, table)
    mapping = matched if matched is None or table is None or not genes else _restricted(matched, table, genes)
    seen = _seen(stored, mapping, tick)
    problems = [*repeated_genes(names), *seen.problems(head.obs.index)]
    problems += value_problems(seen.sample, seen.names, head.where)
    declared, wrong = declared_totals(head, totals, seen.sums)
    problems += wrong
    notes = list(head.notes)
    if matched is not None and mapping is not None and table is not None:
        share = mapping_record(matched, names, table, seen.umi)["umi_share_kept"]
        few = overlap_problems(matched, names, table, head.obs.index, LEAST_OVERLAP)
        problems += few or umi_problems(share, LEAST_UMI)
        problems += contradictions(matched, names, table, seen.umi)
        notes += drop_notes(matched, names, seen.umi)
        measured = f"{mapping.kept.size:,} of the {len(genes):,} genes that are to be read are measured here"
        if genes and mapping.kept.size < LEAST_OVERLAP * len(genes):
            few = [f"only {measured} (expected at least {LEAST_OVERLAP:.0%}): take cells in which more of them are"]
            problems += few
        notes += [measured] if genes else []
        if not few:
            problems += seen.lost(head.obs.index)
    if problems:
        raise CellsError(head.source, problems)
    notes += [] if declared is not None else totals_hint(head, seen.sums)
    obs = cell_rows(head.obs, None, seen.sums if declared is None else declared)
    var = gene_rows(head.var, names, mapping, table)
    aligned = AlignedRows(
        rows=stored.rows, columns=stored.genes,
        place=np.arange(len(head.var)) if mapping is None else mapping.place,
        names=tuple(map(str, var.index)), ensembl=tuple(map(str, var["ensembl"])),
        totals=obs[TOTAL].to_numpy(np.float64), totals_from=totals or head.totals_from,
    )  # fmt: skip
    return CheckedCells(head.source, aligned, obs, var, tuple(notes), seen.values)


def _restricted(mapping: GeneMapping, table: GeneTable, genes: Sequence[str]) -> GeneMapping:
    """A mapping to some of a model's genes."""
    wanted = [table.by_symbol[gene] for gene in genes if gene in table.by_symbol]
    return replace(mapping, place=np.where(np.isin(mapping.place, wanted), mapping.place, -1))


@dataclass
class _Seen:
    """What a pass over all counts has found."""

    sums: Float[np.ndarray, " cell"]
    kept: Float[np.ndarray, " cell"]
    """Counts of each cell in the genes that are read."""
    umi: Float[np.ndarray, " gene"]
    sample: sp.csr_matrix
    names: pd.Index
    """Of the cells of the sample."""
    values: int

    def problems(self, cells: pd.Index) -> list[str]:
        """A sentence if cells have no counts at all."""
        empty = np.flatnonzero(self.sums == 0)
        if not empty.size:
            return []
        return [
            f"{empty.size:,} of {len(cells):,} cells have no counts at all, such as {str(cells[empty[0]])!r}; {DROP}"
        ]

    def lost(self, cells: pd.Index) -> list[str]:
        """A sentence if cells have counts, but none in the genes that are read."""
        lost = np.flatnonzero((self.kept == 0) & (self.sums > 0))
        if not lost.size:
            return []
        return [
            f"{lost.size:,} of {len(cells):,} cells have no counts in the genes that are read, such as "
            f"{str(cells[lost[0]])!r}: empty barcodes, or cells of another kind; drop these cells"
        ]


def _seen(stored: StoredCells, mapping: GeneMapping | None, tick: Callable[[int], None]) -> _Seen:
    """One pass over the counts.

    Raises:
        CellsError: some values are no counts; says in which cells.
    """
    n_cells, head = stored.n_cells, stored.head
    if not n_cells or not len(head.var):
        raise CellsError(head.source, [f"{head.where} is empty ({n_cells:,} cells x {len(head.var):,} genes)"])
    known = np.ones(len(head.var), dtype=bool) if mapping is None else mapping.place >= 0
    sums, kept, umi = np.zeros(n_cells), np.zeros(n_cells), np.zeros(len(head.var))
    chosen = np.unique(np.linspace(0, n_cells - 1, min(SAMPLE, n_cells)).astype(np.int64))
    sample, values = [], 0
    for start in range(0, n_cells, BLOCK):
        stop = min(start + BLOCK, n_cells)
        block = stored.block(start, stop)
        if not _all_counts(block.data):
            cells = head.obs.index[start:stop]
            where = f"{head.where}, cells {start + 1:,} to {stop:,} ({cells[0]} to {cells[-1]}),"
            raise CellsError(head.source, value_problems(block, cells, where))
        counts = sp.csr_matrix((np.rint(block.data).astype(np.float64), block.indices, block.indptr), shape=block.shape)
        sums[start:stop] = np.asarray(counts.sum(axis=1)).ravel()
        kept[start:stop] = counts @ known.astype(np.float64)
        umi += np.asarray(counts.sum(axis=0)).ravel()
        sample.append(block[chosen[(chosen >= start) & (chosen < stop)] - start])
        values += int((counts.data != 0).sum())
        tick(stop)
    together = sp.csr_matrix(sp.vstack(sample, format="csr"))
    some = np.asarray(together.sum(axis=1)).ravel() > 0  # empty cells are named among all
    return _Seen(sums, kept, umi, sp.csr_matrix(together[some]), pd.Index(head.obs.index[chosen])[some], values)


def _all_counts(values: np.ndarray) -> bool:
    if values.dtype.kind not in "biuf":
        return False
    if not values.size:
        return True
    finite = values.dtype.kind != "f" or bool(np.isfinite(values).all())
    return finite and values.min() >= 0 and values.max() <= MOST and bool(is_whole(values).all())
