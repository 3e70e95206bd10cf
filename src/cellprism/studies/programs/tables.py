"""What is found of features and programs: the files of ``programs/``.

``genes.h5ad`` (features x genes) and ``cells.h5ad`` (cells x features) grow with the data; the page reads neither.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from cellprism.errors import DamagedError
from cellprism.report.verdict import Interval
from cellprism.store.atomic import write_json
from cellprism.store.h5ad import write_h5ad
from cellprism.store.tables import write_table
from cellprism.studies.files import (
    objects_of,
    read_columns,
    read_h5ad,
    read_object,
    read_record,
    write_record,
)
from cellprism.studies.programs.over_seeds import Excess

GENES, CELLS = "genes.h5ad", "cells.h5ad"
FEATURES, LISTS, ENRICHMENT, NULLS, TYPES = (
    "features.parquet", "lists.parquet", "enrichment.parquet", "nulls.parquet", "types.parquet"
)  # fmt: skip
RATES, SPECIFICITY, EXCESS, SOURCES = "rates.json", "types.json", "types_beside.json", "sources.json"
SEEDS, SOUGHT = "seeds.json", "sought.json"
SOUGHT_NULLS = ("popularity", "coexpression")
FEATURE_COLUMNS = {
    "feature": int, "firing_rate": float, "participation_ratio": float, "set_size": int, "top_genes": str,
    "best_term": str, "best_padj": float, "n_terms": int, "gene_share": float, "state_share": float,
    "top_cell_type": str, "type_share": float, "type_padj": float, "own_genes_r": float, "sign": str, "high_in": str,
    "low_in": str,
}  # fmt: skip
ENRICHMENT_COLUMNS = {
    "feature": str, "term": str, "represented_by": str, "overlap": int, "set_size": int, "term_size": int,
    "background_size": int, "pvalue": float, "padj": float,
}  # fmt: skip
RATE_FIELDS = [
    "name", "rate", "interval", "replicates", "n_lists", "mean_set_size", "distinct_terms", "against", "comparable",
]  # fmt: skip
OTHER_RATES = ["rows", "family", "alpha", "collection", "n_terms", "background_size"]


@dataclass(frozen=True)
class TypeSpecificity:
    """How many features tell cell types apart, beside shuffled labels."""

    types: dict[str, int]
    """Labelled cells per type, most frequent first."""
    chance_share: float
    """Share of variance between types that shuffled labels exceed once in twenty features."""
    firing: int
    """Features that fire."""
    share_apart: float
    """Of these, those that exceed it."""
    null: float
    """The mean share that permuted labels give, the features kept together."""
    null_interval: Interval
    """Where 95 % of such shares lie."""
    p: float
    """Two-sided p-value of ``share_apart`` among them."""
    permutations: int
    """How many."""
    permuted_cells: int
    """Cells whose labels they deal out."""


@dataclass(frozen=True)
class TypeExcess:
    """The share of firing features that tell types apart, beside directions that nothing learned, on some cells.

    Cells of a type lie near each other in the counts already, so any direction of the inner state tells types apart to
    some degree."""

    cells: int
    """Labelled cells, and ``tokens`` of each at most, on which all are compared."""
    tokens: int
    share_apart: float
    """That of the run's own autoencoder."""
    draws: int
    """Dictionaries of each kind beside each autoencoder."""
    rows: list[Excess]
    """Over autoencoders of several seeds, beside each kind of directions; a control's share is the mean of its
    draws."""


@dataclass(frozen=True)
class Seeds:
    """Rates of matches over autoencoders of several seeds."""

    seeds: list[int]
    """The run's own first."""
    rows: list[Excess]
    """Beside each control, by each rule; named as the control's row of ``rates.json``."""


@dataclass(frozen=True)
class Sought:
    """A program that was looked for by name, and the feature's list that matches it best."""

    words: str
    """What was looked for in the names of terms."""
    terms: int
    """How many terms have it."""
    term: str = ""
    """The one that is matched best, of all features and these terms; empty where no list shares a gene with any."""
    feature: int | None = None
    genes: tuple[str, ...] = ()
    """What the feature's list shares with it."""
    set_size: int = 0
    term_size: int = 0
    pvalue: float = 1.0
    """Hypergeometric, not corrected."""
    padj: float = 1.0
    """Corrected as in ``enrichment.parquet``."""
    chance: dict[str, float] = field(default_factory=dict)
    """Null -> one-sided p-value: how often one of as many lists made by chance matches one of these terms as well."""
    replicates: int = 0
    """Families of lists drawn for each."""


