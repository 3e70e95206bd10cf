"""Where every cell lies on the map: the run's own map of cells, the rest of the cells beside those most like them.

- The map is that of the study ``map`` where it was made. Else it is made here in the same way: UMAP of the principal
  components of features over cells, by igraph where that is installed; without it, the first two components.
- It is made of at most ``LANDMARKS`` cells. Every other cell lies at the mean of the three landmarks nearest to it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from cellprism.atlas.tables import RunTables
from cellprism.errors import InputError
from cellprism.studies.map.graphs import plane

LANDMARKS, DIMENSIONS, BESIDE = 4000, 30, 3


@dataclass(frozen=True)
class CellMap:
    """Places of all cells, and how they were had."""

    places: Float[np.ndarray, "cell 2"]
    method: str
    file: str
    """The file of the run that holds the places or what they were made from."""


def cell_map(tables: RunTables, seed: int = 0) -> CellMap:
    """The map of a run's cells; the run must have its matrix of cells."""
    assert tables.cells is not None, "asked only where there are cells"
    points = components(tables.activation, seed)
    known, file = _landmarks(tables)
    if not known:
        rng = np.random.default_rng([seed, 101])
        rows = np.sort(rng.permutation(len(points))[:LANDMARKS])
        at, how = _laid_out(points[rows], seed)
    else:
        rows, at = known
        how = "UMAP of the features' principal components"
    if len(rows) == len(points):
        places = np.empty((len(points), 2))
        places[rows] = at
        return CellMap(places, how, file)
    how += f"; {len(points) - len(rows):,} of {len(points):,} cells lie at the mean of the {BESIDE} most like them"
    return CellMap(_beside(points, rows, at), how, file)


def components(activation: sp.csc_matrix, seed: int) -> Float[np.ndarray, "cell component"]:
    """Principal components of standardised features over cells; without densifying many cells at once."""
    spread = np.sqrt(np.maximum(np.asarray(activation.power(2).mean(axis=0) - np.square(activation.mean(axis=0))), 0))
    scale = np.divide(1, spread.ravel(), out=np.zeros(spread.size), where=spread.ravel() > 1e-12)
    scaled: Any = sp.csr_matrix(activation @ sp.diags(scale))
    count = min(DIMENSIONS, min(scaled.shape) - 1)
    if count < 1:
        return np.zeros((scaled.shape[0], 1))
    return PCA(count, svd_solver="arpack", random_state=seed).fit_transform(scaled)


def _landmarks(
    tables: RunTables,
) -> tuple[tuple[Int[np.ndarray, " some"], Float[np.ndarray, "some 2"]] | None, str]:
    """Rows and places of the cells on the map of the study ``map``, where it was made of cells that are there."""
    found = tables.found("map")
    if found is None or tables.cells is None:
        return None, "programs/cells.h5ad"
    row = tables.cells.obs_names.astype(str).get_indexer(found.cells["cell"].astype(str))
    if (row < 0).any() or len(np.unique(row)) < len(row):
        return None, "programs/cells.h5ad"
    return (row, found.cells[["x", "y"]].to_numpy(float)), "map/cells.parquet"


def _laid_out(points: Float[np.ndarray, "cell component"], seed: int) -> tuple[Float[np.ndarray, "cell 2"], str]:
    try:
        return plane(points, seed), "UMAP of the features' principal components, made for this atlas"
    except InputError:
        two = np.zeros((len(points), 2))
        two[:, : min(2, points.shape[1])] = points[:, :2]
        return two, "the first two principal components of features (a UMAP needs cellprism[graph])"


def _beside(
    points: Float[np.ndarray, "cell component"], rows: Int[np.ndarray, " some"], at: Float[np.ndarray, "some 2"]
) -> Float[np.ndarray, "cell 2"]:
    count = min(BESIDE, len(rows))
    near = NearestNeighbors(n_neighbors=count).fit(points[rows]).kneighbors(points, return_distance=False)
    places = at[near].mean(axis=1)
    places[rows] = at
    return places
