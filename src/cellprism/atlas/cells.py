"""The cells of an atlas: places, labels and numbers known of them, and a sample of cells x features to ask things of.

- Places are whole numbers of 16 bits, other numbers of 8: a map is looked at. Pages say so.
- The sample holds every feature in at most ``SKETCH`` cells, 8 bits a value, as shares of the feature's largest value.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from cellprism.atlas.cell_map import CellMap, cell_map
from cellprism.atlas.own_map import own_places
from cellprism.atlas.shards import SiteWriter, packed, packed_text, plain
from cellprism.atlas.tables import RunTables

SKETCH, SKETCH_VALUES = 5000, 12_000_000
COLUMNS, LEVELS = 12, 40  # at most: columns known of cells, levels of one


def write_cells(site: SiteWriter, tables: RunTables, own_map: str = "") -> CellMap | None:
    """Write the shards ``cells``, ``cell-names`` and ``sketch``; returns the map, None where the run has no cells.

    Raises:
        InputError: there is no map of the name ``own_map``.
    """
    if tables.cells is None or tables.cells.n_obs == 0:
        return None
    places = own_places(tables, own_map) or cell_map(tables)
    site.shard("cells", {
        "n": tables.cells.n_obs, "places": _places(places.places), "method": places.method, "file": places.file,
        "columns": known_columns(tables),
    })  # fmt: skip
    site.shard("cell-names", packed_text([str(name) for name in tables.cells.obs_names]))
    site.shard("sketch", sketch(tables))
    return places


def _places(places: Float[np.ndarray, "cell 2"]) -> dict[str, Any]:
    low, high = places.min(axis=0), places.max(axis=0)
    span = np.where(high > low, high - low, 1)
    whole = np.round((places - low) / span * 65535).astype(np.uint16)
    return {"x": packed(whole[:, 0]), "y": packed(whole[:, 1]), "low": plain(low), "span": plain(span)}


def known_columns(tables: RunTables) -> list[dict[str, Any]]:
    """What is known of the cells, their type first: levels, or numbers in 255 steps; 255 stands for a missing one."""
    assert tables.cells is not None
    obs = tables.cells.obs
    names = [name for name in obs.columns if name != "cell_type"]
    found = [_column("cell type", tables.types)] if tables.types is not None else []
    found += [_column(str(name), pd.Series(obs[name])) for name in names]
    return [column for column in found if column is not None][:COLUMNS]


def _column(name: str, values: pd.Series) -> dict[str, Any] | None:
    at = "programs/cells.h5ad"
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.to_numpy(float)
        there = np.isfinite(numbers)
        if not there.any() or np.ptp(numbers[there]) == 0:
            return None
        low, high = numbers[there].min(), numbers[there].max()
        steps = np.full(len(numbers), 255, dtype=np.uint8)
        steps[there] = np.round((numbers[there] - low) / (high - low) * 254).astype(np.uint8)
        return {"name": name, "low": plain(low), "high": plain(high), "values": packed(steps), "file": at}
    codes, levels = pd.factorize(values.astype(str))
    if not 1 < len(levels) <= LEVELS and name != "cell type":
        return None
    order = np.argsort(-np.bincount(codes, minlength=len(levels)), kind="stable")
    rank = np.argsort(order, kind="stable")
    return {
        "name": name, "levels": [str(levels[i]) for i in order], "values": packed(rank[codes].astype(np.uint16)),
        "file": at,
    }  # fmt: skip


def sketch(tables: RunTables, seed: int = 0) -> dict[str, Any]:
    """A sample of cells with all features: rows of the cells, and [cell feature] shares of each feature's largest."""
    assert tables.cells is not None
    n, features = tables.cells.n_obs, tables.n_features
    count = max(1, min(n, SKETCH, SKETCH_VALUES // max(1, features)))
    rows = np.sort(np.random.default_rng([seed, 103]).permutation(n)[:count])
    some = tables.activation[rows].toarray()
    largest = np.maximum(some.max(axis=0), 1e-12)
    return {
        "rows": packed(rows.astype(np.uint32)), "features": features, "largest": packed(largest.astype(np.float32)),
        "values": packed(np.round(some / largest * 255).astype(np.uint8)),
    }  # fmt: skip
