"""The map of features: lists that share genes, features that are active together, neighbours, and two maps.

Notable choices

- Gene lists are those of the study ``programs``, and so are the background and the collection of their terms.
- Features are put on a map by their decoder rows, which is what each writes into the inner state; cells by the features
  that are active in them. Each map is made once: two made apart could not be compared.
"""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float, Int
from sklearn.decomposition import PCA

from cellprism.enrich.membership import term_table
from cellprism.enrich.overlap_graph import Overlaps, overlaps
from cellprism.equations.ratio import varies
from cellprism.errors import InputError
from cellprism.studies.files import read_h5ad
from cellprism.studies.map import neighbours
from cellprism.studies.map.activity import modules_of, near_by_activity, standardised
from cellprism.studies.map.components import DRAWS, Meaning, alike, graph_of, histogram_table, random_graphs
from cellprism.studies.map.graphs import igraph, plane
from cellprism.studies.map.neighbours import Near, duplicates, nearest, neighbour_table
from cellprism.studies.map.settings import MapSettings
from cellprism.studies.map.tables import COMPONENTS, MODULES, Alike, Found, Summary
from cellprism.studies.programs.gene_lists import list_background
from cellprism.studies.programs.tables import CELLS, Programs, lists_of, read_genes, signed_term
from cellprism.studies.workbench import Workbench

DIMENSIONS = 30  # principal components of features over cells, by which cells are near
FEWEST = 3  # features that fire


def work(bench: Workbench, settings: MapSettings) -> Found:
    """Put the features on a map."""
    igraph()
    programs, tested, seed = bench.results("programs"), bench.settings("programs"), bench.config.seed
    features = programs.features
    rate = features["firing_rate"].to_numpy(float)
    live = np.flatnonzero(rate > 0)
    if len(live) < FEWEST:
        raise InputError(f"{len(live)} features fire on these cells; a map takes at least {FEWEST}: train for longer")
    lists = lists_of(programs)
    genes = read_genes(bench.folder_of("programs"))
    background = list_background(genes, bench.cells, tested.gene_filter)
    terms = term_table(bench.collection(tested.collection), background, tested.min_term_size)
    with bench.bar("features that share genes", None):
        meaning = Meaning(lists, terms)
        shared = overlaps(meaning.own.member)
        joined = shared.above(settings.overlap)
        component = joined.components()
        random, histogram = random_graphs(lists, terms, settings.overlap, seed)
    cells, activation = _some_cells(bench, settings.cells, live)
    with bench.bar("features that are active together", None):
        module, modules = modules_of(activation, settings.resolution, seed)
    of_list = np.searchsorted(live, [int(name) for name in lists])
    with bench.bar("whether features of a group mean the same", None):
        every = {COMPONENTS: component, MODULES: module[of_list]}
        like = {n: alike(meaning, n, g, settings.permutations, settings.renamed, seed) for n, g in every.items()}
    rows: Any = bench.sae.W_dec.detach().cpu().numpy()[live].astype(np.float64)
    near = nearest_of(rows, shared, of_list, activation)
    table = feature_rows(
        programs, live, component, list(lists), module, duplicates(near[neighbours.DECODER], rate[live])
    )
    with bench.bar("maps of features and of cells", None):
        table.loc[live, ["x", "y"]] = plane(rows, seed, cosine=True)
        places = cell_rows(cells, activation, seed)
    summary = Summary(
        len(features), len(live), int((table["duplicate_of"] >= 0).sum()), cells.n_obs, settings.overlap,
        graph_of(joined, component), random, DRAWS, bench.collection(tested.collection).name,
        [some for some in like.values() if isinstance(some, Alike)],
        {name: why for name, why in like.items() if isinstance(why, str)}, modules,
    )  # fmt: skip
    by = pd.concat([neighbour_table(live, kind, some) for kind, some in near.items()], ignore_index=True)
    return Found(summary, table, by, places, histogram_table(shared, histogram))


def _some_cells(bench: Workbench, most: int, live: Int[np.ndarray, " live"]) -> tuple[AnnData, Any]:
    """Some cells, and the mean activation in each of the features that fire."""
    rng = np.random.default_rng([bench.config.seed, 83])
    rows = np.sort(rng.permutation(bench.cells.n_obs)[:most])
    every: Any = sp.csr_matrix(read_h5ad(bench.folder_of("programs") / CELLS).X)[rows][:, live]
    return bench.cells[rows].copy(), every.toarray().astype(np.float64)


def nearest_of(
    rows: Float[np.ndarray, "live d_model"],
    shared: Overlaps,
    place: Int[np.ndarray, " list"],
    activation: Float[np.ndarray, "cell live"],
) -> dict[str, Near]:
    """The nearest of the features that fire, by each kind of similarity; places are those among them.

    Args:
        rows: decoder rows.
        shared: pairs of gene lists that share a gene.
        place: of the feature of each list.
        activation: mean activation in cells.
    """
    n, count = len(rows), min(neighbours.SHOWN, len(rows) - 1)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    matrix = shared.matrix().tocoo()
    by_genes = sp.csr_matrix((matrix.data, (place[matrix.row], place[matrix.col])), shape=(n, n))
    return {
        neighbours.DECODER: nearest(lambda some: unit[some] @ unit.T, n, count),
        neighbours.GENES: nearest(lambda some: by_genes[some].toarray(), n, count),
        neighbours.ACTIVITY: near_by_activity(standardised(activation), count),
    }


def feature_rows(
    programs: Programs,
    live: Int[np.ndarray, " live"],
    component: Int[np.ndarray, " list"],
    listed: list[str],
    module: Int[np.ndarray, " live"],
    duplicate: Int[np.ndarray, " live"],
) -> pd.DataFrame:
    """One row a feature, without its place on the map."""
    table = programs.features
    n = len(table)
    of_component, of_module, of_duplicate = (np.full(n, -1) for _ in range(3))
    of_component[[int(name) for name in listed]] = component
    of_module[live] = module
    of_duplicate[live] = np.where(duplicate >= 0, live[duplicate], -1)
    size = np.bincount(component[component >= 0], minlength=1)
    dead = np.ones(n, dtype=bool)
    dead[live] = False
    return pd.DataFrame({
        "feature": table["feature"], "firing_rate": table["firing_rate"], "dead": dead, "component": of_component,
        "component_size": np.where(of_component >= 0, size[of_component], 1), "module": of_module,
        "duplicate_of": of_duplicate, "x": np.nan, "y": np.nan, "top_genes": table["top_genes"],
        "best_term": [signed_term(str(t), str(s)) for t, s in zip(table["best_term"], table["sign"], strict=True)],
        "high_in": table["high_in"],
    })  # fmt: skip


def cell_rows(cells: AnnData, activation: Float[np.ndarray, "cell live"], seed: int) -> pd.DataFrame:
    """Where each cell lies on a map by its features."""
    spread = activation[:, varies(activation)]
    count = min(DIMENSIONS, *spread.shape)
    scaled = (spread - spread.mean(axis=0)) / spread.std(axis=0)
    points = PCA(count, svd_solver="full").fit_transform(scaled) if count else np.zeros((len(spread), 1))
    place = plane(points, seed)
    types = cells.obs["cell_type"].astype(str) if "cell_type" in cells.obs else ""
    return pd.DataFrame({
        "cell": [str(name) for name in cells.obs_names], "cell_type": np.asarray(types), "x": place[:, 0],
        "y": place[:, 1],
    })  # fmt: skip
