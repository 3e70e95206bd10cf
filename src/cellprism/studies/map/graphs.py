"""Graphs of nearest neighbours: modules in them, and a map of them. Needs the extra ``graph``.

Notable choices

- Modules by the Leiden algorithm on modularity (Traag et al. 2019), maps by UMAP (McInnes et al. 2018), both as igraph
  has them: from the same graph of neighbours, with nothing to compile before the first point.
- Random numbers come from a generator of the study's own, so that a seed gives the same result; a map starts from the
  first two principal components.
"""

import random
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from cellprism.errors import InputError

NEAR = 15  # neighbours of a point
EPOCHS = 200


def igraph() -> Any:
    """The library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import igraph as library
    except ImportError as error:
        raise InputError(
            "a map of features needs igraph, which is not installed; pip install 'cellprism[graph]'"
        ) from error
    return library


@contextmanager
def _seeded(library: Any, seed: int):
    library.set_random_number_generator(random.Random(seed))
    try:
        yield
    finally:
        library.set_random_number_generator(random)


def modules(
    near: Int[np.ndarray, "point near"], weight: Float[np.ndarray, "point near"], resolution: float, seed: int
) -> tuple[Int[np.ndarray, " point"], float]:
    """Modules of points, the largest 0, and the modularity at resolution 1.

    Args:
        near: the nearest points of each.
        weight: how near they are; only positive ones join. Two points are joined by the sum of both directions.
        resolution: larger makes more and smaller modules.
        seed: of the search.
    """
    library = igraph()
    joined = weight > 0
    row = np.repeat(np.arange(len(near)), near.shape[1])[joined.ravel()]
    graph = library.Graph(len(near), np.stack([row, near[joined]], axis=1).tolist())
    graph.es["weight"] = weight[joined].tolist()
    graph.simplify(combine_edges="sum")
    with _seeded(library, seed):
        found = graph.community_leiden(
            objective_function="modularity", weights="weight", resolution=resolution, n_iterations=-1
        )
    number = np.array(found.membership, dtype=np.int64)
    rank = np.argsort(np.argsort(-np.bincount(number, minlength=1), kind="stable"), kind="stable")
    worth = graph.modularity(found.membership, weights="weight") if graph.ecount() else 0.0
    return rank[number], float(worth)


def plane(points: Float[np.ndarray, "point d"], seed: int, cosine: bool = False) -> Float[np.ndarray, "point 2"]:
    """Points on a plane, near ones near each other; all at 0 where there are fewer than four, or
    all are the same.

    Args:
        points: at least as many as are near one another, else fewer neighbours are used.
        seed: of the layout.
        cosine: whether near means a small angle, else a small distance.
    """
    if len(points) < 4 or not np.ptp(points, axis=0).any():
        return np.zeros((len(points), 2))
    library = igraph()
    count = min(NEAR, len(points) - 1)
    search = NearestNeighbors(n_neighbors=count, metric="cosine" if cosine else "euclidean").fit(points)
    distance, index = search.kneighbors()  # of each point the others, also where some lie in one place
    row = np.repeat(np.arange(len(points)), count)
    graph = library.Graph(len(points), np.stack([row, index.ravel()], axis=1).tolist(), directed=True)
    start = PCA(2, svd_solver="full").fit_transform(points)
    start = 10 * start / max(float(np.abs(start).max()), 1e-12)
    with _seeded(library, seed):
        found = graph.layout_umap(dist=np.maximum(distance, 0).ravel().tolist(), seed=start.tolist(), epochs=EPOCHS)
    return np.array(found.coords)
