"""A cell model that can be solved by hand: linear after the site, with one known feature behind each gene.

Token t of a cell with value v has the residual v w_t, with w_t the decoder row of the token's own feature
(orthonormal rows); the last token is no gene and has a row of its own. After the site comes nothing but
averaging: the embedding is the mean over present tokens, and a gene's predicted expression is the projection
of its token on its own row. Turning feature f to alpha therefore multiplies gene f by alpha, exactly.
"""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import CellBatch, CellOutput

GENES, D_MODEL, FEATURES, K = 29, 43, 41, 5
PROGRAMS = 4


COUNTS_OF_ONE = 1024  # so that whole counts can stand for values of any size


def values_of(adata: AnnData) -> torch.Tensor:
    """What the models read of cells."""
    return torch.from_numpy(sp.csr_matrix(adata.X).toarray().astype(np.float32)) / COUNTS_OF_ONE


class PlantedModel:
    """See the module's docstring."""

    name, revision, licence, card = "planted", "1", "none", {}
    n_layers, d_model = 3, D_MODEL
    tokens, predicts, trained_at = "genes", "expression", "visible"

    def __init__(self, n_genes: int = GENES):
        self.genes = tuple(f"G{i}" for i in range(n_genes))
        self.gene_table = None
        rows = torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(0))
        self.rows = torch.linalg.qr(rows)[0]
        self.residual_cells = 0

    def batches(self, adata: AnnData, size: int):
        """Counts stand for the values; one more token, which is no gene, has the value 1."""
        gene = torch.tensor([*(self.genes.index(name) for name in adata.var_names), -1])
        for start in range(0, adata.n_obs, size):
            counts = values_of(adata)[start : start + size]
            values = torch.cat([counts, torch.ones(len(counts), 1)], dim=1)
            present = (gene >= 0).expand(values.shape)
            yield CellBatch(values, gene, present, torch.arange(start, start + len(counts)))

    def residual(self, batch: CellBatch, layer: int) -> torch.Tensor:
        """v w_t for every token."""
        self.residual_cells += len(batch.values)
        return batch.values[..., None] * self.rows[batch.gene]

    def resume(self, batch: CellBatch, layer: int, x: torch.Tensor) -> CellOutput:
        """Averages and projections."""
        weight = batch.present[..., None].to(x.dtype)
        projected = (x * self.rows[batch.gene].to(x.dtype)).sum(-1)
        return CellOutput(projected[:, batch.gene >= 0], (x * weight).sum(1) / weight.sum(1))


def planted_sae(model: PlantedModel, centre: torch.Tensor | None = None) -> SparseAutoencoder:
    """Feature f fires with a gene's value at the token of gene f, and nowhere else."""
    W_dec = model.rows[:FEATURES]
    return SparseAutoencoder(
        W_enc=W_dec.T.contiguous(),
        b_enc=torch.full((FEATURES,), -1e-4),  # keeps rounding noise of the other features from firing
        W_dec=W_dec.contiguous(),
        b_dec=torch.zeros(D_MODEL),
        k=K,
        centre=centre,
    )


def planted_cells(recipe: dict[int, float], n_source: int = 53, n_target: int = 59, noise: float = 0.1, seed: int = 0):
    """Source cells, and target cells in which gene f is ``recipe[f]`` times as strong; all other genes
    alike."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(1, 3, GENES)
    counts = level * np.exp(noise * rng.standard_normal((n_source + n_target, GENES)))
    for gene, strength in recipe.items():
        counts[n_source:, gene] *= strength
    adata = AnnData(sp.csr_matrix(np.rint(counts * COUNTS_OF_ONE).astype(np.float32)))
    adata.var_names = [f"G{i}" for i in range(GENES)]
    adata.obs["cell_type"] = ["helper"] * n_source + ["killer"] * n_target
    adata.obs_names = [f"cell{i}" for i in range(adata.n_obs)]
    return adata


class PlantedRanks(PlantedModel):
    """The same network on the expressed genes of each cell alone, strongest first: it has a logit of each token's own
    gene in place of expression. Cells are filled up with padding, whose value and residual are 0.
    """

    name, predicts = "planted ranks", "token_logit"

    def batches(self, adata: AnnData, size: int):
        """Other genes in every cell; a batch is as wide as its fullest cell."""
        names = torch.tensor([self.genes.index(name) for name in adata.var_names])
        for start in range(0, adata.n_obs, size):
            counts = values_of(adata)[start : start + size]
            values, order = counts.sort(dim=1, descending=True, stable=True)
            width = int((values > 0).sum(dim=1).max())
            values = values[:, :width]
            gene = torch.where(values > 0, names[order[:, :width]], -1)
            yield CellBatch(values, gene, gene >= 0, torch.arange(start, start + len(counts)))

    def resume(self, batch: CellBatch, layer: int, x: torch.Tensor) -> CellOutput:
        """Averages, and each token's projection on the row of its own gene."""
        weight = batch.present[..., None].to(x.dtype)
        logit = (x * self.rows[batch.gene].to(x.dtype)).sum(-1).masked_fill(batch.gene < 0, 0)
        return CellOutput(None, (x * weight).sum(1) / weight.sum(1), None, logit)


