"""Cells read up to a site once and kept: residuals, sparse codes and the model's unsteered predictions.

- Every strength that a solver tries and every null label starts from here, so the blocks before the site run
  once per cell. Memory is cells x tokens x (4 d_model + 12 k) bytes; callers cap the number of cells.
- All cells are one batch of the model's, of which parts are taken: where cells have other genes each, separate batches
  would have other widths each.
- A token stands at a *place*, the same in all cells that have it: its column where all cells have the same tokens, its
  gene where each has its own. Whatever is compared or averaged between cells goes by places.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.intervene import SiteCells, edited, encode_site
from cellprism.steering.readout import gene_columns, gene_values, spoken_of
from cellprism.types import CellBatch, CellModel, CellOutput, SparseCode


@dataclass(frozen=True)
class Prediction:
    """What the model says of some cells and the genes of the pool; see ``readout`` for the quantity."""

    embedding: Float[np.ndarray, "cell d_model"]
    values: Float[np.ndarray, "cell gene"]
    """NaN where a cell does not carry a gene; no columns where the model says nothing of genes."""

    def part(self, rows: Int[np.ndarray, " some"]) -> "Prediction":
        """The same for some of the cells."""
        return Prediction(self.embedding[rows], self.values[rows])


@dataclass(frozen=True)
class CellPool:
    """Cells at a site, with everything that steering them again and again needs."""

    model: CellModel
    layer: int
    W_dec: Float[Tensor, "feature d_model"]
    whole: CellBatch
    """All cells, as the model reads them."""
    x: Float[Tensor, "cell token d_model"]
    code_values: Float[Tensor, "cell token k"]
    code_features: Int[Tensor, "cell token k"]
    genes: pd.Index
    """Genes that can be spoken of: those of the data set that enough of these cells carry."""
    columns: Int[np.ndarray, " gene"]
    """Where these genes stand in the model's output, see ``readout.gene_columns``."""
    quantity: str
    """What is said of them, see ``readout``."""
    baseline: Prediction
    """Unsteered predictions for all cells."""
    batch_size: int
    """Cells per forward pass."""

    @property
    def n_features(self) -> int:
        """Features of the autoencoder."""
        return self.W_dec.shape[0]

    @property
    def present(self) -> Bool[Tensor, "cell token"]:
        """Tokens that are open to edits."""
        return self.whole.present

    @property
    def n_places(self) -> int:
        """Places that there are; the last is for tokens that are no genes, where places are genes."""
        return self.x.shape[1] if self.whole.gene.ndim == 1 else len(self.model.genes) + 1

    def places(self, cells: Int[Tensor, " some"]) -> Int[Tensor, "some token"]:
        """Place of every token of some cells."""
        gene = self.whole.gene
        if gene.ndim == 1:
            return torch.arange(len(gene), device=gene.device).expand(len(cells), -1)
        return torch.where(gene[cells] >= 0, gene[cells], len(self.model.genes))

    def take(self, rows: Sequence[int] | Int[np.ndarray, " some"]) -> Iterator[SiteCells]:
        """Cells of the pool, ``batch_size`` at a time."""
        chosen = torch.as_tensor(np.asarray(rows), dtype=torch.long, device=self.x.device)
        for part in chosen.split(self.batch_size):
            code = SparseCode(
                self.code_values[part].flatten(0, 1), self.code_features[part].flatten(0, 1), self.n_features
            )
            yield SiteCells(rows_of(self.whole, part), self.x[part], code)

    @torch.no_grad()
    def predict(self, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]) -> Prediction:
        """The model's predictions for cells steered with ``strengths``."""
        return self.predict_from(
            (cells.batch, edited(cells.x, cells.code, strengths, self.W_dec)) for cells in self.take(rows)
        )

    @torch.no_grad()
    def predict_from(self, residuals: Iterator[tuple[CellBatch, Float[Tensor, "cell token d_model"]]]) -> Prediction:
        """The model's predictions from given residual streams at the site."""
        return _prediction([(batch, self.model.resume(batch, self.layer, x)) for batch, x in residuals], self.columns)


def rows_of(whole: CellBatch, rows: Int[Tensor, " some"]) -> CellBatch:
    """Some cells of a batch; they keep their numbers."""
    gene = whole.gene if whole.gene.ndim == 1 else whole.gene[rows]
    inputs = None if whole.inputs is None else whole.inputs[rows]
    return CellBatch(whole.values[rows], gene, whole.present[rows], whole.cell[rows], inputs)


@torch.no_grad()
def read_pool(model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int) -> CellPool:
    """Run all cells up to the site, encode them, and predict them unsteered.

    Raises:
        ModelError: the model came without its head.
    """
    whole = next(iter(model.batches(adata, adata.n_obs)))
    x, codes, outputs = [], [], []
    for rows in torch.arange(adata.n_obs, device=whole.values.device).split(batch_size):
        batch = rows_of(whole, rows)
        x.append(model.residual(batch, layer))
        codes.append(encode_site(sae, x[-1], batch))
        outputs.append((batch, model.resume(batch, layer, x[-1])))
    columns = gene_columns(model, whole, outputs[0][1], adata.var_names)
    everything = _prediction(outputs, columns)
    kept = spoken_of(everything.values)
    return CellPool(
        model=model,
        layer=layer,
        W_dec=sae.W_dec.detach(),
        whole=whole,
        x=torch.cat(x),
        code_values=_stacked([c.values for c in codes], whole),
        code_features=_stacked([c.features for c in codes], whole),
        genes=adata.var_names[: len(columns)][kept],
        columns=columns[kept],
        quantity=model.predicts,
        baseline=Prediction(everything.embedding, np.ascontiguousarray(everything.values[:, kept])),
        batch_size=batch_size,
    )


def _prediction(outputs: Sequence[tuple[CellBatch, CellOutput]], columns: Int[np.ndarray, " gene"]) -> Prediction:
    values = [gene_values(output, batch, columns) for batch, output in outputs]
    return Prediction(*(torch.cat(t).double().cpu().numpy() for t in ([o.embedding for _, o in outputs], values)))


def _stacked(parts: Sequence[Tensor], whole: CellBatch) -> Tensor:
    """Codes of all batches, filled up with 0 to the largest number of features at a token."""
    k = max(part.shape[1] for part in parts)
    return torch.cat([pad(part, (0, k - part.shape[1])) for part in parts]).view(*whole.values.shape, k)
