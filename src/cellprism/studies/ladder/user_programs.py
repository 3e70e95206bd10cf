"""Programs that somebody brings: a table of cells x programs, of genes x programs, or both of one factorisation.

- Which rows are meant is told by their names. A table of genes may lie on its side, as spectra of cNMF do.
- Where values are below zero, both tails are kept apart as two programs: high and low mean different things.
"""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.enrich.list_rules import Directions, as_cells
from cellprism.errors import InputError
from cellprism.store.tables import read_table

FEWEST = 0.5  # of the genes that may be in a list must be in a table of genes
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


def brought(cells: AnnData, background: tuple[str, ...], cell_programs: str, gene_programs: str) -> Directions:
    """Programs from one or two files, as directions beside the features.

    Args:
        cells: those of the run, raw counts.
        background: genes that may be in a list; those that a table of genes lacks have no weight in its programs.
        cell_programs: a file with cells x programs; empty for none.
        gene_programs: a file with genes x programs; empty for none.

    Raises:
        InputError: a file is not there or no table, its rows are not these cells or genes, values are missing, or the
            two have different programs.
    """
    of_cells = _rows(cell_programs, list(cells.obs_names), "cells", 1.0) if cell_programs else None
    of_genes = _rows(gene_programs, list(background), "genes", FEWEST) if gene_programs else None
    if of_cells is not None and of_genes is not None and list(of_cells.columns) != list(of_genes.columns):
        raise InputError(
            f"{cell_programs} has {of_cells.shape[1]} programs and {gene_programs} {of_genes.shape[1]}, and not the "
            "same names in the same order; give both of one factorisation, or one of them"
        )
    genes = None if of_genes is None else gene_weights(of_genes.to_numpy().T, list(of_genes.columns), background)
    activity = None if of_cells is None else as_cells(of_cells.to_numpy(), list(of_cells.columns), cells)
    return Directions(genes, activity, cells)


def gene_weights(weights: np.ndarray, names: list[str], genes: tuple[str, ...]) -> AnnData:
    """Weights [program gene] in the form of ``Directions.genes``: programs without a weight never fire."""
    found = AnnData(weights, obs=pd.DataFrame({"firing_rate": (weights > 0).mean(axis=1)}, index=pd.Index(names)))
    found.var_names = list(genes)
    return found


def _rows(path: str, names: list[str], what: str, enough: float) -> pd.DataFrame:
    """The rows of these names, 0 for those that are not there; both tails apart where values are below zero."""
    table = _read(Path(path).expanduser())
    table.index, table.columns = table.index.astype(str), table.columns.astype(str)
    if what == "genes" and table.columns.isin(names).sum() > table.index.isin(names).sum():
        table = table.T
    there = pd.Index(names).isin(table.index)
    if there.mean() < enough or not table.index.is_unique:
        raise InputError(
            f"{path} has rows for {there.sum():,} of {len(names):,} {what} of this run "
            f"({'some of them twice, ' if not table.index.is_unique else ''}its rows are named like "
            f"{', '.join(table.index[:3])}, the {what} like {', '.join(names[:3])}); give a table with a row for each"
        )
    numbers = table.reindex(names).apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(numbers[there]).all():
        raise InputError(f"{path} has values that are missing or no numbers; give a table of numbers alone")
    return _apart(pd.DataFrame(np.where(there[:, None], numbers, 0.0), index=pd.Index(names), columns=table.columns))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"no table of programs at {path}; give a .csv, .tsv, .parquet or .h5ad file")
    kind = path.name.removesuffix(".gz")
    suffix = Path(kind).suffix
    try:
        if suffix == ".h5ad":
            return anndata.read_h5ad(path).to_df()
        if suffix == ".parquet":
            table = read_table(path)
            numbered = isinstance(table.index, pd.RangeIndex)
            return pd.DataFrame(table.set_index(table.columns[0])) if numbered else table
        if suffix in SEPARATORS:
            return pd.DataFrame(pd.read_csv(path, sep=SEPARATORS[suffix], index_col=0))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no readable table of programs ({error})") from error
    raise InputError(f"{path} is no table of programs that can be read; give a .csv, .tsv, .parquet or .h5ad file")


def _apart(table: pd.DataFrame) -> pd.DataFrame:
    """Both tails of each program where any value is below zero."""
    if (table.to_numpy() >= 0).all():
        return table
    tails = [table.clip(lower=0).add_suffix("+"), (-table).clip(lower=0).add_suffix("-")]
    return pd.concat(tails, axis=1).reindex(columns=[f"{name}{tail}" for name in table.columns for tail in "+-"])
