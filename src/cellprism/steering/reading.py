"""Where a model is read: at genes that are hidden from it, or at those that it sees.

A model that learned to fill in hidden genes means something there alone; what it says of a gene that it sees may well
have the opposite sign. Such a model passes over every cell several times, each time with other genes hidden, and each
gene is read in the pass that hides it.

Notable choices

- Genes fall into ``FOLDS`` parts, drawn once, so that no pass hides more than 30 % of a cell's tokens (of 14 or more).
  Where cells have genes of their own, each cell's tokens are parted evenly.
- In a pass only the visible tokens are present: only these are encoded, edited and averaged over. Hence what is read of
  a hidden gene came from the other tokens, and no edit can reach it directly.
- A cell's embedding is the mean over its passes.
- Every pass gives the visible genes as well: their mean over the passes that show them is kept apart as *direct*, since
  their own tokens may have been edited.
- Cost: ``FOLDS`` passes a cell in place of one, in time and in what is kept.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.errors import ModelError
from cellprism.features.tokens.residuals import genes_of
from cellprism.steering.model_output import gene_columns, gene_values
from cellprism.steering.settings import check_read
from cellprism.types import CellBatch, CellModel, CellOutput, HidesGenes

FOLDS = 4


@dataclass(frozen=True)
class Reading:
    """What a model says of some cells."""

    embedding: Float[Tensor, "cell d_model"]
    values: Float[Tensor, "cell gene"]
    direct: Float[Tensor, "cell gene"] | None
    """The same genes where the model sees them; None where it is read there anyway."""


@dataclass(frozen=True)
class Passes:
    """Cells as they go through a model: one row a pass, those of a cell one after the other."""

    batch: CellBatch
    """``cell`` has the numbers of the rows."""
    folds: int
    """Passes a cell; 1 where nothing is hidden."""
    fold: Int[Tensor, "cell gene"] | None
    """The pass in which each of the model's genes is hidden, -1 for one that the cell has not; None where nothing is
    hidden."""

    def fold_of(self, model: CellModel, genes: pd.Index) -> Int[Tensor, "cell gene"] | None:
        """The pass in which each of some genes is hidden."""
        return None if self.fold is None else self.fold[:, pd.Index(model.genes).get_indexer(genes)]

    def said(self, model: CellModel, output: CellOutput, genes: pd.Index) -> Reading:
        """What the model says of the cells, from all their passes, of as many of ``genes`` as it speaks of."""
        columns, fold = gene_columns(model, self.batch, output, genes), self.fold_of(model, genes)
        return joined(output, self.batch, columns, self.folds, None if fold is None else fold[:, : len(columns)])


def reads_at(model: CellModel, read: str) -> str:
    """``hidden`` or ``visible``: what was asked for, else where the model was trained.

    Raises:
        ConfigError: ``read`` is neither.
        ModelError: the model cannot hide genes.
    """
    check_read(read)
    where = read or model.trained_at
    if where == "hidden" and (model.tokens == "cells" or not isinstance(model, HidesGenes)):
        raise ModelError(
            f"{model.name!r} has no value for a hidden gene, so it cannot be read there; use read='visible', and do "
            "not believe it where it was trained at hidden genes"
        )
    return where


def passes_of(model: CellModel, batch: CellBatch, where: str) -> Passes:
    """The passes of some cells, read ``hidden`` or ``visible``."""
    n = len(batch.values)
    rows = torch.arange(n, device=batch.values.device)
    if where == "visible":
        return Passes(replace(batch, cell=rows), 1, None)
    assert isinstance(model, HidesGenes), "reads_at refuses models that hide nothing"
    gene, fold = genes_of(batch), fold_of_tokens(batch, len(model.genes))
    each = rows_of(batch, rows.repeat_interleave(FOLDS))
    number = torch.arange(FOLDS, device=rows.device).repeat(n)[:, None]
    hidden = fold.repeat_interleave(FOLDS, dim=0) == number
    shown = replace(
        model.mask(each, hidden), present=each.present & ~hidden, cell=torch.arange(n * FOLDS, device=rows.device)
    )
    by_gene = fold.new_full((n, len(model.genes) + 1), -1)  # a column for tokens that are no genes
    by_gene = by_gene.scatter(1, torch.where(gene >= 0, gene, len(model.genes)), fold)[:, :-1]
    return Passes(shown, FOLDS, by_gene)


def fold_of_tokens(batch: CellBatch, n_genes: int) -> Int[Tensor, "cell token"]:
    """The part that each present token falls into, -1 for others: by the place of its gene in one random order among
    the genes that the cell has."""
    order = np.append(np.random.default_rng(0).permutation(n_genes), n_genes)  # the last for tokens that are no genes
    key = torch.from_numpy(order).to(batch.values.device)[genes_of(batch)]
    key = torch.where(batch.present, key, n_genes + 1)
    return torch.where(batch.present, key.argsort(dim=1).argsort(dim=1) % FOLDS, -1)


def rows_of(whole: CellBatch, rows: Int[Tensor, " some"]) -> CellBatch:
    """Some rows of a batch; they keep their numbers."""

    def some(of_cells: Tensor) -> Tensor:
        return of_cells.index_select(0, rows)

    gene = whole.gene if whole.gene.ndim == 1 else some(whole.gene)
    inputs = None if whole.inputs is None else some(whole.inputs)
    return CellBatch(some(whole.values), gene, some(whole.present), some(whole.cell), inputs)


def joined(
    output: CellOutput,
    batch: CellBatch,
    columns: Int[np.ndarray, " gene"],
    folds: int,
    fold: Int[Tensor, "cell gene"] | None,
) -> Reading:
    """What a model says of cells, from all their passes.

    Args:
        output: for the rows of ``batch``, all passes of each cell.
        batch: the rows.
        columns: from ``model_output.gene_columns``.
        folds: passes a cell.
        fold: the pass in which each gene is hidden; None where nothing is.
    """
    values = gene_values(output, batch, columns)
    if fold is None:
        return Reading(output.embedding, values, None)
    return Reading(output.embedding.unflatten(0, (-1, folds)).mean(dim=1), *hidden_and_seen(values, folds, fold))


def hidden_and_seen(
    values: Float[Tensor, "row gene"], folds: int, fold: Int[Tensor, "cell gene"]
) -> tuple[Float[Tensor, "cell gene"], Float[Tensor, "cell gene"]]:
    """What a model says of genes in the pass that hides each, and the mean over the passes that show it."""
    values = values.unflatten(0, (-1, folds))
    hidden = values.gather(1, fold.clamp(min=0)[:, None])[:, 0]
    return hidden, (values.sum(dim=1) - hidden) / (folds - 1)
