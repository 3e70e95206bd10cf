"""What could be a label, and how each foretells the activation of features in some cells.

- A cell type foretells by membership. A program, and the genes of a feature, foretell by their mean expression in the
  cell, each gene in units of its spread.
- A feature is to be told in the cells in which it is active: the strongest tenth of those in which it fires.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich.column_blocks import column_blocks
from cellprism.enrich.correlated import gene_correlations
from cellprism.equations.locality import permuted_within
from cellprism.equations.recovery import auroc, auroc_of_ranks

TENTH = 0.1
FEWEST = 5  # cells in which a feature is active, and others


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells, what they express, and in which of them each feature is active."""

    expression: sp.csr_matrix
    """log1p counts per ten thousand [cell gene] of the genes that may be in a label, each over its spread."""
    activation: Float[np.ndarray, "cell feature"]
    active: Bool[np.ndarray, "cell feature"]
    types: Int[np.ndarray, " cell"]
    """Number of each cell's type, -1 without one."""


def cells_of(
    counts: AnnData, genes: Int[np.ndarray, " gene"], activation: Float[np.ndarray, "cell feature"], names: list[str]
) -> Cells:
    """Cells with what labels need.

    Args:
        counts: raw counts.
        genes: columns of the genes that may be in a label.
        activation: mean activation.
        names: of the cell types that count.
    """
    y: Any = sp.csr_matrix(log1p_cp10k(counts)[:, genes], dtype=np.float64)
    mean = np.asarray(y.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(y.multiply(y).mean(axis=0)).ravel() - mean**2, 0))
    over = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6)
    labels = counts.obs["cell_type"].astype(str) if "cell_type" in counts.obs else [""] * counts.n_obs
    number = {name: i for i, name in enumerate(names)}
    types = np.array([number.get(str(label), -1) for label in labels])
    return Cells(sp.csr_matrix(y @ sp.diags(over)), activation, active_cells(activation), types)


def active_cells(activation: Float[np.ndarray, "cell feature"]) -> Bool[np.ndarray, "cell feature"]:
    """Cells in which each feature is strong: above what nine in ten cells have."""
    return activation > np.quantile(activation, 1 - TENTH, axis=0, method="higher", keepdims=True)


def can_be_told(cells: Cells) -> Bool[np.ndarray, " feature"]:
    """Features that are active in enough cells, and not in enough."""
    active = cells.active.sum(axis=0)
    return (active >= FEWEST) & (len(cells.active) - active >= FEWEST)


def by_type(cells: Cells, types: int) -> Float[np.ndarray, "type feature"]:
    """AUROC with which each cell type foretells each feature."""
    return _told(sp.csr_matrix(cells.types[:, None] == np.arange(types)[None, :], dtype=np.float64), cells.active)


def by_genes(cells: Cells, member: Any) -> Float[np.ndarray, "set feature"]:
    """AUROC with which the mean expression of each set of genes [set gene] foretells each feature."""
    size = np.asarray(member.sum(axis=1), dtype=np.float64).ravel()
    return _told(sp.csr_matrix(cells.expression @ sp.csr_matrix(member).T @ sp.diags(1 / size)), cells.active)


def like_it(
    cells: Cells,
    label: Int[np.ndarray, " feature"],
    member: Any,
    types: Int[np.ndarray, " label"],
    group: Int[np.ndarray, " gene"],
    seed: list[int],
) -> Float[np.ndarray, " feature"]:
    """AUROC with which a label like each feature's own, but of other genes or other cells, foretells the feature.

    One permutation renames the genes of all labels within groups of like mean expression and detection, another deals
    the cell types out anew.

    Args:
        cells: to be told.
        label: number of each feature's label.
        member: genes of each label [label gene]; none of one that is a cell type.
        types: cell type of each label, -1 of one that has genes.
        group: of each gene, see ``enrich.matched_lists.matched_groups``.
        seed: of the permutations.
    """
    rng = np.random.default_rng(seed)
    score = (cells.expression[:, permuted_within(group, rng)] @ sp.csr_matrix(member).T).toarray()
    named = types >= 0
    score[:, named] = rng.permutation(cells.types)[:, None] == types[None, named]
    ranks = rankdata(score, axis=0)[:, label]
    return auroc_of_ranks(
        np.einsum("cf,cf->f", ranks, cells.active), cells.active.sum(axis=0, dtype=np.float64), len(ranks)
    )


def _told(score: sp.csr_matrix, active: Bool[np.ndarray, "cell feature"]) -> Float[np.ndarray, "score feature"]:
    columns = sp.csc_matrix(score)
    blocks = column_blocks(*columns.get_shape())
    return np.concatenate([auroc(columns[:, some].toarray(), active) for some in blocks])


def leading_genes(cells: Cells, n: int) -> Int[np.ndarray, "feature n"]:
    """The n genes whose expression goes most with each feature over cells, strongest first."""
    found = gene_correlations(sp.csc_matrix(cells.activation), cells.expression)
    return np.concatenate([np.argsort(-r, axis=1, kind="stable")[:, :n] for _, r in found])
