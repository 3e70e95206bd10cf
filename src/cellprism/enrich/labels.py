"""Words for features: the program, and the type of cell, that each is best described by.

Notable choices

- A label is given only where a test, corrected for all that was tried, supports it; else it is empty.
- Cell types are compared by rank (AUROC with its Mann-Whitney p), since activations are far from normal and
  mostly zero. Cells of one donor are not replicates: the p-value is about these cells, not about people.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float, Shaped
from scipy.stats import false_discovery_control, mannwhitneyu

from cellprism.enrich.column_blocks import column_blocks
from cellprism.errors import CellsError

UNLABELLED = "unlabelled"


def best_terms(table: pd.DataFrame, features: Sequence, alpha: float = 0.05) -> pd.DataFrame:
    """The term that fits each feature best.

    Args:
        table: from ``over_representation``.
        features: which features to label, in this order; those without a row in the table are not annotated.
        alpha: a term counts at padj < alpha.

    Returns:
        feature, best_term (empty where none is significant), best_padj (1 where no gene is shared with any
        term), n_terms (how many are significant).
    """
    ranked = table.sort_values(["padj", "pvalue", "overlap"], ascending=[True, True, False], kind="stable")
    best = ranked.drop_duplicates("feature").set_index("feature").reindex(features)
    counts = table.loc[table["padj"] < alpha, "feature"].value_counts().reindex(features, fill_value=0)
    return pd.DataFrame(
        {
            "feature": list(features),
            "best_term": np.where(best["padj"] < alpha, best["term"], ""),
            "best_padj": best["padj"].fillna(1.0).to_numpy(dtype=float),
            "n_terms": counts.to_numpy(dtype=int),
        }
    )


def top_cell_types(activations: AnnData, key: str = "cell_type", alpha: float = 0.05) -> pd.DataFrame:
    """The cell type in which each feature stands out most against all other labelled cells.

    Args:
        activations: cells x features, with labels in ``obs[key]``. Cells labelled "unlabelled" take no part.
        key: column of labels.
        alpha: level for the corrected test.

    Returns:
        feature, top_cell_type (empty where padj >= alpha), auroc (0.5: no difference; of the type with the
        highest), padj (two-sided Mann-Whitney with normal approximation; Benjamini-Hochberg over all features
        and types).

    Raises:
        CellsError: no such column, or fewer than two labelled types.
    """
    if key not in activations.obs:
        raise CellsError(
            "activations",
            [f"obs has no column {key!r}; it has {', '.join(activations.obs.columns) or 'none'}"],
        )
    labels = activations.obs[key].astype(str).to_numpy()
    known = labels != UNLABELLED
    labels = labels[known]
    types = np.unique(labels)
    if len(types) < 2:
        raise CellsError(
            "activations", [f"obs[{key!r}] has {len(types)} labelled type(s); comparing needs two or more"]
        )
    columns = sp.csc_matrix(activations.X)
    blocks = [
        _rank_test(columns[:, some].toarray()[known], labels, types)
        for some in column_blocks(len(labels), activations.n_vars)
    ]
    auroc, pvalue = (np.concatenate(parts, axis=1) for parts in zip(*blocks, strict=True))
    padj = false_discovery_control(pvalue.ravel()).reshape(pvalue.shape)
    top = auroc.argmax(axis=0)
    column = np.arange(activations.n_vars)
    return pd.DataFrame(
        {
            "feature": list(activations.var_names),
            "top_cell_type": np.where((padj[top, column] < alpha) & (auroc[top, column] > 0.5), types[top], ""),
            "auroc": auroc[top, column],
            "padj": padj[top, column],
        }
    )


def _rank_test(
    values: Float[np.ndarray, "cell feature"], labels: Shaped[np.ndarray, " cell"], types: Shaped[np.ndarray, " type"]
) -> tuple[Float[np.ndarray, "type feature"], Float[np.ndarray, "type feature"]]:
    """AUROC of each type against all other cells, and its p; 0.5 and 1 for features that do not vary."""
    auroc = np.full((len(types), values.shape[1]), 0.5)
    pvalue = np.ones_like(auroc)
    varies = values.min(axis=0) < values.max(axis=0)
    for row, name in enumerate(types):
        inside = labels == name
        test = mannwhitneyu(
            values[np.ix_(inside, varies)], values[np.ix_(~inside, varies)], method="asymptotic", axis=0
        )
        auroc[row, varies] = test.statistic / (inside.sum() * (~inside).sum())
        pvalue[row, varies] = test.pvalue
    return auroc, pvalue
