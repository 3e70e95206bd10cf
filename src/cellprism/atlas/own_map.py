"""The user's own map of the cells: two columns of ``obsm`` in the file that a run's cells came from."""

from pathlib import Path

import numpy as np
import pandas as pd
from anndata.io import read_elem

from cellprism.atlas.cell_map import CellMap
from cellprism.atlas.tables import RunTables
from cellprism.cells.elements import held_by, judged_elements_of
from cellprism.cells.embedding import embedding_values
from cellprism.cells.zarr import is_zarr
from cellprism.errors import CellsError, InputError

USUAL = "X_umap"


def own_places(tables: RunTables, key: str = "") -> CellMap | None:
    """Places of a run's cells on the user's own map; None where there is none and none was asked for.

    Looked for in the run's own cells, which keep what a model reads, then in the .h5ad file or .zarr folder that they
    came from, whose cells are found by their names.

    Args:
        tables: the run; it must have its matrix of cells.
        key: name in ``obsm``; empty: ``X_umap`` where a file has it.

    Raises:
        InputError: there is no such map, or it does not hold every cell of the run.
    """
    assert tables.cells is not None, "asked only where there are cells"
    wanted, reasons = key or USUAL, []
    for path in (tables.folder / "cells.h5ad", Path(tables.source)):
        if not is_zarr(path) and not (path.suffix == ".h5ad" and path.is_file()):
            reasons.append(f"{path} is no .h5ad file or .zarr folder that is there")
            continue
        try:
            names, places = _read(path, wanted)
        except (CellsError, KeyError, OSError, ValueError) as error:
            reasons.append(f"{path}: {error}" if not isinstance(error, CellsError) else str(error))
            continue
        row = names.get_indexer(tables.cells.obs_names.astype(str)) if names.is_unique else np.array([-1])
        if (row < 0).any():
            reasons.append(f"{path} names other cells than the run")
            continue
        return CellMap(places[row], f"your own map, obsm['{wanted}']", str(path.name))
    if key:
        raise InputError(
            f"there is no map {key!r} of these cells: {'; '.join(reasons)}. Leave --own-map out for another"
        )
    return None


def _read(path: Path, key: str) -> tuple[pd.Index, np.ndarray]:
    """Names of the cells of a file or folder, and the first two columns of an embedding."""
    with judged_elements_of(path, str(path)) as file:
        held = held_by(file["obsm"])
        if key not in held:
            raise CellsError(str(path), [f"there is no {key!r} in obsm; it has {', '.join(held) or 'nothing'}"])
        obs = file["obs"]
        names = pd.Index(read_elem(obs[obs.attrs["_index"]])).astype(str)
        values = embedding_values(str(path), key, read_elem(held[key]), len(names))
    if values.shape[1] < 2:
        raise CellsError(str(path), [f"obsm[{key!r}] has one column; a map has two"])
    return names, values[:, :2]
