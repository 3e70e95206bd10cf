"""Edges from factors to genes, from literature or from experiments, through one door.

A table is a CSV or TSV file (``.gz`` as well) or parquet, recognised by its columns:

| what | columns |
|---|---|
| literature | ``source``, ``target``, and where known ``weight`` (its sign: activates or represses) |
| measured edges | ``perturbed_gene``, ``measured_gene``, ``log_fc`` (of the measured gene, the other knocked down) |
| a screen | ``gene``, ``screen`` (its last word is the gene that was read), ``log2_fold_change`` (of the knock-down) |

Notable choices

- Every edge has the sign of *raising* its source: knock-downs are turned around.
- Edges of a gene to itself are left out, and so are pairs with edges both ways: they say nothing of direction.
- Several measurements of a pair, such as conditions, are averaged.
- Literature and measurements never mix: ``kind`` says which a table is, and each is asked for by name.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from cellprism.cells.genes import bare_ensembl
from cellprism.errors import ConfigError
from cellprism.store.web_page import SEEN, is_web_page

Kind = Literal["literature", "measured"]
LAYOUTS: tuple[tuple[Kind, tuple[str, str, str], float], ...] = (
    ("literature", ("source", "target", "weight"), 1.0),
    ("measured", ("perturbed_gene", "measured_gene", "log_fc"), -1.0),
    ("measured", ("gene", "screen", "log2_fold_change"), -1.0),
)
"""Columns of source, target and strength, and what turns the strength into that of raising the source."""
EXPECTED = "source and target; perturbed_gene, measured_gene and log_fc; or gene, screen and log2_fold_change"


@dataclass(frozen=True)
class Edges:
    """Edges that can be asked for, and what became of the others."""

    table: pd.DataFrame
    """source, target, effect: in literature the sign, 0 where it is not known."""
    kind: Kind
    dropped: dict[str, int]
    """How many edges were left out, by reason."""
    feedback: frozenset[tuple[str, str]] = frozenset()
    """Pairs of literature that were left out for an edge back; they are no targets, and no controls."""
    screens: dict[str, str] = field(default_factory=dict)
    """Gene that a screen read -> the screen's name."""

    def targets(self, source: str) -> pd.DataFrame:
        """target, effect of one factor."""
        return cast(pd.DataFrame, self.table.loc[self.table["source"] == source, ["target", "effect"]])

    def counts(self) -> dict[str, int]:
        """Targets of each factor, most first; equal ones by name."""
        names, counts = np.unique(np.asarray(self.table["source"], dtype=str), return_counts=True)
        return {str(names[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")}


def read_edges(path: str | Path, alias: Mapping[str, str] | None = None) -> Edges:
    """Edges of a file, spelled as the model spells its genes.

    Raises:
        ConfigError: it is not there, not readable, has other columns, words for numbers, or holds no edge.
    """
    table, kind, sign = _read(Path(path).expanduser())
    screens = dict(zip(table["target"], table["screen"].astype(str), strict=True)) if "screen" in table else {}
    known = alias or {}
    names = {
        column: [known.get(bare_ensembl(name) or name, name) for name in table[column].astype(str).str.strip()]
        for column in ("source", "target")
    }
    strength: Any = _numbers(table["effect"], str(path), kind) if "effect" in table else np.zeros(len(table))
    whole = pd.DataFrame({**names, "effect": sign * strength})
    if kind == "literature":
        whole["effect"] = np.sign(whole["effect"].fillna(0.0))
    kept = whole.dropna()
    dropped = {"without a number": len(whole) - len(kept)}
    merged: Any = kept.groupby(["source", "target"], as_index=False, sort=True)["effect"].mean()
    if kind == "literature":  # of two opposite signs none is known
        merged["effect"] = np.sign(merged["effect"])
    dropped["named again"] = len(kept) - len(merged)
    own = merged["source"] == merged["target"]
    dropped["of a gene to itself"] = int(own.sum())
    merged = merged[~own]
    both = _both_ways(merged)
    dropped["with an edge back"] = int(both.sum()) if kind == "literature" else 0
    table = merged[~both] if kind == "literature" else merged
    if not len(table):
        raise ConfigError(f"{path} holds no edge from one gene to another; expected columns {EXPECTED}")
    pairs = merged.loc[both, ["source", "target"]].itertuples(index=False, name=None) if kind == "literature" else ()
    counts = {why: n for why, n in dropped.items() if n}
    return Edges(table.reset_index(drop=True), kind, counts, frozenset(pairs), screens)


def in_cells(edges: Edges, genes: pd.Index, expressed: pd.Index) -> Edges:
    """The edges whose genes are both expressed, with the others counted by reason.

    Args:
        edges: from ``read_edges``.
        genes: genes that the model and the cells have.
        expressed: those of them that enough cells express.
    """
    table: Any = edges.table
    ends = ("source", "target")
    known = np.logical_and.reduce([table[end].isin(genes) for end in ends])
    there = np.logical_and.reduce([table[end].isin(expressed) for end in ends])
    dropped = {"not in the model or the cells": int((~known).sum()), "not expressed": int((known & ~there).sum())}
    kept = table[there].reset_index(drop=True)
    return replace(edges, table=kept, dropped=edges.dropped | {why: n for why, n in dropped.items() if n})


def _read(path: Path) -> tuple[pd.DataFrame, Kind, float]:
    """The table with columns source, target and, where there is one, effect; what it is; the sign of its effects."""
    table = table_of(path, "edges", EXPECTED)
    for kind, (source, target, effect), sign in LAYOUTS:
        if {source, target} <= set(table.columns) and (kind == "literature" or effect in table.columns):
            found = table.rename(columns={source: "source", effect: "effect"})
            read = found[target].astype(str)
            return found.assign(target=read.str.split().str[-1] if target == "screen" else read), kind, sign
    shown = ", ".join(map(str, table.columns[:8]))
    raise ConfigError(f"{path} has the columns {shown}; expected {EXPECTED}")


def _numbers(column: Any, path: str, kind: Kind) -> Any:
    """The strengths of a table, NaN where there is none. Raises ``ConfigError`` for words."""
    read: Any = pd.to_numeric(column, errors="coerce")
    words = column[read.isna() & column.notna()].astype(str)
    words = words[words.str.strip() != ""]
    if not len(words):
        return read
    wanted = "1 where the source activates, -1 where it represses" if kind == "literature" else "numbers"
    raise ConfigError(
        f"{path} has {words.iloc[0]!r} as the strength of an edge ({len(words):,} of {len(column):,} are words); "
        f"expected {wanted}, and nothing where it is not known"
    )


def table_of(path: Path, what: str, expected: str) -> pd.DataFrame:
    """A CSV, TSV or parquet file.

    Args:
        path: the file.
        what: it should hold.
        expected: the columns it should have.

    Raises:
        ConfigError: it is not there or not readable.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path} with {what}; expected a CSV, TSV or parquet file with {expected}")
    try:
        if path.name.endswith(".parquet"):
            return pd.read_parquet(path)
        with path.open("rb") as file:
            if is_web_page(file.read(SEEN)):
                raise ConfigError(f"{path} is a web page and no table; download the file that the page names")
        return pd.read_csv(path, sep="\t" if ".tsv" in path.name else ",")
    except (OSError, ValueError, EOFError, zlib.error) as error:  # pyarrow's and pandas' errors are of these
        raise ConfigError(f"{path} cannot be read as a table ({error}); expected columns {expected}") from error


def refuse_strangers(names: Iterable[str], genes: pd.Index, path: str) -> None:
    """Refuse a table in which no gene is known, and say why that may be.

    Args:
        names: of its genes.
        genes: those that the model and the cells have.
        path: of the table.

    Raises:
        ConfigError: none is known.
    """
    named = list(dict.fromkeys(map(str, names)))
    if genes.isin(named).any():
        return
    capitals = genes.isin([name.upper() for name in named]).any()
    why = "; as they are written they look like those of another species or in small letters" if capitals else ""
    why = "; they are Ensembl ids, of which the model knows none" if any(map(bare_ensembl, named)) else why
    raise ConfigError(
        f"none of the {len(named):,} genes of {path}, such as {', '.join(named[:3])}, is in the model and the "
        f"cells{why}; expected symbols as the model spells them, such as {', '.join(map(str, genes[:3]))}"
    )


def _both_ways(table: pd.DataFrame) -> np.ndarray:
    """Which edges have one back."""
    source, target = (np.asarray(table[end], dtype=str) for end in ("source", "target"))
    return np.asarray(pd.MultiIndex.from_arrays([source, target]).isin(pd.MultiIndex.from_arrays([target, source])))
