"""Adapters of cell models that keep their promises, and ways to break one."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError
from cellprism.models.aido.model import AidoCell
from cellprism.models.conformance import FAILS, conformance
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.types import CellBatch, CellOutput

CELLS, GENES, WIDTH = 7, 53, 14
LAYERS = 3


def blood_cells() -> AnnData:
    """Seven blood cells, 53 genes that most of them express."""
    whole = read_cells("bundled:pbmc68k")
    genes = np.sort(np.argsort(-np.asarray((whole.X > 0).sum(axis=0)).ravel())[:GENES])
    return whole[np.linspace(0, whole.n_obs - 1, CELLS).astype(int), genes].copy()


def promises(cells: AnnData, kind: type[AidoCell] = AidoCell, **shape) -> AidoCell:
    """An adapter of two genes more than the cells have; embeddings small enough that blocks matter."""
    genes = ["A1BG-not-measured", *cells.var_names, "ZZZ3-not-measured"]
    return kind.random(genes, hidden=WIDTH, layers=LAYERS, heads=2, intermediate=19, **shape)


def broken(base: AidoCell, **members) -> AidoCell:
    """The same adapter with some members replaced by functions of (model, ...) or by values."""
    base.__class__ = type("Broken", (type(base),), members)
    return base


def verdicts(model, cells) -> dict[str, str]:
    return {o.check: o.verdict for o in conformance(model, cells)}


def failing(model, cells) -> set[str]:
    return {name for name, verdict in verdicts(model, cells).items() if verdict == FAILS}


class ExpressedGenes:
    """An adapter with another set of genes in each cell, filled up to the longest: predicts genes, not amounts."""

    name, revision, licence, card = "expressed genes", "seed 0", "none", {}
    n_layers, d_model, gene_table = LAYERS, WIDTH, None
    tokens, predicts, trained_at = "genes", "token_logit", "visible"
    own_tokens_only, ties_by_gene, room = True, True, GENES

    def __init__(self, cells: AnnData):
        self.genes = list(cells.var_names)
        draw = torch.Generator().manual_seed(0)
        self.embedding = torch.randn(len(self.genes) + 1, WIDTH, generator=draw)
        self.mix = torch.randn(LAYERS, 2, WIDTH, WIDTH, generator=draw) / 4

    def batches(self, adata: AnnData, size: int):
        if unknown := set(adata.var_names) - set(self.genes):
            raise CellsError("the AnnData", [f"{len(unknown)} unknown genes"])
        counts = sp.csr_matrix(adata.X).toarray()
        index = [self.genes.index(gene) for gene in adata.var_names]
        for start in range(0, adata.n_obs, size):
            rows = []
            for row in counts[start : start + size]:
                found = [(-count, i) for count, i in zip(row, index, strict=True) if count]
                found.sort(key=lambda entry: entry if self.ties_by_gene else entry[0])
                rows.append([i for _, i in found][: self.room])
            gene = torch.full((len(rows), max(map(len, rows))), -1)
            for cell, row in enumerate(rows):
                gene[cell, : len(row)] = torch.tensor(row)
            rank = torch.arange(gene.shape[1]).expand(gene.shape) / 10.0
            yield CellBatch(rank, gene, gene >= 0, torch.arange(start, start + len(rows)))

    def residual(self, batch: CellBatch, layer: int) -> torch.Tensor:
        x = self.embedding[batch.gene] * (1 + batch.values[..., None]).log()
        for block in range(layer + 1):
            x = self.block(batch, block, x)
        return x

    def block(self, batch: CellBatch, block: int, x: torch.Tensor) -> torch.Tensor:
        own, others = self.mix[block]
        return x + torch.tanh(x @ own + self.mean(batch, x)[:, None] @ others)

    def mean(self, batch: CellBatch, x: torch.Tensor) -> torch.Tensor:
        weight = (batch.present if self.own_tokens_only else torch.ones_like(batch.present))[..., None].float()
        return (x * weight).sum(1) / weight.sum(1)

    def resume(self, batch: CellBatch, layer: int, x: torch.Tensor) -> CellOutput:
        for block in range(layer + 1, self.n_layers):
            x = self.block(batch, block, x)
        logit = (x * self.embedding[batch.gene]).sum(-1) * batch.present
        weight = batch.present[..., None].float()
        return CellOutput(None, (x * weight).sum(1) / weight.sum(1), x, logit)


def a_block_twice(model, batch, layer, x):
    return AidoCell.resume(model, batch, max(layer - 1, 0), x)


def not_finite(model, batch, layer, x):
    out = AidoCell.resume(model, batch, layer, x)
    return replace(out, expression=out.expression / (out.expression > 0.3))


def scvi(genes):
    return ScviModel(ScviSizes(len(genes), 5, 19, 1), GeneTable.of(genes)).reinitialised(0)
