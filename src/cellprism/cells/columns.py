"""What every model asks of the cells that it is given: columns that it knows, and counts in every cell."""

import numpy as np
from anndata import AnnData
from jaxtyping import Float, Int

from cellprism.cells.genes import GeneTable
from cellprism.cells.values import DROP
from cellprism.errors import CellsError


def columns_of(adata: AnnData, table: GeneTable, model: str) -> Int[np.ndarray, " column"]:
    """Place of each column of some cells among a model's genes.

    Args:
        adata: cells as ``read_cells`` returns them.
        table: the model's genes.
        model: its name, for the message.

    Raises:
        CellsError: a column is no gene of the model.
    """
    place = table.by_symbol
    if unknown := [gene for gene in adata.var_names if gene not in place]:
        some = f"{len(unknown)} columns are no genes of {model}, such as {unknown[0]!r}"
        raise CellsError("the AnnData", [f"{some}; read the cells with read_cells(..., model=model)"])
    return np.array([place[gene] for gene in adata.var_names], dtype=np.int64)


def refuse_empty(totals: Float[np.ndarray, " cell"]) -> None:
    """Stop where a cell has no counts.

    Raises:
        CellsError: how many have none.
    """
    if empty := int((~(totals > 0)).sum()):
        raise CellsError("the AnnData", [f"{empty} cells have no counts in the model's genes; {DROP}"])
