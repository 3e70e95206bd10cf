"""Gene lists by correlation over cells: the rule by which co-expression modules are made, for anything that cells have.

Lists by mean activation at tokens and lists by correlation over cells match programs at very different rates whatever
made the features, so that features stand beside co-expression modules only where both have lists by this rule.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.column_blocks import column_blocks
from cellprism.equations.ratio import is_spread


def correlated_lists(
    activations: AnnData, counts: AnnData, background: Iterable[str], size: int
) -> dict[str, tuple[str, ...]]:
    """The genes with the highest correlation over cells with each feature's activation, strongest first.

    Args:
        activations: cells x features.
        counts: the same cells, raw counts; correlated is log1p CP10k.
        background: genes that may be in a list.
        size: genes a list, fewer where fewer correlate positively.

    Returns:
        Feature name -> genes; features that do not vary between cells have none.
    """
    inside = np.flatnonzero(counts.var_names.isin(list(background)))
    genes = counts.var_names[inside].to_numpy()
    y, found = sp.csr_matrix(log1p_cp10k(counts)[:, inside]), {}
    names: Sequence[str] = list(activations.var_names)
    for some, r in gene_correlations(sp.csc_matrix(activations.X), y):
        ranked = np.argsort(-r, axis=1, kind="stable")[:, :size]
        for name, row, order in zip(names[some], r, ranked, strict=True):
            found[name] = tuple(genes[[i for i in order if row[i] > 0]].tolist())
    return found


def gene_correlations(
    activations: sp.csc_matrix, expression: sp.csr_matrix
) -> Iterator[tuple[slice, Float[np.ndarray, "feature gene"]]]:
    """Pearson correlation over cells of each feature with each gene, some features at a time; 0 where either does not
    vary.

    Args:
        activations: [cell feature].
        expression: [cell gene], log-normalised.
    """
    mean, spread = _moments(expression)
    cells, features = activations.get_shape()
    for some in column_blocks(cells, features):
        z: Any = activations[:, some].astype(np.float64)  # pyright: ignore[reportOptionalSubscript]
        average, scale = _moments(z)
        product = np.asarray((z.T @ expression).todense()) / cells - average[:, None] * mean
        both = scale[:, None] * spread
        yield some, np.divide(product, both, out=np.zeros_like(product), where=both > 0)


def _moments(x: Any) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Mean and standard deviation of columns; what does not vary has none."""
    mean = np.asarray(x.mean(axis=0)).ravel()
    squares = np.asarray(x.power(2).mean(axis=0)).ravel()
    variance = squares - mean**2
    return mean, np.sqrt(np.where(is_spread(variance, squares), variance, 0))
