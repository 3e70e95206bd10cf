"""Cells read up to a site once and kept: residuals, sparse codes and the model's unsteered predictions.

Every strength that a solver tries and every null label starts from here, so the blocks before the site run
once per cell. Memory is cells x tokens x (4 d_model + 12 k) bytes; callers cap the number of cells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.errors import ModelError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.intervene import SiteCells, edited, expression_columns, read_site
from cellprism.types import CellBatch, CellModel, SparseCode


@dataclass(frozen=True)
class Prediction:
    """What the model says of some cells: ``expression`` for the genes of the data set in its order."""

    embedding: Float[np.ndarray, "cell d_model"]
    expression: Float[np.ndarray, "cell gene"]

    def part(self, rows: Int[np.ndarray, " some"]) -> "Prediction":
        """The same for some of the cells."""
        return Prediction(self.embedding[rows], self.expression[rows])


@dataclass(frozen=True)
class CellPool:
    """Cells at a site, with everything that steering them again and again needs."""

    model: CellModel
    layer: int
    W_dec: Float[Tensor, "feature d_model"]
    values: Float[Tensor, "cell token"]
    gene: Int[Tensor, " token"]
    present: Bool[Tensor, "cell token"]
    x: Float[Tensor, "cell token d_model"]
    code_values: Float[Tensor, "cell token k"]
    code_features: Int[Tensor, "cell token k"]
    columns: Int[np.ndarray, " gene"]
    """Columns of the model's predicted expression that are the data set's genes."""
    baseline: Prediction
    """Unsteered predictions for all cells."""
    batch_size: int
    """Cells per forward pass."""

    @property
    def n_features(self) -> int:
        """Features of the autoencoder."""
        return self.W_dec.shape[0]

    @property
    def gene_tokens(self) -> Int[np.ndarray, " gene"]:
        """Tokens of the data set's genes, in its order."""
        return np.flatnonzero((self.gene >= 0).cpu().numpy())[self.columns]

    def take(self, rows: Sequence[int] | Int[np.ndarray, " some"]) -> Iterator[SiteCells]:
        """Cells of the pool, ``batch_size`` at a time."""
        chosen = torch.as_tensor(np.asarray(rows), dtype=torch.long, device=self.x.device)
        for part in chosen.split(self.batch_size):
            batch = CellBatch(self.values[part], self.gene, self.present[part], part)
            code = SparseCode(
                self.code_values[part].flatten(0, 1), self.code_features[part].flatten(0, 1), self.n_features
            )
            yield SiteCells(batch, self.x[part], code)

    @torch.no_grad()
    def predict(self, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]) -> Prediction:
        """The model's predictions for cells steered with ``strengths``."""
        return self.predict_from(
            (cells.batch, edited(cells.x, cells.code, strengths, self.W_dec)) for cells in self.take(rows)
        )

    @torch.no_grad()
    def predict_from(self, residuals: Iterator[tuple[CellBatch, Float[Tensor, "cell token d_model"]]]) -> Prediction:
        """The model's predictions from given residual streams at the site."""
        outputs = [self.model.resume(batch, self.layer, x) for batch, x in residuals]
        return _prediction([o.embedding for o in outputs], [o.expression[:, self.columns] for o in outputs])


def _prediction(embedding: list[Tensor], expression: list[Tensor]) -> Prediction:
    return Prediction(torch.cat(embedding).double().cpu().numpy(), torch.cat(expression).double().cpu().numpy())


@torch.no_grad()
def read_pool(model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int) -> CellPool:
    """Run all cells up to the site, encode them, and predict them unsteered.

    Raises:
        ModelError: the model has no head, or reads other genes in every cell.
    """
    chunks = list(read_site(model, sae, adata, layer, batch_size))
    first = chunks[0].batch
    if first.gene.ndim != 1:
        raise ModelError(
            f"{model.name!r} reads other genes in every cell; effects per gene can only be averaged over "
            "cells for a model that reads the same genes in all of them"
        )
    columns = expression_columns(model, first, adata)
    outputs = [model.resume(c.batch, layer, c.x) for c in chunks]
    shape = (-1, first.values.shape[1], chunks[0].code.values.shape[1])
    return CellPool(
        model=model,
        layer=layer,
        W_dec=sae.W_dec.detach(),
        values=torch.cat([c.batch.values for c in chunks]),
        gene=first.gene,
        present=torch.cat([c.batch.present for c in chunks]),
        x=torch.cat([c.x for c in chunks]),
        code_values=torch.cat([c.code.values for c in chunks]).view(shape),
        code_features=torch.cat([c.code.features for c in chunks]).view(shape),
        columns=columns,
        baseline=_prediction([o.embedding for o in outputs], [o.expression[:, columns] for o in outputs]),
        batch_size=batch_size,
    )
