"""The map of features: the files of ``map/``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellprism.report.verdict import Interval
from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

FEATURES, NEIGHBOURS, CELLS, OVERLAPS, FILE = (
    "features.parquet", "neighbours.parquet", "cells.parquet", "overlaps.parquet", "map.json"
)  # fmt: skip
COMPONENTS, MODULES = "components", "modules"
FEATURE_COLUMNS = {
    "feature": int, "firing_rate": float, "dead": bool, "component": int, "component_size": int, "module": int,
    "duplicate_of": int, "x": float, "y": float, "top_genes": str, "best_term": str, "high_in": str,
}  # fmt: skip


@dataclass(frozen=True)
class Graph:
    """Features joined where their gene lists overlap."""

    lists: int
    """Features that have a list."""
    edges: int
    components: int
    """Those of at least two features."""
    largest: int
    """Features of the largest."""
    alone: int
    """Features that are joined to no other."""


@dataclass(frozen=True)
class Alike:
    """How alike features of one group are in their terms, beside features of different ones."""

    groups: str
    """What the groups are: COMPONENTS or MODULES."""
    lists: int
    """Features that share a gene with some term."""
    within: float
    """Mean similarity of pairs of one group."""
    between: float
    """Mean similarity of other pairs."""
    difference: float
    dealt: float
    """Mean difference where features are dealt out among the groups, whose sizes stay."""
    dealt_interval: Interval
    dealt_p: float
    permutations: int
    renamed: float
    """Mean difference where genes get each other's names: what sharing genes gives by itself."""
    renamed_interval: Interval
    renamed_p: float
    renamings: int


@dataclass(frozen=True)
class Modules:
    """Features that are active in the same cells."""

    count: int
    """Modules of at least two features."""
    largest: int
    modularity: float
    shuffled: float
    """Mean modularity where each feature is dealt out among the cells by itself."""
    halves: float
    """Adjusted Rand index of the modules of two halves of the cells: 1 the same, 0 as by chance."""
    shuffled_halves: float
    """The same where each feature is dealt out by itself."""
    draws: int


@dataclass(frozen=True)
class Summary:
    """What the page says of the map."""

    features: int
    firing: int
    duplicates: int
    cells: int
    overlap: float
    """Above which features are joined."""
    graph: Graph
    random: Graph
    """The same of lists that use each gene as often, means of ``draws`` rounded."""
    draws: int
    collection: str
    alike: list[Alike]
    """Of groups within and between which there are pairs."""
    no_alike: dict[str, str]
    """Groups of which it cannot be asked, and why."""
    modules: Modules


@dataclass(frozen=True, eq=False)
class Found:
    """The study's results."""

    summary: Summary
    features: pd.DataFrame
    """One row a feature: FEATURE_COLUMNS. component: from 0, the largest first, -1 joined to no other; module: the
    same, -1 of dead ones; duplicate_of: -1 of none; x, y: its place on the map of decoder rows, missing of dead ones;
    top_genes, best_term and high_in as in ``programs``."""
    neighbours: pd.DataFrame
    """feature, by (decoder, genes, activity), rank from 0, neighbour, value: cosine, overlap, correlation."""
    cells: pd.DataFrame
    """cell, cell_type (empty without), x, y: its place on the map of cells by their features."""
    overlaps: pd.DataFrame
    """low, high, pairs, random: pairs of lists whose overlap lies between; random of lists that use each gene as
    often."""


def write(folder: Path, found: Found) -> list[Path]:
    """Write the study's folder."""
    tables = {FEATURES: found.features, NEIGHBOURS: found.neighbours, CELLS: found.cells, OVERLAPS: found.overlaps}
    for name, table in tables.items():
        write_table(folder / name, table)
    return [*(folder / name for name in tables), write_record(folder / FILE, found.summary)]


def read(folder: Path) -> Found:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return Found(
        read_record(Summary, folder / FILE),
        read_columns(folder / FEATURES, FEATURE_COLUMNS),
        read_columns(folder / NEIGHBOURS, {"feature": int, "by": str, "rank": int, "neighbour": int, "value": float}),
        read_columns(folder / CELLS, {"cell": str, "cell_type": str, "x": float, "y": float}),
        read_columns(folder / OVERLAPS, {"low": float, "high": float, "pairs": int, "random": float}),
    )
