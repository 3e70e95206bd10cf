"""Cells at the door: read raw counts from a file or an AnnData, check them, align them to a model's genes.

    read_cells(source, model)     an AnnData with raw counts in the model's genes, or everything that is wrong at once
    check_cells(source, model)    the same, but only the report, which ends in a verdict
    GeneTable                     the genes that a model knows; read_gene_table, write_gene_table
    split_cells(adata)            parts with every cell type in the same shares
    log1p_cp10k(adata)            counts brought to one depth
    fetch_dataset(dataset)        one of DATASETS, known by name, with origin, licence and checksum

Where what is:

    reading     read (the door), source (what a name stands for), h5ad, tenx, datasets; hdf5 and unpack guard the files
    checking    values, whole (are these counts?), modalities (which rows are genes?), names, contradictions, overlap,
                labels (which cells are of which type?), only (some of the cells), totals (how deep is each cell?)
    aligning    genes (the model's), align (from the data's to the model's), columns (what models ask)
    telling     report (what was read, and the verdict), famous (genes that define a cell type)
    using       expression, split
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellprism.cells.datasets import DATASETS as DATASETS
    from cellprism.cells.datasets import fetch_dataset as fetch_dataset
    from cellprism.cells.expression import log1p_cp10k as log1p_cp10k
    from cellprism.cells.genes import GeneTable as GeneTable
    from cellprism.cells.genes import read_gene_table as read_gene_table
    from cellprism.cells.genes import write_gene_table as write_gene_table
    from cellprism.cells.read import check_cells as check_cells
    from cellprism.cells.read import read_cells as read_cells
    from cellprism.cells.report import CellsReport as CellsReport
    from cellprism.cells.split import split_cells as split_cells

_HOME = {
    "CellsReport": "report",
    "DATASETS": "datasets",
    "GeneTable": "genes",
    "check_cells": "read",
    "fetch_dataset": "datasets",
    "log1p_cp10k": "expression",
    "read_cells": "read",
    "read_gene_table": "genes",
    "split_cells": "split",
    "write_gene_table": "genes",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing one part does not load them all."""
    if name in _HOME:
        return getattr(import_module(f"cellprism.cells.{_HOME[name]}"), name)
    raise AttributeError(f"module 'cellprism.cells' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
