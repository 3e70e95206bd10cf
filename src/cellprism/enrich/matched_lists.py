"""E2: gene lists that chance would make of genes as frequent, and as often detected, as those of the observed lists.

Notable choices

- What is matched is a gene's mean of log1p counts per ten thousand and the share of cells that have it. The two go
  together but for genes of few cells, high there and absent elsewhere, which are the ones that mark cell types: so
  genes are cut into blocks by mean first, and each block into groups by detection.
- One permutation within the groups renames the genes of all lists, as popularity-matched lists do (``random_lists``).
  Kept exactly: the size of every list, and how many genes any two lists share. Kept up to the spread within a group:
  mean and detection of each gene of each list. Broken: which gene stands where.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from anndata import AnnData
from jaxtyping import Float, Int

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.random_lists import GeneTable, Seed, gene_table
from cellprism.equations.locality import permuted_within

GROUP = 20  # genes that may stand in for each other
BLOCK = 3 * GROUP  # genes of like mean expression, which detection cuts into groups


class Levels(NamedTuple):
    """How frequent each gene is."""

    mean: Float[np.ndarray, " gene"]
    """Of log1p counts per ten thousand over cells."""
    detected: Float[np.ndarray, " gene"]
    """Share of the cells that have it."""


def gene_levels(adata: AnnData, genes: Iterable[str]) -> Levels:
    """Mean expression and detection of some genes; those that the cells do not measure have 0 of both.

    Args:
        adata: cells x genes, raw counts in X.
        genes: in the order wanted.
    """
    place = adata.var_names.get_indexer(list(genes))
    expression = log1p_cp10k(adata)
    mean = np.asarray(expression.mean(axis=0)).ravel()
    detected = np.bincount(expression.indices[expression.data > 0], minlength=adata.n_vars) / adata.n_obs
    return Levels(*(np.where(place >= 0, values[place], 0.0) for values in (mean, detected)))


def matched_groups(levels: Levels) -> Int[np.ndarray, " gene"]:
    """The group of each gene: those of a group are alike in mean expression and in detection.

    Blocks of ``BLOCK`` neighbours by mean are cut into groups of ``GROUP`` neighbours by detection, the last of each
    with what is left.
    """
    group, number = np.empty(len(levels.mean), dtype=np.int64), 0
    for block in _cut(np.argsort(levels.mean, kind="stable"), BLOCK):
        for part in _cut(block[np.argsort(levels.detected[block], kind="stable")], GROUP):
            group[part], number = number, number + 1
    return group


def matched_table(lists: GeneTable, group: Int[np.ndarray, " gene"], seed: Seed) -> GeneTable:
    """``lists`` with every gene renamed to one of its group, by one permutation."""
    permutation = permuted_within(group, np.random.default_rng(seed))
    return GeneTable(np.where(lists.gene < 0, -1, permutation[lists.gene]), lists.size)


def matched_lists(
    lists: Mapping[Any, Iterable[str]], adata: AnnData, background: Iterable[str], seed: Seed = 0
) -> dict[Any, tuple[str, ...]]:
    """E2: the observed lists with every gene renamed to one of like mean expression and detection.

    Args:
        lists: name -> genes; those outside the background are dropped.
        adata: cells x genes, raw counts in X.
        background: genes that may be in a list.
        seed: of the permutation.
    """
    place = {gene: i for i, gene in enumerate(dict.fromkeys(background))}
    group = matched_groups(gene_levels(adata, place))
    return matched_table(gene_table(lists.values(), place), group, seed).named(lists, list(place))


def _cut(ranked: Int[np.ndarray, " some"], size: int) -> list[Int[np.ndarray, " part"]]:
    """Neighbours together, at least ``size`` where there are as many."""
    return np.array_split(ranked, max(1, len(ranked) // size))
