"""Where results lie in a user's AnnData: named slots, beside which nothing is touched.

- ``obsm["X_cellprism"]``, sparse [cell feature]: mean activation of every feature in every cell
- ``uns["cellprism_features"]``, a data frame with a row a feature: what the run says of it
- ``uns["cellprism_recipe"]``: how the activations were made

With another ``key`` each name has it in place of ``cellprism``.
"""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.errors import CellsError
from cellprism.store.whole_number import feature_number

KEY = "cellprism"
SAID = (
    "top_genes", "best_term", "best_padj", "n_terms", "sign", "high_in", "low_in", "top_cell_type", "firing_rate",
    "participation_ratio", "grade",
)  # fmt: skip
"""Columns of the features that go along, where a run has them."""


def fill(adata: AnnData, activity: Any, features: pd.DataFrame, recipe: dict[str, Any], key: str) -> None:
    """Write the slots; those of another key, and everything else, stay as they are."""
    said = features[[name for name in SAID if name in features]].copy()
    said.index = said.index.astype(str)
    for name in said.select_dtypes(object):
        said[name] = pd.Series(said[name]).fillna("").astype(str)
    adata.obsm[f"X_{key}"] = sp.csr_matrix(activity, dtype=np.float32)
    adata.uns[f"{key}_features"] = said
    adata.uns[f"{key}_recipe"] = recipe


def activity_of(adata: AnnData, key: str = KEY) -> sp.csr_matrix:
    """The activations [cell feature] in an AnnData.

    Raises:
        CellsError: there are none under this key.
    """
    if f"X_{key}" not in adata.obsm:
        raise CellsError(
            "the AnnData", [f"there is no obsm['X_{key}']; write it with cp.tl.features(adata, run) first"]
        )
    return sp.csr_matrix(adata.obsm[f"X_{key}"])


def column_of(adata: AnnData, feature: int, key: str = KEY) -> np.ndarray:
    """One feature's activation in every cell.

    Raises:
        CellsError: there are no activations.
        ConfigError: there is no such feature.
    """
    activity: Any = activity_of(adata, key)
    return activity[:, feature_number(feature, activity.shape[1])].toarray().ravel()


def name_of(features: pd.DataFrame, feature: int) -> str:
    """A feature in words: its number, and its program where it has one."""
    row = features.loc[str(feature)] if str(feature) in features.index else features.loc[feature]
    term, low = str(row.get("best_term", "") or ""), row.get("sign") == "low"
    said = f": {'low ' if low else ''}{term}" if term else ""
    return f"feature {feature}{said}"
