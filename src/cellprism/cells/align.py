"""From the data's genes to the model's: by Ensembl id, then symbol, then alias; what hits one gene is summed.

- Nothing vanishes silently: the mapping knows what became of every row, and its record is kept with the
  cells.
- A name that was made unique (``TMBIM4-1`` beside ``TMBIM4``) stands for the name without its number only where the
  row is known to be a gene; beside a gene it may as well be an antibody.
- A row with an id of another species is no gene of this one, whatever its symbol.
- R writes ``HLA.DRA`` for HLA-DRA, others C1ORF112 for C1orf112: such names are found where they mean one gene, and
  counted. Names in small letters are not: mice and fish have them.
- Only genes that the data measured become columns; a model that needs the others adds them itself.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from cellprism.cells.genes import GeneTable, bare_ensembl
from cellprism.cells.raw import as_text

WAYS = ("ensembl", "symbol", "alias")
FEW_SMALL = 0.1
"""Of human symbols 2 % have small letters, of mouse symbols nearly all."""
MADE_UNIQUE = re.compile(r"(.+)[-.]\d+")
MANGLED = re.compile(r"[^A-Za-z0-9]")
SYMBOL_NAMES = (
    "genesymbols", "genesymbol", "symbol", "symbols", "genename", "genenames", "featurename", "geneshortname",
    "hgncsymbol", "hgncsymbols", "hgnc", "name", "gene",
)  # fmt: skip
"""Of columns, in lower case and by their letters alone."""


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
    sure: Bool[np.ndarray, " gene"]
    """Which rows are known to be genes: by their id, or because the data says so."""


@dataclass(frozen=True)
class GeneMapping:
    """What became of each gene of the data."""

    place: Int[np.ndarray, " gene"]
    """Index of the model's gene, -1 where dropped."""
    way: Int[np.ndarray, " gene"]
    """Index into ``WAYS``, -1 where dropped."""
    mangled: tuple[int, ...] = ()
    """Rows that were found with other characters for the punctuation of their names."""
    twins: tuple[int, ...] = ()
    """Rows that are named like another one with a number and may be an antibody, a guide or a gene; dropped."""
    foreign: tuple[int, ...] = ()
    """Rows that have an id of another species and a symbol of this one; dropped."""
    cased: tuple[int, ...] = ()
    """Rows in capitals whose gene is written with small letters, such as C1ORF112."""
    otherwise: tuple[int, ...] = ()
    """Rows that differ from a gene by small letters alone, as genes of other species do; dropped."""
    disagree: tuple[int, ...] = ()
    """Rows whose id is one gene of the model and whose symbol another."""
    both: int = 0
    """Rows whose id and whose symbol the model knows."""

    @property
    def kept(self) -> Int[np.ndarray, " measured"]:
        """Model genes that the data measured, in the model's order."""
        return np.unique(self.place[self.place >= 0])


def data_genes(var: pd.DataFrame, typed: bool = False) -> DataGenes:
    """Find Ensembl ids (by their form) and symbols (by column name) among ``var`` and its index.

    Args:
        var: one row a gene.
        typed: the data says of every row that it is a gene.
    """
    index = [str(name) for name in var.index]
    columns: dict[str, Any] = {str(c): var[c] for c in var.columns}
    texts = {name: _texts(column) for name, column in columns.items() if _is_text(column)}
    written = next((v for v in (index, *texts.values()) if 2 * sum(bool(bare_ensembl(i)) for i in v) > len(v)), index)
    written = [w if bare_ensembl(w) else name for w, name in zip(written, index, strict=True)]  # ids among symbols
    ids = [bare_ensembl(i) for i in written]
    lower = {re.sub("[^a-z]", "", c.lower()): values for c, values in texts.items()}
    symbols = next((lower[c] for c in SYMBOL_NAMES if c in lower), index)
    names = [(a,) if a == b else (a, b) for a, b in zip(index, symbols, strict=True)]
    shown = [b if b and bare_ensembl(a) else a for a, b in zip(index, symbols, strict=True)]
    key = [w if i else name for w, i, name in zip(written, ids, index, strict=True)]
    sure = np.array([typed or bool(i) for i in ids], dtype=bool)
    return DataGenes(tuple(ids), tuple(names), tuple(shown), tuple(key), sure)