class PlantedWhole(PlantedModel):
    """The same genes in one vector a cell, the sum of all v w_t; a decoder reads each gene off its own row."""

    name, tokens = "planted whole", "cells"

    def __init__(self, decodes: bool = True):
        super().__init__()
        self.decodes, self.predicts = decodes, "expression" if decodes else "nothing"

    def batches(self, adata: AnnData, size: int):
        """One token a cell; what it is read from is in ``inputs``."""
        column = [self.genes.index(name) for name in adata.var_names]
        for start in range(0, adata.n_obs, size):
            counts = values_of(adata)[start : start + size]
            inputs = torch.zeros(len(counts), len(self.genes))
            inputs[:, column] = counts
            one = torch.ones(len(counts), 1, dtype=torch.bool)
            cell = torch.arange(start, start + len(counts))
            yield CellBatch(torch.zeros(len(counts), 1), torch.tensor([-1]), one, cell, inputs)

    def residual(self, batch: CellBatch, layer: int) -> torch.Tensor:
        """The sum over genes."""
        return (batch.inputs @ self.rows[: len(self.genes)])[:, None]

    def resume(self, batch: CellBatch, layer: int, x: torch.Tensor) -> CellOutput:
        """Projections on the rows of all genes; nothing without a decoder."""
        z = x[:, 0]
        return CellOutput(z @ self.rows[: len(self.genes)].to(z.dtype).T if self.decodes else None, z)


class PlantedHidden(PlantedModel):
    """A model that learned to fill in hidden genes: right there, and the opposite of the truth at genes that it sees.

    Genes fall into programs, gene g into program g % ``PROGRAMS``. A hidden gene is predicted as the mean over the
    visible genes of its program (their projections); at a visible gene the output is minus its projection.
    """

    name, trained_at = "planted hidden", "hidden"

    def mask(self, batch: CellBatch, hidden: torch.Tensor) -> CellBatch:
        """A hidden token has the value 0, and so the residual 0."""
        return replace(batch, values=batch.values.masked_fill(hidden, 0.0))

    def resume(self, batch: CellBatch, layer: int, x: torch.Tensor) -> CellOutput:
        """See the class."""
        own = super().resume(batch, layer, x)
        projected, gene = own.expression, batch.gene[batch.gene >= 0]
        seen = (batch.values[:, batch.gene >= 0] != 0).to(x.dtype)
        together = (gene[:, None] % PROGRAMS == gene % PROGRAMS).to(x.dtype)
        filled = (projected * seen) @ together / (seen @ together).clamp(min=1)
        return CellOutput(torch.where(seen > 0, -projected, filled), own.embedding)


def program_cells(recipe: dict[int, float], n_source: int = 53, n_target: int = 59, noise: float = 0.05, seed: int = 0):
    """Source cells, and target cells in which all genes of program p are ``recipe[p]`` times as strong; the genes of a
    program have one level."""
    rng = np.random.default_rng(seed)
    program = np.arange(GENES) % PROGRAMS
    counts = np.linspace(1, 3, PROGRAMS)[program] * np.exp(noise * rng.standard_normal((n_source + n_target, GENES)))
    for number, strength in recipe.items():
        counts[n_source:, program == number] *= strength
    adata = AnnData(sp.csr_matrix(np.rint(counts * COUNTS_OF_ONE).astype(np.float32)))
    adata.var_names = [f"G{i}" for i in range(GENES)]
    adata.obs["cell_type"] = ["helper"] * n_source + ["killer"] * n_target
    adata.obs_names = [f"cell{i}" for i in range(adata.n_obs)]
    return adata
