"""A cell model whose wiring is given: what it predicts of a gene is a weighted sum of the genes that it sees.

y_j = b_j + sum over visible s of W[s, j] v_s, with v the input. The residual stream has one dimension that carries the
value of a token's own gene, 0 where it is hidden, and one that is always 0. So every effect of an input, a feature or a
deletion is known exactly: raising s by d moves j by W[s, j] d, and nothing else does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float
from torch import Tensor

from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import CellBatch, CellOutput

HIDDEN = -1.0
WIDTH = 2


class WiredCell:
    """The model; see the module's docstring. Inputs are counts.

    Args:
        wiring: W, from the gene that is seen (row) to the gene that is predicted (column).
        seed: of the untrained control, which has the same weights in random places.
    """

    name, revision, licence = "wired", "1", "none"
    card: Mapping[str, Any] = MappingProxyType({})
    n_layers, d_model = 2, WIDTH
    gene_table = None
    tokens: Literal["genes"] = "genes"
    predicts: Literal["expression"] = "expression"
    trained_at: Literal["hidden", "visible"] = "visible"

    def __init__(self, wiring: Float[np.ndarray, "gene gene"]):
        self.wiring = torch.from_numpy(wiring).float().clone().fill_diagonal_(0)
        self.genes = tuple(f"G{i}" for i in range(len(wiring)))

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """A token for each column of the cells."""
        gene = torch.tensor([self.genes.index(name) for name in adata.var_names])
        counts = sp.csr_matrix(adata.X)
        for start in range(0, adata.n_obs, size):
            values = torch.from_numpy(counts[start : start + size].toarray()).float()
            cell = torch.arange(start, start + len(values))
            yield CellBatch(values, gene, torch.ones(values.shape, dtype=torch.bool), cell)

    def mask(self, batch: CellBatch, hidden: Bool[Tensor, "cell token"]) -> CellBatch:
        """The batch with tokens hidden."""
        return replace(batch, values=batch.values.masked_fill(hidden, HIDDEN))

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """The value of each visible token."""
        seen = torch.where(batch.values == HIDDEN, 0, batch.values)
        return torch.stack([seen, torch.zeros_like(seen)], dim=-1)

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """The weighted sums."""
        said = 1 + x[..., 0] @ self.wiring[batch.gene][:, batch.gene]
        return CellOutput(said, x.mean(dim=1), x)

    def reinitialised(self, seed: int) -> "WiredCell":
        """The same weights, each somewhere else."""
        n = len(self.genes)
        order = np.random.default_rng([seed, 73]).permutation(n * n)
        return WiredCell(self.wiring.numpy().ravel()[order].reshape(n, n))


def wired_sae() -> SparseAutoencoder:
    """The autoencoder with one feature a sign: the value of a token."""
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    return SparseAutoencoder(rows.T.contiguous(), torch.zeros(2), rows, torch.zeros(WIDTH), k=1)


def wired_cells(genes: int, cells: int, seed: int) -> AnnData:
    """Counts without any structure."""
    rng = np.random.default_rng([seed, 79])
    level = rng.uniform(0.5, 4, genes)
    adata = AnnData(sp.csr_matrix(rng.poisson(level, (cells, genes)).astype(np.float32)))
    adata.var_names, adata.obs_names = [f"G{i}" for i in range(genes)], [f"cell{i}" for i in range(cells)]
    adata.obs["cell_type"] = "one"
    return adata


def linked_cells(genes: int, factors: int, targets: int, cells: int, seed: int) -> tuple[AnnData, list[list[int]]]:
    """Counts with co-expression that says nothing of who the targets are, although targets go with everything.

    Every gene follows four programs, up or down; those among which the targets are drawn at random, four in ten, follow
    them twice as much. Besides, genes follow the factors a little, whether they are targets or not.

    Args:
        genes: genes.
        factors: factors, the first of the genes.
        targets: targets of each.
        cells: cells.
        seed: of every draw.

    Returns:
        Cells, and the targets of each factor.
    """
    rng = np.random.default_rng([seed, 101])
    programs, own = rng.standard_normal((cells, 4)), rng.standard_normal((cells, factors))
    follows = 0.2 * rng.standard_normal((4, genes))
    popular = np.arange(factors, factors + int(0.4 * (genes - factors)))
    follows[:, popular] *= 2
    link = 0.1 * rng.standard_normal((factors, genes))
    link[:, :factors] = 0.5 * np.eye(factors)
    rate = np.exp(programs @ follows + own @ link + rng.uniform(0.5, 1.5, genes))
    adata = AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)))
    adata.var_names, adata.obs_names = [f"G{i}" for i in range(genes)], [f"cell{i}" for i in range(cells)]
    return adata, [[int(g) for g in rng.choice(popular, targets, replace=False)] for _ in range(factors)]


def planted_wiring(
    genes: int, factors: int, targets: int, forward: float, reverse: float, seed: int
) -> tuple[Float[np.ndarray, "gene gene"], list[list[int]]]:
    """Random wiring that is mostly symmetric, with paths from the first genes to targets of their own, and back.

    Args:
        genes: genes.
        factors: factors, the first of the genes.
        targets: targets of each, drawn among the others.
        forward: added to the weights from a factor to its targets, with random signs, in standard deviations of
            the others.
        reverse: the same from the targets to the factor.
        seed: of every draw.
    """
    rng = np.random.default_rng([seed, 83])
    shared, own_way = rng.standard_normal((2, genes, genes))
    wiring = np.sqrt(0.75 / 2) * (shared + shared.T) + np.sqrt(0.25) * own_way
    chosen = []
    for factor in range(factors):
        own = rng.choice(np.arange(factors, genes), targets, replace=False)
        sign = rng.choice([-1.0, 1.0], targets)
        wiring[factor, own] += forward * sign
        wiring[own, factor] += reverse * sign
        chosen.append([int(g) for g in own])
    hub = np.exp(0.5 * rng.standard_normal(genes))  # tokens differ in how much they move and are moved
    return wiring * hub[:, None] * np.exp(0.5 * rng.standard_normal(genes))[None], chosen
