"""Cells read up to a site once: residuals, sparse codes and the model's unsteered predictions.

- Every strength that a solver tries and every null label starts from here. Where residuals and codes fit into memory
  the blocks before the site run once per cell; else they run again for each batch that is asked for, and the memory
  taken is that of one batch.
- Cells x tokens x (4 d_model + 12 k) bytes are kept on the model's device where that has room, else beside it in the
  host's memory, and only up to the bytes given. What the model reads and predicts, which is cells x tokens and
  cells x genes, is always kept.
- All cells are one batch of the model's, of which parts are taken: where cells have other genes each, separate batches
  would have other widths each.
- A token stands at a *place*, the same in all cells that have it: its column where all cells have the same tokens, its
  gene where each has its own. Whatever is compared or averaged between cells goes by places.
"""

from collections.abc import Iterable, Iterator, Sequence
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
from cellprism.steering.model_output import gene_columns, gene_values, spoken_of
from cellprism.types import CellBatch, CellModel, CellOutput, SparseCode

MEMORY = 1 << 32  # bytes of residuals and codes that are kept
CODE_BYTES = 12  # of one feature at one token: float32 value, int64 index

Residuals = Iterable[tuple[CellBatch, Float[Tensor, "cell token d_model"]]]
"""Residual streams at the site, batch by batch."""


@dataclass(frozen=True)
class Prediction:
    """What the model predicts of some cells and the genes of the cache; see ``model_output`` for the output kind."""

    embedding: Float[np.ndarray, "cell d_model"]
    values: Float[np.ndarray, "cell gene"]
    """NaN where a cell does not express a gene; no columns where the model says nothing of genes."""

    def part(self, rows: Int[np.ndarray, " some"]) -> "Prediction":
        """The same for some of the cells."""
        return Prediction(self.embedding[rows], self.values[rows])


@dataclass(frozen=True)
class KeptCells:
    """Residuals and sparse codes of all cells, in memory."""

    x: Float[Tensor, "cell token d_model"]
    code_values: Float[Tensor, "cell token k"]
    code_features: Int[Tensor, "cell token k"]

    def take(self, rows: Int[Tensor, " some"], batch: CellBatch, n_features: int) -> SiteCells:
        """Some of the cells, where the model is."""
        device = batch.values.device
        rows = rows.to(self.x.device)
        x, values, features = (
            t.index_select(0, rows).to(device) for t in (self.x, self.code_values, self.code_features)
        )
        return SiteCells(batch, x, SparseCode(values.flatten(0, 1), features.flatten(0, 1), n_features))


@dataclass(frozen=True)
class SiteCache:
    """Cells at a site, with everything that steering them again and again needs."""

    model: CellModel
    sae: SparseAutoencoder
    layer: int
    whole: CellBatch
    """All cells, as the model reads them."""
    kept: KeptCells | None
    """Their residuals and codes; None where they do not fit into memory and are computed again."""
    genes: pd.Index
    """Genes that can be spoken of: those of the data set that enough of these cells express."""
    columns: Int[np.ndarray, " gene"]
    """Where these genes stand in the model's output, see ``model_output.gene_columns``."""
    baseline: Prediction
    """Unsteered predictions for all cells."""
    batch_size: int
    """Cells per forward pass."""

    @property
    def output_kind(self) -> str:
        """What is said of these genes, see ``model_output``."""
        return self.model.predicts

    @property
    def W_dec(self) -> Float[Tensor, "feature d_model"]:
        """What each feature adds to a token."""
        return self.sae.W_dec.detach()

    @property
    def n_features(self) -> int:
        """Features of the autoencoder."""
        return self.sae.n_features

    @property
    def n_cells(self) -> int:
        """Cells that were read."""
        return len(self.whole.cell)

    @property
    def present(self) -> Bool[Tensor, "cell token"]:
        """Tokens that are open to edits."""
        return self.whole.present

    @property
    def n_places(self) -> int:
        """Places that there are; the last is for tokens that are no genes, where places are genes."""
        return self.whole.values.shape[1] if self.whole.gene.ndim == 1 else len(self.model.genes) + 1

    def places(self, cells: Int[Tensor, " some"]) -> Int[Tensor, "some token"]:
        """Place of every token of some cells."""
        gene = self.whole.gene
        if gene.ndim == 1:
            return torch.arange(len(gene), device=gene.device).expand(len(cells), -1)
        return torch.where(gene[cells] >= 0, gene[cells], len(self.model.genes))

    def take(self, rows: Sequence[int] | Int[np.ndarray, " some"]) -> Iterator[SiteCells]:
        """Some of the cells, ``batch_size`` at a time."""
        chosen = torch.as_tensor(np.asarray(rows), dtype=torch.long, device=self.whole.values.device)
        for part in chosen.split(self.batch_size):
            batch = rows_of(self.whole, part)
            if self.kept is None:
                yield read_cells_at(self.model, self.sae, batch, self.layer)
            else:
                yield self.kept.take(part, batch, self.n_features)

    @torch.no_grad()
    def predict(self, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]) -> Prediction:
        """The model's predictions for cells steered with ``strengths``."""
        return self.predict_from(self.steered(rows, strengths))

    def steered(self, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]) -> Residuals:
        """Residual streams of some cells steered with ``strengths``."""
        return ((cells.batch, edited(cells.x, cells.code, strengths, self.W_dec)) for cells in self.take(rows))

    def predict_from(self, residuals: Residuals) -> Prediction:
        """The model's predictions from given residual streams at the site."""
        parts = [part for _, part in self.predictions(residuals)]
        return Prediction(
            *(np.concatenate(part) for part in zip(*((p.embedding, p.values) for p in parts), strict=True))
        )

    @torch.no_grad()
    def predictions(self, residuals: Residuals) -> Iterator[tuple[Int[np.ndarray, " some"], Prediction]]:
        """Predictions batch by batch, with the rows of the cells; each batch is copied to the host once."""
        for batch, x in residuals:
            output = self.model.resume(batch, self.layer, x)
            yield batch.cell.cpu().numpy(), _prediction(batch, output, self.columns)


