"""Gene lists by correlation over cells: the rule by which co-expression modules are made, for anything that cells have.

Lists by mean activation at tokens and lists by correlation over cells match programs at very different rates whatever
made the features, so that features stand beside co-expression modules only where both have lists by this rule.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from cellprism.cells.expression import cell_blocks, log1p_blocks
from cellprism.equations.ratio import variance

ENTRIES = 1 << 24
"""Features x genes of which sums are held together: 128 MiB."""


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
    names, found = list(activations.var_names), {}

    def expression() -> Iterator[sp.csr_matrix]:
        return (sp.csr_matrix(block[:, inside]) for block in log1p_blocks(counts))

    for some, r in _over_blocks(sp.csr_matrix(activations.X), expression, len(inside)):
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
    cells, genes = expression.get_shape()

    def blocks() -> Iterator[Any]:
        return (expression[rows] for rows in cell_blocks(cells))

    yield from _over_blocks(sp.csr_matrix(activations), blocks, genes)


def _over_blocks(
    activations: sp.csr_matrix, expression: Callable[[], Iterator[sp.csr_matrix]], n_genes: int
) -> Iterator[tuple[slice, Float[np.ndarray, "feature gene"]]]:
    """``gene_correlations`` with expression that comes some cells at a time (``cell_blocks``), once for each of the
    stretches of features whose sums are held together."""
    cells, features = activations.get_shape()
    width = max(1, ENTRIES // max(n_genes, 1))
    for start in range(0, features, width):
        some = slice(start, min(start + width, features))
        product, of_z, of_y = np.zeros((some.stop - start, n_genes)), _Moments(), _Moments()
        for rows, y in zip(cell_blocks(cells), expression(), strict=True):
            z = sp.csr_matrix(activations[rows][:, some], dtype=np.float64)
            of_z.add(z)
            of_y.add(y)
            part: Any = sp.csr_matrix(z.T) @ y
            product += part.toarray()
        (average, scale), (mean, spread) = of_z.found(cells), of_y.found(cells)
        product /= cells
        product -= average[:, None] * mean
        both = scale[:, None] * spread
        yield some, np.divide(product, both, out=np.zeros_like(product), where=both > 0)


class _Moments:
    """Sums of columns and of their squares."""

    total: Any = 0.0
    squares: Any = 0.0

    def add(self, x: Any) -> None:
        self.total = self.total + np.asarray(x.sum(axis=0)).ravel()
        self.squares = self.squares + np.asarray(x.power(2).sum(axis=0)).ravel()

    def found(self, n: int) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
        """Mean and standard deviation; what does not vary has none."""
        mean, squares = self.total / n, self.squares / n
        return mean, np.sqrt(variance(mean, squares))
