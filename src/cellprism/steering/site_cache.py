"""Cells read up to a site once: residuals, sparse codes and the model's unsteered predictions.

- Where the model is read at hidden genes (``reading``), a cell has several rows, one for each pass; each row is read,
  encoded, kept and edited like a cell of its own, and what is predicted of a cell comes from all its rows.
- Every strength that a solver tries and every null label starts from here. Where residuals and codes fit into memory
  the blocks before the site run once per cell; else they run again for each batch that is asked for, and the memory
  taken is that of one batch.
- Rows x tokens x (4 d_model + 12 k) bytes are kept on the model's device where that has room, else beside it in the
  host's memory, and only up to the bytes given. What the model reads and predicts, which is cells x tokens and
  cells x genes, is always kept.
- All cells are one batch of the model's, of which parts are taken: where cells have other genes each, separate batches
  would have other widths each.
- A token stands at a *place*, the same in all cells that have it: its column where all cells have the same tokens, its
  gene where each has its own. Whatever is compared or averaged between cells goes by places.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.values import refuse_changed
from cellprism.features.tokens.residuals import genes_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.edits import encode_site
from cellprism.steering.intervene import SiteCells, edited
from cellprism.steering.model_output import gene_columns, gene_values, spoken_of
from cellprism.steering.reading import Reading, hidden_and_seen, joined, passes_of, reads_at, rows_of
from cellprism.types import CellBatch, CellModel, CellOutput, ReadsSomeGenes, SparseCode

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
    direct: Float[np.ndarray, "cell gene"] | None = None
    """The same read where the model sees the genes; None where ``values`` are."""

    def part(self, rows: Int[np.ndarray, " some"]) -> "Prediction":
        """The same for some of the cells."""
        return Prediction(self.embedding[rows], self.values[rows], None if self.direct is None else self.direct[rows])

    def of_genes(self, columns: Int[np.ndarray, " some"]) -> "Prediction":
        """The same of some of the genes."""
        direct = None if self.direct is None else np.ascontiguousarray(self.direct[:, columns])
        return Prediction(self.embedding, np.ascontiguousarray(self.values[:, columns]), direct)

    @classmethod
    def of(cls, said: Reading) -> "Prediction":
        """On the host, in double precision."""
        embedding, values = (t.double().cpu().numpy() for t in (said.embedding, said.values))
        return cls(embedding, values, None if said.direct is None else said.direct.double().cpu().numpy())

    @classmethod
    def joined(cls, parts: Sequence["Prediction"]) -> "Prediction":
        """Of all cells, one part after the other."""
        direct = [part.direct for part in parts if part.direct is not None]
        embedding, values = (np.concatenate([getattr(p, name) for p in parts]) for name in ("embedding", "values"))
        return cls(embedding, values, np.concatenate(direct) if direct else None)


@dataclass(frozen=True)
class KeptCells:
    """Residuals and sparse codes of all rows, in memory."""

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
    """All cells, as the model reads them: ``folds`` rows a cell, of which the visible tokens are present."""
    folds: int
    """Rows, and so passes, of a cell."""
    fold: Int[Tensor, "cell gene"] | None
    """The pass in which each gene of the cache is hidden; None where nothing is."""
    kept: KeptCells | None
    """Their residuals and codes; None where they do not fit into memory and are computed again."""
    genes: pd.Index
    """Genes that can be spoken of: those of the data set that enough of these cells express."""
    columns: Int[np.ndarray, " gene"]
    """Where these genes stand in the model's output, see ``model_output.gene_columns``."""
    observed: sp.csr_matrix
    """Log1p counts per ten thousand of these genes in all cells."""
    baseline: Prediction
    """Unsteered predictions for all cells."""
    batch_size: int
    """Rows per forward pass; all rows of a cell go together."""

    @property
    def read(self) -> str:
        """Where the genes are read: ``hidden`` or ``visible``."""
        return "visible" if self.fold is None else "hidden"

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
        return len(self.whole.cell) // self.folds

    @property
    def present(self) -> Bool[Tensor, "row token"]:
        """Tokens that are open to edits."""
        return self.whole.present

    @property
    def n_places(self) -> int:
        """Places that there are; the last is for tokens that are no genes, where places are genes."""
        return self.whole.values.shape[1] if self.whole.gene.ndim == 1 else len(self.model.genes) + 1

    def places(self, rows: Int[Tensor, " some"]) -> Int[Tensor, "some token"]:
        """Place of every token of some rows."""
        gene = self.whole.gene
        if gene.ndim == 1:
            return torch.arange(len(gene), device=gene.device).expand(len(rows), -1)
        return torch.where(gene[rows] >= 0, gene[rows], len(self.model.genes))

    def rows(self, cells: Sequence[int] | Int[np.ndarray, " some"]) -> Int[Tensor, " row"]:
        """All rows of some cells, those of a cell one after the other."""
        device = self.whole.values.device
        chosen = torch.as_tensor(np.asarray(cells), dtype=torch.long, device=device)
        return (chosen[:, None] * self.folds + torch.arange(self.folds, device=device)).flatten()

    def one_row_each(self, cells: Sequence[int] | Int[np.ndarray, " some"]) -> Int[Tensor, " row"]:
        """One row of each of some cells: their passes, dealt in turn."""
        every = self.rows(cells).view(-1, self.folds)
        turn = torch.arange(len(every), device=every.device) % self.folds
        return every.gather(1, turn[:, None])[:, 0]

    def take(self, cells: Sequence[int] | Int[np.ndarray, " some"]) -> Iterator[SiteCells]:
        """All rows of some cells, about ``batch_size`` at a time; rows of one cell stay together."""
        return self.take_rows(self.rows(cells), rows_a_pass(self.batch_size, self.folds))

    def take_rows(self, rows: Int[Tensor, " row"], size: int = 0) -> Iterator[SiteCells]:
        """Some rows, ``size`` at a time, by default ``batch_size``."""
        for part in rows.split(size or self.batch_size):
            batch = rows_of(self.whole, part)
            if self.kept is None:
                yield read_cells_at(self.model, self.sae, batch, self.layer)
            else:
                yield self.kept.take(part, batch, self.n_features)

    @torch.no_grad()
    def recoded(self, sae: SparseAutoencoder) -> "SiteCache":
        """The same cells as another autoencoder of the site reads them; residuals and predictions are shared."""
        if self.kept is None:
            return replace(self, sae=sae)
        codes = [encode_site(sae, cells.x, cells.batch) for cells in self.take(np.arange(self.n_cells))]
        values, features = _stacked([_moved(code, self.kept.x.device) for code in codes], self.whole)
        return replace(self, sae=sae, kept=KeptCells(self.kept.x, values, features))

    @torch.no_grad()
    def predict(self, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"]) -> Prediction:
        """The model's predictions for cells steered with ``strengths``."""
        return self.predict_from(self.steered(rows, strengths))

    def steered(
        self, rows: Int[np.ndarray, " some"], strengths: Float[Tensor, " feature"],
        spared: Int[np.ndarray, " some"] | None = None,
    ) -> Residuals:  # fmt: skip
        """Residual streams of some cells steered with ``strengths``; tokens of the genes ``spared``, by their places
        among the cache's, stay as they are."""
        left = None if spared is None else self._own_tokens(spared)
        for cells in self.take(rows):
            moved = edited(cells.x, cells.code, strengths, self.W_dec)
            if left is not None:
                moved = torch.where(torch.isin(genes_of(cells.batch), left)[..., None], cells.x, moved)
            yield cells.batch, moved

    def _own_tokens(self, columns: Int[np.ndarray, " some"]) -> Int[Tensor, " some"]:
        """What tokens of some genes of the cache are called in batches."""
        places = pd.Index(self.model.genes).get_indexer(self.genes[columns])
        return torch.from_numpy(places).to(self.whole.gene.device)

    def predict_from(self, residuals: Residuals) -> Prediction:
        """The model's predictions from given residual streams at the site."""
        parts = [part for _, part in self.predictions(residuals)]
        return Prediction.joined(parts)

    @torch.no_grad()
    def predictions(self, residuals: Residuals) -> Iterator[tuple[Int[np.ndarray, " some"], Prediction]]:
        """Predictions batch by batch, with the rows of the cells; each batch is copied to the host once."""
        for batch, x in residuals:
            output = self.model.resume(batch, self.layer, x)
            yield self.cells_of(batch).cpu().numpy(), Prediction.of(self.said(batch, output))

    @torch.no_grad()
    def values_at(
        self, residuals: Residuals, columns: Int[np.ndarray, " some"]
    ) -> Iterator[tuple[Int[np.ndarray, " cell"], Float[np.ndarray, "cell some"]]]:
        """The values that ``predictions`` has, of some of the genes alone: cheaper where the model can leave out the
        rest, of which each pass then says only those that it hides."""
        chosen = torch.from_numpy(columns).to(self.whole.values.device)
        for batch, x in residuals:
            cells = self.cells_of(batch)
            if self.fold is None:
                values = self.values_in(batch, x, chosen)
            else:
                values = self._hidden_values(batch, x, chosen, self.fold[cells].index_select(1, chosen))
            yield cells.cpu().numpy(), values.double().cpu().numpy()

    def _hidden_values(
        self,
        batch: CellBatch,
        x: Float[Tensor, "row token d_model"],
        columns: Int[Tensor, " some"],
        fold: Int[Tensor, "cell some"],
    ) -> Float[Tensor, "cell some"]:
        """What the model says of some genes of the cache in the pass that hides each."""
        if not isinstance(self.model, ReadsSomeGenes) or not bool((fold == fold[:1]).all()):
            return hidden_and_seen(self.values_in(batch, x, columns), self.folds, fold)[0]
        values = x.new_empty(fold.shape)
        for number in fold[0].unique():
            rows = torch.arange(int(number), len(x), self.folds, device=x.device)
            own = (fold[0] == number).nonzero()[:, 0]
            values[:, own] = self.values_in(rows_of(batch, rows), x.index_select(0, rows), columns[own]).to(x.dtype)
        return values

    def values_in(
        self, batch: CellBatch, x: Float[Tensor, "row token d_model"], columns: Int[Tensor, " some"]
    ) -> Float[Tensor, "row some"]:
        """What the model says of some genes of the cache in each single pass; gradients pass through."""
        if isinstance(self.model, ReadsSomeGenes):
            said = self.model.resume_at(batch, self.layer, x, self.tokens_of(batch, columns)).expression
            assert said is not None, "a model that reads some genes has a head"
            return said
        return gene_values(self.model.resume(batch, self.layer, x), batch, self.columns).index_select(1, columns)

    def tokens_of(self, batch: CellBatch, columns: Int[Tensor, " some"]) -> Int[Tensor, " some"]:
        """The tokens of some genes of the cache, in batches whose cells all have the same tokens."""
        chosen = torch.from_numpy(self.columns).to(batch.gene.device)[columns]
        return (batch.gene >= 0).nonzero()[:, 0][chosen]

    def cells_of(self, batch: CellBatch) -> Int[Tensor, " cell"]:
        """The cells whose rows a batch from ``take`` has."""
        return batch.cell[:: self.folds] // self.folds

    def said(self, batch: CellBatch, output: CellOutput) -> Reading:
        """What the model says of the cells of a batch from ``take``; gradients pass through."""
        fold = None if self.fold is None else self.fold[self.cells_of(batch)]
        return joined(output, batch, self.columns, self.folds, fold)


def rows_a_pass(batch_size: int, folds: int) -> int:
    """Rows that go through the model at once: about ``batch_size``, and all of a cell."""
    return max(1, batch_size // folds) * folds


@torch.no_grad()
def read_cells_at(model: CellModel, sae: SparseAutoencoder, batch: CellBatch, layer: int) -> SiteCells:
    """Run some cells up to the site and encode them there."""
    x = model.residual(batch, layer)
    return SiteCells(batch, x, encode_site(sae, x, batch))


@torch.no_grad()
def read_site_cache(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int,
    memory: int = MEMORY,
    read: str = "",
) -> SiteCache:
    """Run all cells up to the site, encode them, and predict them unsteered.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them.
        layer: block whose output is read, from 0.
        batch_size: rows per forward pass; where the model is read at hidden genes a cell has ``reading.FOLDS`` of them.
        memory: bytes of residuals and codes that may be kept; where all rows' take more, none are.
        read: where to read genes, ``hidden`` or ``visible``; empty: where the model was trained.

    Raises:
        ModelError: the model came without its head, or cannot hide genes.
        ConfigError: ``read`` is no place to read.
        CellsError: the cells are no counts any more.
    """
    refuse_changed(adata)
    passes = passes_of(model, next(iter(model.batches(adata, adata.n_obs))), reads_at(model, read))
    whole, fold = passes.batch, passes.fold_of(model, adata.var_names)
    kept: list[SiteCells] = []
    parts: list[Prediction] = []
    columns, place = np.empty(0, dtype=np.int64), None
    for rows in whole.cell.split(rows_a_pass(batch_size, passes.folds)):
        cells = read_cells_at(model, sae, rows_of(whole, rows), layer)
        output = model.resume(cells.batch, layer, cells.x)
        if not parts:
            columns = gene_columns(model, whole, output, adata.var_names)
            place = _place(cells, len(whole.cell), memory)
            fold = None if fold is None else fold[:, : len(columns)]
        if place is not None:
            kept.append(SiteCells(cells.batch, cells.x.to(place), _moved(cells.code, place)))
        own = None if fold is None else fold[rows[:: passes.folds] // passes.folds]
        parts.append(Prediction.of(joined(output, cells.batch, columns, passes.folds, own)))
    unsteered = Prediction.joined(parts)
    spoken = spoken_of(unsteered.values)
    return SiteCache(
        model=model,
        sae=sae,
        layer=layer,
        whole=whole,
        kept=_joined(kept, whole) if kept else None,
        folds=passes.folds,
        fold=None if fold is None else fold[:, spoken],
        genes=adata.var_names[: len(columns)][spoken],
        columns=columns[spoken],
        observed=sp.csr_matrix(log1p_cp10k(adata)[:, spoken]),
        baseline=unsteered.of_genes(spoken),
        batch_size=batch_size,
    )


def _place(first: SiteCells, n_rows: int, memory: int) -> torch.device | None:
    """Where residuals and codes of all rows are kept, told from the first of them: on the device, on the host, or
    nowhere."""
    tokens = first.code.values.shape[0] / len(first.x) * n_rows
    needed = tokens * (first.x.element_size() * first.x.shape[-1] + CODE_BYTES * first.code.values.shape[1])
    if needed > memory:
        return None
    device = first.x.device
    if device.type == "cuda" and needed > torch.cuda.mem_get_info(device)[0] / 2:  # the other half is for the passes
        return torch.device("cpu")
    return device


def _moved(code: SparseCode, place: torch.device) -> SparseCode:
    return SparseCode(code.values.to(place), code.features.to(place), code.n_features)


def _joined(parts: Sequence[SiteCells], whole: CellBatch) -> KeptCells:
    """All batches together."""
    return KeptCells(torch.cat([part.x for part in parts]), *_stacked([part.code for part in parts], whole))


def _stacked(codes: Sequence[SparseCode], whole: CellBatch) -> tuple[Tensor, Tensor]:
    """Values and features of all batches, filled up with 0 to the largest number of features at a token."""
    k = max(code.values.shape[1] for code in codes)

    def filled(parts: Iterable[Tensor]) -> Tensor:
        return torch.cat([pad(part, (0, k - part.shape[1])) for part in parts]).view(*whole.values.shape, k)

    return filled(code.values for code in codes), filled(code.features for code in codes)