def rows_of(whole: CellBatch, rows: Int[Tensor, " some"]) -> CellBatch:
    """Some cells of a batch; they keep their numbers."""

    def some(of_cells: Tensor) -> Tensor:
        return of_cells.index_select(0, rows)

    gene = whole.gene if whole.gene.ndim == 1 else some(whole.gene)
    inputs = None if whole.inputs is None else some(whole.inputs)
    return CellBatch(some(whole.values), gene, some(whole.present), some(whole.cell), inputs)


@torch.no_grad()
def read_cells_at(model: CellModel, sae: SparseAutoencoder, batch: CellBatch, layer: int) -> SiteCells:
    """Run some cells up to the site and encode them there."""
    x = model.residual(batch, layer)
    return SiteCells(batch, x, encode_site(sae, x, batch))


@torch.no_grad()
def read_site_cache(
    model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int, memory: int = MEMORY
) -> SiteCache:
    """Run all cells up to the site, encode them, and predict them unsteered.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them.
        layer: block whose output is read, from 0.
        batch_size: cells per forward pass.
        memory: bytes of residuals and codes that may be kept; where all cells' take more, none are.

    Raises:
        ModelError: the model came without its head.
    """
    whole = next(iter(model.batches(adata, adata.n_obs)))
    kept: list[SiteCells] = []
    parts: list[Prediction] = []
    columns, place = np.empty(0, dtype=np.int64), None
    for number, rows in enumerate(torch.arange(adata.n_obs, device=whole.values.device).split(batch_size)):
        cells = read_cells_at(model, sae, rows_of(whole, rows), layer)
        output = model.resume(cells.batch, layer, cells.x)
        if number == 0:
            columns = gene_columns(model, whole, output, adata.var_names)
            place = _place(cells, adata.n_obs, memory)
        if place is not None:
            kept.append(SiteCells(cells.batch, cells.x.to(place), _moved(cells.code, place)))
        parts.append(_prediction(cells.batch, output, columns))
    values = np.concatenate([part.values for part in parts])
    spoken = spoken_of(values)
    return SiteCache(
        model=model,
        sae=sae,
        layer=layer,
        whole=whole,
        kept=_joined(kept, whole) if kept else None,
        genes=adata.var_names[: len(columns)][spoken],
        columns=columns[spoken],
        baseline=Prediction(
            np.concatenate([part.embedding for part in parts]), np.ascontiguousarray(values[:, spoken])
        ),
        batch_size=batch_size,
    )


def _place(first: SiteCells, n_cells: int, memory: int) -> torch.device | None:
    """Where residuals and codes of all cells are kept, told from the first of them: on the device, on the host, or
    nowhere."""
    tokens = first.code.values.shape[0] / len(first.x) * n_cells
    needed = tokens * (first.x.element_size() * first.x.shape[-1] + CODE_BYTES * first.code.values.shape[1])
    if needed > memory:
        return None
    device = first.x.device
    if device.type == "cuda" and needed > torch.cuda.mem_get_info(device)[0] / 2:  # the other half is for the passes
        return torch.device("cpu")
    return device


def _moved(code: SparseCode, place: torch.device) -> SparseCode:
    return SparseCode(code.values.to(place), code.features.to(place), code.n_features)


def _prediction(batch: CellBatch, output: CellOutput, columns: Int[np.ndarray, " gene"]) -> Prediction:
    values = gene_values(output, batch, columns)
    return Prediction(*(t.double().cpu().numpy() for t in (output.embedding, values)))


def _joined(parts: Sequence[SiteCells], whole: CellBatch) -> KeptCells:
    """All batches together; codes are filled up with 0 to the largest number of features at a token."""
    k = max(part.code.values.shape[1] for part in parts)

    def stacked(codes: Iterable[Tensor]) -> Tensor:
        return torch.cat([pad(part, (0, k - part.shape[1])) for part in codes]).view(*whole.values.shape, k)

    values, features = stacked(p.code.values for p in parts), stacked(p.code.features for p in parts)
    return KeptCells(torch.cat([part.x for part in parts]), values, features)
