"""What a model says of the genes of some cells, under one name and in one shape whatever kind of model it is.

- ``expression``: predicted log1p of counts per ten thousand. Models that read the same genes in every cell say it at
  their tokens, models that read a cell as a whole of all their genes.
- ``token_logit``: models that predict which gene stands at a place, not how much of it there is, have the logit of each
  token's own gene. A gene that a cell does not express has none: NaN. Averages are over the cells that express a gene.
- Nothing: a model without a decoder. Its cells have embeddings alone, and no gene can be spoken of.
- The two output kinds are never mixed: everything that holds numbers says which of them they are.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellprism.features.collect import expressed
from cellprism.features.tokens.residuals import genes_of
from cellprism.types import CellBatch, CellModel, CellOutput

EXPRESSION, TOKEN_LOGIT, NOTHING = "expression", "token_logit", "nothing"


def lacks_expression(model: CellModel) -> str:
    """Why a model has no expression, and what to do instead; empty where it has."""
    if model.predicts == TOKEN_LOGIT:
        return (
            f"{model.name!r} predicts which gene stands at a place, not how much of it a cell has, so there is no "
            "expression to bring close; use objective='latent', which is reported on the genes' token logits too"
        )
    if model.predicts == NOTHING:
        return (
            f"{model.name!r} has no decoder, so there is no expression to bring close; use objective='latent', or give "
            "it a decoder (for an embedding of the cells: obsm:KEY+ridge)"
        )
    return ""


def lacks_genes(model: CellModel) -> str:
    """Why a model says nothing of genes, and what to do instead; empty where it does."""
    if model.predicts == NOTHING:
        return (
            f"{model.name!r} has no decoder, so what an edit does to genes cannot be read from it; give it one (for an "
            "embedding of the cells: obsm:KEY+ridge), or move cell types with contrast and objective='latent'"
        )
    return ""


def gene_columns(model: CellModel, batch: CellBatch, output: CellOutput, genes: pd.Index) -> Int[np.ndarray, " gene"]:
    """Where genes stand in what ``gene_values`` chooses from; nowhere where the model says nothing.

    Amounts are said at the tokens of a batch that are genes, where these are the same in all cells; all else of the
    model's genes. Models that fill in absent genes speak of more genes than the data set has.
    """
    if model.predicts == NOTHING:
        return np.empty(0, dtype=np.int64)
    names, row = np.asarray(model.genes), batch.gene
    if output.expression is not None and row.ndim == 1 and bool((row >= 0).any()):
        names = names[row[row >= 0].cpu().numpy()]
    return pd.Index(names).get_indexer(genes)


def gene_values(output: CellOutput, batch: CellBatch, columns: Int[np.ndarray, " gene"]) -> Float[Tensor, "cell gene"]:
    """What the model predicts of each gene in each cell: NaN where a cell does not express it; no columns where it says
    nothing.

    Args:
        output: for the cells of ``batch``.
        batch: the cells.
        columns: from ``gene_columns``.
    """
    chosen = torch.from_numpy(columns).to(output.embedding.device)
    if output.expression is not None:
        return output.expression.index_select(1, chosen)
    if output.token_logit is None:
        return output.embedding.new_empty(len(output.embedding), 0)
    logit, gene = output.token_logit, genes_of(batch)
    besides = 1 + max(int(gene.max()), int(columns.max(initial=-1)))  # a column for tokens that are no genes
    table = logit.new_full((len(logit), besides + 1), torch.nan)
    return table.scatter(1, torch.where(gene >= 0, gene, besides), logit).index_select(1, chosen)


def spoken_of(values: Float[np.ndarray, "cell gene"]) -> Int[np.ndarray, " some"]:
    """Genes that enough of the cells express (``features.collect.expressed``); none where there are no columns."""
    return np.flatnonzero(expressed((~np.isnan(values)).sum(axis=0), len(values)))


def expressing_mean(values: Float[np.ndarray, "cell gene"]) -> Float[np.ndarray, " gene"]:
    """Mean over the cells that express each gene; NaN where too few do (``features.collect.expressed``)."""
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=expressed(count, len(values)))


def expressing_moves(
    before: Float[np.ndarray, "cell gene"], after: Float[np.ndarray, "cell gene"]
) -> Float[np.ndarray, "cell gene"]:
    """Changes whose mean over all cells is that over the cells that express each gene.

    Formula: (a_cg - b_cg) n / n_g, with n_g of the n cells expressing gene g; 0 in cells that do not. Where all cells
    express all genes this is a - b.
    """
    there = ~np.isnan(before)
    scale = len(before) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, after - before, 0) * scale
