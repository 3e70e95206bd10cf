"""From the data's genes to the model's: by Ensembl id, then symbol, then alias; what hits one gene is summed.

- Nothing vanishes silently: the mapping knows what became of every row, and its record is kept with the
  cells.
- A name that AnnData made unique (``TMBIM4-1`` beside ``TMBIM4``) stands for the name without its number,
  unless the table knows it as it is. Of PBMC3K's 32,738 names none is misread by this rule.
- Only genes that the data measured become columns; a model that needs the others adds them itself.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int

from cellprism.cells.genes import GeneTable, bare_ensembl

WAYS = ("ensembl", "symbol", "alias")
MADE_UNIQUE = re.compile(r"(.+)-\d+")
SYMBOL_NAMES = (
    "gene_symbols", "gene_symbol", "symbol", "symbols", "gene_name", "gene_names", "feature_name",
    "gene_short_name", "hgnc_symbol", "name", "gene",
)  # fmt: skip


@dataclass(frozen=True)
class DataGenes:
    """What the data calls its genes: one entry a row of ``var``."""

    ensembl: tuple[str, ...]
    """Ensembl ids without version, '' where there is none."""
    names: tuple[tuple[str, ...], ...]
    """Symbols by which to look each gene up, best first."""
    shown: tuple[str, ...]
    """The name to show to people."""
    key: tuple[str, ...]
    """What tells one gene from another: the Ensembl id as it stands, else the name."""


@dataclass(frozen=True)
class GeneMapping:
    """What became of each gene of the data."""

    place: Int[np.ndarray, " gene"]
    """Index of the model's gene, -1 where dropped."""
    way: Int[np.ndarray, " gene"]
    """Index into ``WAYS``, -1 where dropped."""

    @property
    def kept(self) -> Int[np.ndarray, " measured"]:
        """Model genes that the data measured, in the model's order."""
        return np.unique(self.place[self.place >= 0])


def data_genes(var: pd.DataFrame) -> DataGenes:
    """Find Ensembl ids (by their form) and symbols (by column name) among ``var`` and its index."""
    index = [str(name) for name in var.index]
    columns: dict[str, Any] = {str(c): var[c] for c in var.columns}
    texts = {name: _texts(column) for name, column in columns.items() if _is_text(column)}
    written = next((v for v in (index, *texts.values()) if 2 * sum(bool(bare_ensembl(i)) for i in v) > len(v)), None)
    ids = [""] * len(index) if written is None else [bare_ensembl(i) for i in written]
    lower = {c.lower(): values for c, values in texts.items()}
    symbols = next((lower[c] for c in SYMBOL_NAMES if c in lower), index)
    names = [(a,) if a == b else (a, b) for a, b in zip(index, symbols, strict=True)]
    shown = [b or a for a, b in zip(index, symbols, strict=True)] if written is index else index
    key = [w if i else name for w, i, name in zip(written or index, ids, index, strict=True)]
    return DataGenes(tuple(ids), tuple(names), tuple(shown), tuple(key))


def match_genes(genes: DataGenes, table: GeneTable) -> GeneMapping:
    """Look every gene of the data up in ``table``: by Ensembl id, by symbol, by alias, which may be a retired id."""
    place, way = np.full(len(genes.names), -1), np.full(len(genes.names), -1)
    for row, (ensembl, names) in enumerate(zip(genes.ensembl, genes.names, strict=True)):
        if ensembl in table.by_ensembl:
            place[row], way[row] = table.by_ensembl[ensembl], 0
            continue
        bare = tuple(m[1] for m in map(MADE_UNIQUE.fullmatch, names) if m)
        for name in names + bare:
            if name in table.by_symbol:
                place[row], way[row] = table.by_symbol[name], 1
                break
        else:
            if hit := next((n for n in (*names, ensembl) if n in table.by_alias), None):
                place[row], way[row] = table.by_alias[hit], 2
    return GeneMapping(place, way)


def align(matrix: sp.csr_matrix, mapping: GeneMapping) -> sp.csr_matrix:
    """Counts [cell, measured gene] in the model's order; rows that hit the same gene are summed.

    Args:
        matrix: counts [cell, gene of the data].
        mapping: where each gene of the data goes.
    """
    rows = np.flatnonzero(mapping.place >= 0)
    columns = np.searchsorted(mapping.kept, mapping.place[rows])
    shape = (mapping.place.size, mapping.kept.size)
    sums = sp.csr_matrix((np.ones(rows.size, dtype=np.float32), (rows, columns)), shape=shape)
    aligned = sp.csr_matrix(matrix @ sums)
    aligned.eliminate_zeros()
    aligned.sort_indices()
    return aligned


def mapping_record(
    mapping: GeneMapping, genes: DataGenes, table: GeneTable, umi: Float[np.ndarray, " gene"]
) -> dict[str, Any]:
    """What was matched, summed, dropped and absent, in a form that an .h5ad file can hold.

    Args:
        mapping: what became of each gene of the data.
        genes: what the data calls them.
        table: the model's genes.
        umi: counts of each gene of the data over all cells.
    """
    hits = np.bincount(mapping.place[mapping.place >= 0], minlength=len(table))
    lost = np.flatnonzero(mapping.place < 0)
    lost = lost[np.argsort(-umi[lost], kind="stable")]
    symbols = np.array(table.symbol)
    kept = float(umi[mapping.place >= 0].sum())
    return {
        "n_read": len(genes.shown),
        "n_model": len(table),
        "n_found": int(mapping.kept.size),
        "matched_by": {name: int((mapping.way == i).sum()) for i, name in enumerate(WAYS)},
        "summed": int((hits > 1).sum()),
        "dropped": int(lost.size),
        "absent_from_data": int((hits == 0).sum()),
        "umi_share_kept": kept / float(umi.sum()) if umi.sum() else 0.0,
        "summed_genes": symbols[hits > 1],
        "dropped_genes": np.array(genes.shown, dtype=str)[lost],
        "dropped_umi": umi[lost],
        "absent_genes": symbols[hits == 0],
    }


def _is_text(column: pd.Series) -> bool:
    kind = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return bool(pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind))


def _texts(column: pd.Series) -> list[str]:
    return column.astype(object).where(column.notna(), "").map(str).tolist()
