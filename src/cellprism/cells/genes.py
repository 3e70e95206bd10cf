"""The genes that a model knows: symbols in the model's order, Ensembl ids, and other names of a gene.

- Symbols name the columns; Ensembl ids are what data are matched by first, since symbols change over the
  years.
- On disk a gene table is a tab-separated file: symbol, ensembl, alias (several joined by ``|``). A bare
  published list (``gene_name``, ``index``) is read too.
- An alias that is itself a symbol, or that stands for two genes, says nothing and is left out by
  ``GeneTable.of``.
"""

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import pandas as pd

from cellprism.cells.unpack import UNREADABLE, read_bytes, refuse_no_file
from cellprism.errors import CellsError, DamagedError

ENSEMBL_ID = re.compile(r"ENS([A-Z]*)G(\d{11})(?:\.\d+)?(?:_PAR_Y)?")
SYMBOL_COLUMNS = ("symbol", "gene_symbol", "gene_name")
ENSEMBL_COLUMNS = ("ensembl", "ensembl_id", "gene_id")


def bare_ensembl(name: str) -> str:
    """An Ensembl gene id without version or pseudo-autosomal suffix; '' for anything else."""
    found = ENSEMBL_ID.fullmatch(name)
    return f"ENS{found[1]}G{found[2]}" if found else ""


@dataclass(frozen=True)
class GeneTable:
    """A model's genes, in the model's order."""

    symbol: tuple[str, ...]
    """Symbols; they become the column names of the cells."""
    ensembl: tuple[str, ...]
    """Ensembl gene ids without version, '' where unknown."""
    alias: Mapping[str, str] = field(default_factory=dict)
    """Other symbols, each with the symbol of the gene it stands for."""

    def __post_init__(self):
        problems = []
        if len(self.symbol) != len(self.ensembl):
            problems.append(
                f"{len(self.symbol)} symbols but {len(self.ensembl)} Ensembl ids; expected one for each, '' "
                "where unknown"
            )
        if not self.symbol:
            problems.append("it has no genes; expected one row a gene")
        if "" in self.symbol:
            problems.append(f"{self.symbol.count('')} symbols are empty; every gene needs one")
        for kind, values in (("symbols", self.symbol), ("Ensembl ids", self.ensembl)):
            if twice := [v for v, n in Counter(values).items() if n > 1 and v]:
                problems.append(
                    f"{len(twice)} {kind} occur more than once, such as {twice[0]!r}; each may stand for one gene"
                )
        known = set(self.symbol)
        if lost := [a for a, s in self.alias.items() if s not in known]:
            problems.append(f"alias {lost[0]!r} stands for {self.alias[lost[0]]!r}, which is not among the symbols")
        if problems:
            raise CellsError("the gene table", problems)

    def __len__(self) -> int:
        return len(self.symbol)

    @classmethod
    def of(
        cls,
        symbol: Sequence[str],
        ensembl: Sequence[str] | None = None,
        aliases: Sequence[Sequence[str]] | None = None,
    ) -> "GeneTable":
        """A table from columns of equal length, keeping only aliases that mean one gene.

        Args:
            symbol: symbols in the model's order.
            ensembl: Ensembl ids, version suffixes allowed, '' where unknown; default: all unknown.
            aliases: other symbols of each gene.

        Raises:
            CellsError: the columns are empty, unequal, or name a gene twice.
        """
        known = set(symbol)
        meant: dict[str, set[str]] = {}
        for gene, others in zip(symbol, aliases or (), strict=False):
            for other in others:
                if other and other not in known:
                    meant.setdefault(other, set()).add(gene)
        ids = [""] * len(symbol) if ensembl is None else [bare_ensembl(e) for e in ensembl]
        alias = {other: next(iter(genes)) for other, genes in meant.items() if len(genes) == 1}
        return cls(tuple(symbol), tuple(ids), alias)

    @cached_property
    def by_symbol(self) -> dict[str, int]:
        """Place of each symbol in the table."""
        return {s: i for i, s in enumerate(self.symbol)}

    @cached_property
    def by_ensembl(self) -> dict[str, int]:
        """Place of each known Ensembl id in the table."""
        return {e: i for i, e in enumerate(self.ensembl) if e}

    @cached_property
    def by_alias(self) -> dict[str, int]:
        """Place of the gene that each alias stands for; symbols are no aliases."""
        return {a: self.by_symbol[s] for a, s in self.alias.items() if a not in self.by_symbol}


@runtime_checkable
class HasGenes(Protocol):
    """A model that may know its genes."""

    gene_table: GeneTable | None


@runtime_checkable
class ReadsEmbedding(HasGenes, Protocol):
    """A model that reads an embedding of the cells instead of their counts."""

    key: str
    """Its name in ``obsm``."""


def read_gene_table(path: Path) -> GeneTable:
    """Read a gene table from a tab-separated file, plain or gzipped.

    Columns: ``symbol`` (or ``gene_symbol``, ``gene_name``); optional ``ensembl`` (or ``ensembl_id``,
    ``gene_id``), ``alias`` (joined by ``|``) and ``index`` (the gene's place; otherwise the order of the
    rows).

    Raises:
        CellsError: no such file, no column of symbols, or genes named twice.
        DamagedError: the file cannot be read to its end.
    """
    path = path.expanduser()
    if not path.exists():
        raise CellsError(str(path), ["no such file; expected a tab-separated gene table with a column 'symbol'"])
    refuse_no_file(path, str(path))
    try:
        table = pd.read_csv(io.BytesIO(read_bytes(path)), sep="\t", dtype=str, keep_default_na=False)
        table = pd.DataFrame({name: table[name].str.strip() for name in table})
    except (
        *UNREADABLE,
        UnicodeDecodeError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        raise DamagedError(f"{path} is not a readable gene table ({error}); copy or fetch it again") from error
    symbols = next((c for c in SYMBOL_COLUMNS if c in table), None)
    if symbols is None:
        raise CellsError(str(path), [f"no column 'symbol'; found {', '.join(map(repr, table.columns))}"])
    if "index" in table:
        if bad := [v for v in table["index"] if not v.isdecimal()]:
            raise CellsError(
                str(path),
                [f"column 'index' holds {bad[0]!r}; expected whole numbers, the places of the genes"],
            )
        if twice := [v for v, n in Counter(table["index"].astype(int)).items() if n > 1]:
            raise CellsError(
                str(path), [f"column 'index' holds {twice[0]} more than once; a place is that of one gene"]
            )
        table = table.sort_values("index", key=lambda places: places.astype(int))
    ids = next((c for c in ENSEMBL_COLUMNS if c in table), None)
    aliases = [a.split("|") for a in table["alias"]] if "alias" in table else None
    return GeneTable.of(list(table[symbols]), None if ids is None else list(table[ids]), aliases)


def write_gene_table(path: Path, table: GeneTable) -> None:
    """Write a gene table that ``read_gene_table`` reads back the same."""
    others: dict[str, list[str]] = {}
    for alias, symbol in table.alias.items():
        others.setdefault(symbol, []).append(alias)
    columns = {
        "symbol": table.symbol,
        "ensembl": table.ensembl,
        "alias": ["|".join(others.get(s, ())) for s in table.symbol],
    }
    scratch = path.with_name(f".{path.name}.part")  # moved into place, so that nobody meets half a table
    pd.DataFrame(columns).to_csv(scratch, sep="\t", index=False)
    scratch.replace(path)