def match_genes(genes: DataGenes, table: GeneTable) -> GeneMapping:
    """Look every gene of the data up in ``table``: by Ensembl id, by symbol, by alias, which may be a retired id."""
    place, way = np.full(len(genes.names), -1), np.full(len(genes.names), -1)
    times = Counter(name for names in genes.names for name in set(names))
    held = set(times)
    species = {e[:-11] for e in table.ensembl if e}
    punctuated = _punctuated(table.symbol)
    capitals = _capitals(table.symbol)
    mangled, twins, foreign, cased, otherwise, disagree, both = [], [], [], [], [], [], 0
    for row, (ensembl, names) in enumerate(zip(genes.ensembl, genes.names, strict=True)):
        symbol = next((table.by_symbol[n] for n in names if n in table.by_symbol), None)
        if ensembl in table.by_ensembl:
            place[row], way[row] = table.by_ensembl[ensembl], 0
            both += symbol is not None
            if symbol is not None and symbol != place[row] and times[names[-1]] == 1:
                disagree.append(row)
        elif ensembl and species and ensembl[:-11] not in species:
            if symbol is not None:
                foreign.append(row)
        elif symbol is not None:
            place[row], way[row] = symbol, 1
        elif hit := next((n for n in (*names, ensembl) if n in table.by_alias), None):
            place[row], way[row] = table.by_alias[hit], 2
        elif (twin := _twin(names, None if genes.sure[row] else held, table)) is not None:
            if genes.sure[row]:
                place[row], way[row] = twin, 1
            else:
                twins.append(row)
        elif (meant := next((punctuated[k] for k in map(_plain, names) if k in punctuated), None)) is not None:
            place[row], way[row] = meant, 1
            mangled.append(row)
        elif (meant := next((capitals[n.upper()] for n in names if n.upper() in capitals), None)) is not None:
            if any(n in capitals for n in names):
                place[row], way[row] = meant, 1
                cased.append(row)
            else:
                otherwise.append(row)
    return GeneMapping(
        place, way, mangled=tuple(mangled), twins=tuple(twins), foreign=tuple(foreign), cased=tuple(cased),
        otherwise=tuple(otherwise), disagree=tuple(disagree), both=both,
    )  # fmt: skip


def _twin(names: tuple[str, ...], held: set[str] | None, table: GeneTable) -> int | None:
    """The gene that a name made unique belongs to, if the bare name is among ``held`` (None: wherever it is)."""
    bare = [m[1] for m in map(MADE_UNIQUE.fullmatch, names) if m and (held is None or m[1] in held)]
    found = (places[name] for name in bare for places in (table.by_symbol, table.by_alias) if name in places)
    return next(found, None)


def _plain(name: str) -> str:
    """A name as R may have left it: all punctuation made one, an X before a digit taken off."""
    return MANGLED.sub(".", re.sub(r"^X(?=\d)", "", name))


@lru_cache(maxsize=4)
def _punctuated(symbols: tuple[str, ...]) -> dict[str, int]:
    """Genes whose names R changes, by what it makes of them; those that become the same are left out."""
    made = [_plain(symbol) for symbol in symbols]
    times = Counter(made)
    changed = ((i, m) for i, (m, s) in enumerate(zip(made, symbols, strict=True)) if m != s or s[0].isdigit())
    return {m: i for i, m in changed if times[m] == 1}


@lru_cache(maxsize=4)
def _capitals(symbols: tuple[str, ...]) -> dict[str, int]:
    """Genes by their names in capitals; those that become the same are left out, and all where many have small letters,
    as in mice."""
    made = [symbol.upper() for symbol in symbols]
    if sum(m != s for m, s in zip(made, symbols, strict=True)) > FEW_SMALL * len(symbols):
        return {}
    times = Counter(made)
    return {m: i for i, m in enumerate(made) if times[m] == 1}


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
    return column.astype(object).where(column.notna(), "").map(as_text).tolist()
