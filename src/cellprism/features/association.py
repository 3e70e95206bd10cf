"""Feature x gene tables of models that read a cell as a whole: what the cells express in which a feature fires.

Notable choices

- Such a model has no token a gene, so nothing fires at a gene. A gene belongs to a feature as far as it is higher than
  usual in the cells in which the feature fires (``equations.association.weighted_shift``), from the cells' own counts.
- Genes that are lower there are kept in a layer; lists and participation ratios are of genes that are higher, since
  low genes are what other features are about.
- Shifts that other cells in the same number would show as well are taken for 0: thousands of them would drown the
  genes that a participation ratio is to count.
- Sums over cells are taken some cells at a time: of many cells neither their logarithms nor, where activations come
  in parts, these are held whole.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from cellprism.cells.expression import cell_blocks, log1p_blocks
from cellprism.equations.association import ShiftSums
from cellprism.equations.footprint import participation_ratio

CHANCE = 3.0
"""Shifts count from this many of their standard deviations among cells drawn at random."""


def association_table(z: sp.csr_matrix, adata: AnnData, names: pd.Index, recipe: dict[str, Any]) -> AnnData:
    """``association_of`` activations [cell feature] that are held whole."""
    return association_of((z[rows] for rows in cell_blocks(adata.n_obs)), adata, names, recipe)


def association_of(parts: Iterable[sp.csr_matrix], adata: AnnData, names: pd.Index, recipe: dict[str, Any]) -> AnnData:
    """Features x genes by association, in the form of ``features.collect.feature_genes``.

    Args:
        parts: activations [cell feature] of the cells of each of ``cell_blocks``.
        adata: the cells, raw counts.
        names: of the features.
        recipe: goes into ``uns["cellprism"]``.

    Returns:
        AnnData. ``X``: how much higher each gene is in the cells in which the feature fires, in standard deviations
        over cells; 0 where it is lower, or by less than ``CHANCE`` times what chance gives. Layer ``shift``: the same
        for all genes and both signs. obs: ``firing_rate`` (share of cells), ``participation_ratio`` and ``n_genes`` of
        ``X``. var is that of ``adata``.
    """
    sums, fired = ShiftSums(len(names), adata.n_vars), np.zeros(len(names), dtype=np.int64)
    for z, y in zip(parts, log1p_blocks(adata), strict=True):
        sums.add(z, y)
        fired += np.bincount(z.indices[z.data != 0], minlength=len(names))
    shift, chance = sums.shift(), sums.chance()[:, None]
    kept = np.where((chance > 0) & (shift >= CHANCE * chance), shift, 0)
    obs = pd.DataFrame(
        {
            "firing_rate": fired / adata.n_obs,
            "participation_ratio": participation_ratio(kept),
            "n_genes": (kept > 0).sum(axis=1),
        },
        index=names,
    )
    return AnnData(
        X=kept.astype(np.float32),
        obs=obs,
        var=cast(pd.DataFrame, adata.var).copy(),
        layers={"shift": shift.astype(np.float32)},
        uns={"cellprism": recipe},
    )


def in_blocks(rows: Iterable[Float[np.ndarray, "_ feature"]], n_cells: int) -> Iterator[sp.csr_matrix]:
    """Activations that come some cells at a time, in order, as the parts that ``association_of`` takes."""
    parts, whole = iter(rows), np.empty((0, 0))
    for block in cell_blocks(n_cells):
        held, have = [whole] if len(whole) else [], len(whole)
        while have < block.stop - block.start:
            held.append(next(parts))
            have += len(held[-1])
        together = np.concatenate(held)
        whole = together[block.stop - block.start :]
        yield sp.csr_matrix(together[: block.stop - block.start])