@dataclass(frozen=True)
class AllSought:
    """``sought.json``."""

    programs: list[Sought]


@dataclass(frozen=True, eq=False)
class Programs:
    """The study's results. Tables are as ``work`` says; ``rates`` is what ``rates.json`` holds."""

    features: pd.DataFrame
    """One row a feature: FEATURE_COLUMNS; ``type_share`` and ``type_padj`` are missing values without labels."""
    lists: pd.DataFrame
    """feature, rank, gene: the gene list of each feature that fires, strongest first."""
    enrichment: pd.DataFrame
    """As ``over_representation``; ``represented_by`` is the term that stands for those that say nearly the same."""
    nulls: pd.DataFrame
    types: pd.DataFrame
    """feature, then a column a cell type: mean of the type minus mean of all cells, in standard deviations; no columns
    without labels."""
    specificity: TypeSpecificity | None
    """None where there are no labels."""
    excess: TypeExcess | None
    """None where there are no labels, or too few cells with one."""
    seeds: Seeds
    sought: list[Sought]
    """Programs looked for by name; none where nothing was."""
    rates: dict[str, Any]
    """rows [RATE_FIELDS, for random lists excess, excess_interval and p_value (two-sided), for others
    independent_lists], and OTHER_RATES; ``coverage`` (``enrich.distinct``), and in ``gene_sets`` the files of the
    collection with release and checksum."""
    sources: dict[str, str]
    """Term -> where it comes from."""
    matrices: tuple[AnnData, AnnData] | None = None
    """Features x genes and cells x features; only when they are written."""


def write(folder: Path, found: Programs) -> list[Path]:
    """Write the study's folder."""
    tables = {
        FEATURES: found.features, LISTS: found.lists, ENRICHMENT: found.enrichment, NULLS: found.nulls,
        TYPES: found.types,
    }  # fmt: skip
    for name, table in tables.items():
        write_table(folder / name, table)
    for name, value in ((RATES, found.rates), (SOURCES, found.sources)):
        write_json(folder / name, value)
    files = [folder / name for name in (*tables, RATES, SOURCES)]
    if found.specificity is not None:
        files.append(write_record(folder / SPECIFICITY, found.specificity))
    files.append(write_record(folder / SEEDS, found.seeds))
    if found.sought:
        files.append(write_record(folder / SOUGHT, AllSought(found.sought)))
    if found.excess is not None:
        files.append(write_record(folder / EXCESS, found.excess))
    if found.matrices is not None:
        for name, data in zip((GENES, CELLS), found.matrices, strict=True):
            write_h5ad(folder / name, data)
            files.append(folder / name)
    return files


def read(folder: Path) -> Programs:
    """Read it, but for the matrices. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    features = read_columns(folder / FEATURES, FEATURE_COLUMNS)
    rates = read_object(folder / RATES, OTHER_RATES)
    objects_of(rates, "rows", RATE_FIELDS, folder / RATES)
    types = read_columns(folder / TYPES, {"feature": int}, float)
    if len(types) != len(features):
        raise DamagedError(
            f"{folder / TYPES} has {len(types)} features, {FEATURES} {len(features)}; rerun the step that wrote them"
        )
    specificity, excess, sought = folder / SPECIFICITY, folder / EXCESS, folder / SOUGHT
    return Programs(
        features=features,
        lists=read_columns(folder / LISTS, {"feature": int, "rank": int, "gene": str}),
        enrichment=read_columns(folder / ENRICHMENT, ENRICHMENT_COLUMNS),
        nulls=read_columns(folder / NULLS, {"null": str, "measure": str}, float),
        types=types,
        specificity=read_record(TypeSpecificity, specificity) if specificity.is_file() else None,
        excess=read_record(TypeExcess, excess) if excess.is_file() else None,
        seeds=read_record(Seeds, folder / SEEDS),
        sought=read_record(AllSought, sought).programs if sought.is_file() else [],
        rates=rates,
        sources=read_object(folder / SOURCES, ()),
    )


def read_genes(folder: Path) -> AnnData:
    """Features x genes."""
    return read_h5ad(folder / GENES)


def lists_of(found: Programs) -> dict[str, tuple[str, ...]]:
    """The gene list of each feature that fires, by the feature's number as text."""
    ordered = found.lists.sort_values(["feature", "rank"], kind="stable")
    return {str(feature): tuple(rows["gene"]) for feature, rows in ordered.groupby("feature", sort=False)}


def signed_term(term: str, sign: str) -> str:
    """A program's name for a feature: one that is strong where its genes are low says so."""
    return f"low: {term}" if term and sign == "low" else term
