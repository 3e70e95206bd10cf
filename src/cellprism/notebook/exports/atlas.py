"""A table with a map, as ``embedding-atlas`` reads it: one row a cell or a feature, ``x``, ``y``, and what is known."""

from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellprism.errors import ConfigError
from cellprism.notebook.opened import OpenRun
from cellprism.report.frames import ordered, texts, where
from cellprism.store.tables import write_table

PLACE = ["x", "y"]
SHOWN = 24
"""Features that are columns of the table of cells: those with a program that fire most."""


def write_parquet(run: OpenRun, out: Path, of: str = "cells") -> list[Path]:
    """Write the table; ``embedding-atlas OUT --x x --y y`` shows it.

    Args:
        run: the run.
        out: a parquet file.
        of: ``cells``, with their labels and the activation of the features that have a program and fire most, or
            ``features``, with everything that the run says of them in words (``text``).

    ``x`` and ``y`` are the maps of the study ``map`` where it was done, else the first two principal components of
    cells x features, or of features x genes.

    Raises:
        ConfigError: neither cells nor features.
    """
    if of not in ("cells", "features"):
        raise ConfigError(f"of is {of!r}: expected cells or features")
    kind: Literal["cells", "features"] = "cells" if of == "cells" else "features"
    table = _cells(run) if kind == "cells" else _features(run)
    place, how = _places(run, kind, len(table))
    known = table.drop(columns=[name for name in PLACE if name in table])
    write_table(out, pd.concat([pd.DataFrame(place, columns=pd.Index(PLACE)).assign(map=how), known], axis=1))
    return [out]


def _cells(run: OpenRun) -> pd.DataFrame:
    held = run.cell_features
    table = cast(pd.DataFrame, held.obs).reset_index(names="cell")
    features = run.features
    named = ordered(where(features, features["best_term"].fillna("") != ""), "firing_rate", rising=False).head(SHOWN)
    activity: Any = held.X
    for feature, term in zip(named.index, texts(named, "best_term"), strict=True):
        column: Any = activity[:, int(str(feature))]
        table[f"{feature} {term}"] = np.asarray(column.toarray() if sp.issparse(column) else column).ravel()
    return table


def _features(run: OpenRun) -> pd.DataFrame:
    table = run.features.reset_index()
    programs = table["best_term"].fillna("").replace("", "no program")
    said = [f"feature {n}, {t}: {g}" for n, t, g in zip(table["feature"], programs, table["top_genes"], strict=True)]
    table.insert(1, "text", pd.Series(said, index=table.index))
    return table


def _places(run: OpenRun, kind: str, rows: int) -> tuple[np.ndarray, str]:
    """The places on the map, and how they were made."""
    name = f"map/{kind}"
    mapped = run.tables.get(name)
    if isinstance(mapped, pd.DataFrame) and set(PLACE) <= set(mapped) and len(mapped) == rows:
        places = mapped[PLACE].to_numpy(float)
        if np.isfinite(places).all():
            return places, "study map"
    held: Any = run.cell_features.X if kind == "cells" else run.feature_genes.X
    values = np.asarray(held.toarray() if sp.issparse(held) else held, dtype=np.float64)
    values = values - values.mean(axis=0)
    from sklearn.decomposition import PCA

    return PCA(2, svd_solver="randomized", random_state=0).fit_transform(values), "principal components"
