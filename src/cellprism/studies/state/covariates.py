"""What is known of the cells that may lie behind a feature: depth, kinds of counts, cell cycle, columns of ``obs``.

Notable choices

- Shares of counts and scores are made from the run's own genes where there are enough of them, else taken from a column
  of ``obs`` under a usual name; else they are said to be missing, with the reason.
- A column of numbers is ranked, any other column makes groups. What is the same in all cells says nothing.
"""

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float, Int

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.labels import UNLABELLED, cell_types
from cellprism.cells.totals import totals_of
from cellprism.equations.gene_score import gene_set_score
from cellprism.errors import ConfigError
from cellprism.features.classes import gene_classes
from cellprism.ontology.collection import Collection
from cellprism.ontology.gmt import read_gmt
from cellprism.studies.state.tables import DEPTH, G2M, MITOCHONDRIAL, RIBOSOMAL, S

FEWEST = {MITOCHONDRIAL: 5, RIBOSOMAL: 20, S: 10, G2M: 10}
"""Genes that a share or a score is made from, at least."""
USUAL = {
    MITOCHONDRIAL: ("pct_counts_mt", "percent_mito", "percent.mt", "percent_mt", "percent.mito"),
    RIBOSOMAL: ("pct_counts_ribo", "percent_ribo", "percent.ribo", "percent_rb"),
    S: ("S_score", "S.Score"),
    G2M: ("G2M_score", "G2M.Score"),
}
"""Columns of ``obs`` under which other tools keep them."""
PHASES = {S: "S phase", G2M: "G2M phase"}
DEFAULT_COLUMNS = ("donor", "batch", "chemistry")
MOST_GROUPS = 50


@dataclass(frozen=True, eq=False)
class Covariate:
    """Something known of each cell."""

    name: str
    """One of the names in ``tables``, or a column of ``obs``."""
    origin: str
    """What it was made from, in words."""
    value: Float[np.ndarray, " cell"] | None
    """A number; None where it makes groups."""
    group: Int[np.ndarray, " cell"] | None
    """Number of the cell's group; None where it is a number."""


def covariates(cells: AnnData, columns: tuple[str, ...], cycle: Collection) -> tuple[list[Covariate], dict[str, str]]:
    """What is known of some cells, and why the rest is not.

    Args:
        cells: raw counts.
        columns: of ``obs``; empty: ``DEFAULT_COLUMNS`` that are there.
        cycle: genes of the phases, spelled as the cells spell them.

    Raises:
        ConfigError: a column that was named is not there, or makes too many groups.
    """
    counts = sp.csr_matrix(cells.X, dtype=np.float64)
    total = totals_of(cells, counts)
    found = [Covariate(DEPTH, "counts of each cell over all genes that were read", total, None)]
    absent: dict[str, str] = {}
    classes = gene_classes(cells).to_numpy()
    shares = {
        kind: lambda inside: np.asarray(counts[:, inside].sum(axis=1)).ravel() / np.maximum(total, 1)
        for kind in (MITOCHONDRIAL, RIBOSOMAL)
    }
    expression = log1p_cp10k(cells)
    inside = {kind: classes == kind for kind in shares}
    inside |= {kind: cells.var_names.isin(list(cycle[term])) for kind, term in PHASES.items()}
    for kind, genes in inside.items():
        made = shares.get(kind, lambda genes: gene_set_score(expression, genes))
        origin = "share of counts in {} genes" if kind in shares else "score of {} genes"
        _add(kind, origin, genes, made, cells, found, absent)
    obs = cast(pd.DataFrame, cells.obs)
    named = columns or tuple(name for name in DEFAULT_COLUMNS if name in obs)
    if unknown := [name for name in named if name not in obs]:
        raise ConfigError(
            f"state.columns names {', '.join(map(repr, unknown))}, which obs does not have; it has "
            f"{', '.join(map(str, obs.columns)) or 'none'}"
        )
    for name in named:
        column = _of_column(name, cast(pd.Series, obs[name]))
        if isinstance(column, Covariate):
            found.append(column)
        elif columns:
            raise ConfigError(f"obs[{name!r}], named by state.columns, {column}")
        else:
            absent[name] = f"the column of obs {column}"
    return [some for some in found if _tells(some, absent)], absent


def cell_cycle(bench: Any) -> Collection:
    """Genes of the S and of the G2 and M phases (Tirosh et al. 2016), as the run's cells spell them."""
    with as_file(files("cellprism.studies.state") / "cell_cycle.gmt") as path:
        table = bench.model.gene_table
        return read_gmt(path).respelled(bench.cells.var_names, table.alias if table else {})


def _add(
    kind: str, origin: str, genes: np.ndarray, made: Any, cells: AnnData, found: list[Covariate], absent: dict[str, str]
) -> None:
    """One kind from its genes, or from a usual column, or the reason why not."""
    measured = genes & (np.asarray(sp.csr_matrix(cells.X).sum(axis=0)).ravel() > 0)
    usual = next((name for name in USUAL[kind] if _is_number(cells.obs.get(name))), None)
    if measured.sum() >= FEWEST[kind]:
        found.append(Covariate(kind, origin.format(int(measured.sum())), made(measured), None))
    elif usual is not None:
        found.append(Covariate(kind, f"obs column {usual!r}", np.asarray(cells.obs[usual], dtype=float), None))
    else:
        absent[kind] = f"these cells have {int(measured.sum())} of its genes in the model, fewer than {FEWEST[kind]}"


def _is_number(column: Any) -> bool:
    return column is not None and pd.api.types.is_numeric_dtype(column) and bool(np.isfinite(column).all())


def _of_column(name: str, column: pd.Series) -> Covariate | str:
    """A column of ``obs``, or why nothing can be held against it."""
    origin = f"obs column {name!r}"
    if missing := int((cell_types(pd.DataFrame({name: column}), name) == UNLABELLED).sum()):
        return f"has no value in {missing:,} of {len(column):,} cells; fill them in, or leave it out"
    if _is_number(column) and not pd.api.types.is_bool_dtype(column):
        return Covariate(name, origin, np.asarray(column, dtype=float), None)
    groups, number = np.unique(column.astype(str).to_numpy(), return_inverse=True)
    if len(groups) > MOST_GROUPS:
        return (
            f"makes {len(groups)} groups of cells; a column of groups has at most {MOST_GROUPS}, a column of numbers "
            "no missing or infinite ones"
        )
    return Covariate(name, origin, None, number)


def _tells(covariate: Covariate, absent: dict[str, str]) -> bool:
    """Whether it differs between cells; says so where it does not."""
    values = covariate.group if covariate.value is None else covariate.value
    assert values is not None, "one of the two is there"
    if np.ptp(values) > 0:
        return True
    absent[covariate.name] = f"the same in all of these cells ({covariate.origin})"
    return False
