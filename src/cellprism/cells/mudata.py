"""Cells in MuData, in memory or as .h5mu, by way of its package, which nothing else needs."""

from pathlib import Path
from typing import Any

import h5py
from anndata import AnnData

from cellprism.cells.hdf5 import datasets_of, refuse_bombs, refuse_foreign
from cellprism.errors import CellsError

GENES = ("rna", "gex", "gene_expression", "gene expression", "transcriptome")
"""What the modality with genes is called, in lower case."""


def is_mudata(source: Any) -> bool:
    """Whether an object is a MuData; its package is not imported."""
    return type(source).__name__ == "MuData" and hasattr(source, "mod")


def genes_of_mudata(data: Any, source: str) -> AnnData:
    """The modality of a MuData that holds genes.

    Raises:
        CellsError: none is called so; the message lists what there is.
    """
    found = [name for name in data.mod if str(name).lower() in GENES]
    if len(found) != 1:
        held = ", ".join(map(repr, data.mod))
        raise CellsError(source, [f"which of its modalities holds genes cannot be told ({held}): pass mdata['NAME']"])
    return data.mod[found[0]]


def read_mudata_file(path: Path, source: str) -> AnnData:
    """The modality of an .h5mu file that holds genes.

    Raises:
        CellsError: mudata is not installed, the file refers to other files or is packed beyond reason, or it has no
            modality with genes.
    """
    with h5py.File(path, "r") as opened:
        refuse_foreign(opened, source)
        refuse_bombs(datasets_of(opened), source)
    try:
        import mudata
    except ModuleNotFoundError as error:
        raise CellsError(source, ['reading it needs mudata: pip install "cellprism[mudata]"']) from error
    with mudata.set_options(pull_on_update=False):
        return genes_of_mudata(mudata.read_h5mu(path), source)
