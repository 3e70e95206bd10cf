"""Cells of three planted types, and models of which it is known what they know."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from torch import nn

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.genes import GeneTable
from cellprism.models.latent.counts_model import CountsModel
from cellprism.types import CellBatch, CellOutput

CELLS, GENES, MASK = 233, 59, -1.0
TABLE = GeneTable(tuple(f"G{i}" for i in range(GENES)), ("",) * GENES, {})
KINDS = ("one", "two", "three")
DEPTH = 1009


def rates() -> np.ndarray:
    """Each type's share of counts of each gene: 13 genes mark each type, 20 are the same in all."""
    share = np.full((3, GENES), 2.0)
    for kind in range(3):
        share[kind, 13 * kind : 13 * (kind + 1)] = 9.0
    return share / share.sum(axis=1, keepdims=True)


def planted_cells(seed: int = 0) -> AnnData:
    """Poisson counts of three types, all cells equally deep but for chance."""
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.arange(CELLS) % 3)
    counts = rng.poisson(DEPTH * rates()[kind])
    obs = pd.DataFrame({"cell_type": np.array(KINDS)[kind]}, index=[f"cell{i}" for i in range(CELLS)])
    return AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=list(TABLE.symbol)))


class Planted:
    """Tells a cell's type by the genes that it sees and answers from the types' true means.

    ``knows``: that. ``nothing``: the mean over types, whatever the cell. ``shifted``: the means of another platform.
    ``backwards``: at visible genes minus the counts.
    """

    name, revision, licence = "planted", "1", "none"
    n_layers, d_model, gene_table = 1, 1, TABLE
    tokens: Literal["genes"] = "genes"
    trained_at: Literal["hidden"] = "hidden"

    def __init__(self, how: str, predicts: Any = "expression", card: Mapping[str, Any] | None = None):
        self.how, self.predicts, self.card = how, predicts, dict(card or {})
        self.genes = TABLE.symbol
        self.means = torch.from_numpy(np.log1p(1e4 * rates())).float()
        self.shift = torch.from_numpy(np.random.default_rng(8).normal(scale=2.0, size=GENES)).float()

    def batches(self, adata: AnnData, size: int):
        values = torch.from_numpy(log1p_cp10k(adata).toarray()).float()
        for start in range(0, adata.n_obs, size):
            part = values[start : start + size]
            cell = torch.arange(start, start + len(part))
            yield CellBatch(part, torch.arange(GENES), torch.ones(part.shape, dtype=torch.bool), cell)

    def mask(self, batch: CellBatch, hidden: torch.Tensor) -> CellBatch:
        return CellBatch(batch.values.masked_fill(hidden, MASK), batch.gene, batch.present, batch.cell)

    def residual(self, batch: CellBatch, layer: int) -> torch.Tensor:
        seen = batch.values != MASK
        apart = ((batch.values[:, None] - self.means) ** 2 * seen[:, None]).sum(dim=2)
        said = self.means[apart.argmin(dim=1)]
        if self.how == "nothing":
            said = self.means.mean(dim=0).expand_as(said)
        if self.how == "shifted":
            said = said + self.shift
        if self.how == "backwards":
            said = torch.where(seen, -batch.values, said)
        return said[..., None]

    def resume(self, batch: CellBatch, layer: int, x: torch.Tensor) -> CellOutput:
        return CellOutput(x[..., 0], x.mean(dim=1), x)


class Sizes:
    """Sizes of the model below."""

    n_genes, d_model = GENES, 3


class PlantedShares(CountsModel):
    """The same for a model that reads a cell as a whole; untrained it knows nothing."""

    def __init__(self, sizes: Any, gene_table: GeneTable, **about: Any):
        super().__init__(sizes, gene_table, **about)
        self.shares = nn.Parameter(torch.full((3, GENES), 1 / GENES))

    def encode(self, counts: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot((counts.clamp(min=0) @ self.shares.log().T).argmax(dim=1), 3).float()

    def log_shares(self, z: torch.Tensor) -> torch.Tensor:
        return (z @ self.shares).log()


def planted_shares(*, shifted: bool = False, knows: bool = True) -> PlantedShares:
    """A model of the types' true shares, or of those of another platform, or of their mean alone."""
    model = PlantedShares(Sizes, TABLE, name="planted").eval().requires_grad_(False)
    shares = rates() if knows else np.tile(rates().mean(axis=0), (3, 1))
    if shifted:
        shares = shares * np.exp(np.random.default_rng(8).normal(scale=0.4, size=GENES))
    model.shares.copy_(torch.from_numpy(shares / shares.sum(axis=1, keepdims=True)).float())
    return model
