"""The objective on split counts: one part of a cell's counts is shown, the other is what the model has to make likely.

- Every count goes to one part or the other by itself, so the two parts are independent readings of one cell. A model
  that copies what it sees is wrong about the other part; so its output means something at visible genes as well as at
  hidden ones.
- The loss is the negative binomial's at all genes of the step, in the other part's own depth.
- The penalty on flatness is on the stream itself. The likelihood alone is best served by a stream that varies along
  little more than one axis.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cellprism.equations.dimension import inverse_participation
from cellprism.equations.likelihood import negative_binomial
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.model_input import model_input
from cellprism.models.aido.rates import log_rate
from cellprism.types import CellBatch

POOLED = 0.3  # weight of the pooled cells beside the tokens in the penalty


@dataclass(frozen=True)
class SplitDraw:
    """What the model sees of one part of some cells' counts, and the other part."""

    batch: CellBatch
    hidden: Bool[Tensor, "cell token"]
    counts: Float[Tensor, "cell gene"]
    totals: Float[Tensor, " cell"]

    def to(self, device: torch.device) -> "SplitDraw":
        """The same on another device."""
        return SplitDraw(self.batch.to(device), self.hidden.to(device), self.counts.to(device), self.totals.to(device))


def split_counts(
    counts: sp.csr_matrix, totals: Float[np.ndarray, " cell"], share: Float[np.ndarray, " cell"],
    rng: np.random.Generator,
) -> tuple[sp.csr_matrix, Float[np.ndarray, " cell"]]:  # fmt: skip
    """Each count with probability ``share`` of its cell, and the totals of what was drawn.

    Counts of genes that are not in the matrix (totals are of all genes) are drawn too.
    """
    drawn = counts.copy()
    drawn.data = rng.binomial(counts.data.astype(np.int64), np.repeat(share, np.diff(counts.indptr))).astype(np.float32)
    within = np.asarray(counts.sum(axis=1)).ravel()
    elsewhere = np.maximum(np.rint(totals - within), 0).astype(np.int64)
    return drawn, np.asarray(drawn.sum(axis=1)).ravel() + rng.binomial(elsewhere, share).astype(np.float32)


def split_draw(
    matrix: sp.csr_matrix, totals: Float[np.ndarray, " cell"], genes: np.ndarray, share: Float[np.ndarray, " cell"],
    mask: Float[np.ndarray, " cell"], cells: np.ndarray, depth_floor: float, rng: np.random.Generator,
) -> SplitDraw:  # fmt: skip
    """Some cells with a share of their counts shown, of these a share of the genes hidden.

    Args:
        matrix: counts of these cells, all genes.
        totals: their counts over all genes, also those that are not in the matrix.
        genes: columns of the step.
        share: of each cell's counts that are shown.
        mask: share of each cell's genes that are hidden.
        cells: the cells' numbers.
        depth_floor: of the model that reads them.
        rng: where draws come from.
    """
    shown, depth = split_counts(matrix, totals, share, rng)
    rest = np.maximum(totals - depth, 1).astype(np.float32)  # 1: a part of next to no counts may have none
    depth = np.maximum(depth, 1).astype(np.float32)
    seen = torch.from_numpy(shown[:, genes].toarray())
    other = torch.from_numpy((matrix - shown)[:, genes].toarray().astype(np.float32))
    values = model_input(seen, torch.from_numpy(depth), depth_floor)
    hidden = torch.zeros(values.shape, dtype=torch.bool)
    hidden[:, : len(genes)] = torch.from_numpy(rng.random((len(cells), len(genes))) < mask[:, None])
    gene = torch.cat([torch.from_numpy(genes), torch.full((values.shape[1] - len(genes),), -1)])
    batch = CellBatch(values.masked_fill(hidden, -1.0), gene, (gene >= 0).expand(values.shape), torch.from_numpy(cells))
    return SplitDraw(batch, hidden, other, torch.from_numpy(rest))


def split_loss(
    model: AidoCell, drawn: SplitDraw, block: int, weight: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean of -log NB of the other part's counts over all genes, and ``weight`` times the flatness after ``block``."""
    drawn = drawn.to(model.device)
    site = block if weight else model.n_layers - 1
    x = model.residual(drawn.batch, site)
    expression = model.resume(drawn.batch, site, x).expression
    assert expression is not None, "resume of this family predicts expression or raises"
    assert model.head is not None, "as above"
    assert model.head.rates is not None, "models for split counts have rates"
    n_genes = expression.shape[1]
    log_mean = log_rate(expression.float()) + (drawn.totals / 1e4).log()[:, None]
    dispersion = model.head.rates.log_dispersion[drawn.batch.gene[:n_genes]]
    loss = -negative_binomial(drawn.counts, log_mean, dispersion).mean()
    if not weight:
        return loss, torch.zeros_like(loss)
    return loss, weight * flatness(x[:, :n_genes].float(), drawn.hidden[:, :n_genes])


def flatness(x: Float[Tensor, "cell gene d_model"], hidden: Bool[Tensor, "cell gene"]) -> Float[Tensor, ""]:
    """1 / PR of hidden tokens, each gene's mean over the cells that hide it off, and 0.3 / PR of the cells' means."""
    weight = hidden.to(x.dtype)[..., None]
    mean = (x * weight).sum(0) / weight.sum(0).clamp(min=1)
    pooled = x.mean(dim=1)
    return inverse_participation((x - mean)[hidden]) + POOLED * inverse_participation(pooled - pooled.mean(dim=0))


def gene_log_rates(counts: sp.csr_matrix, totals: Float[np.ndarray, " cell"]) -> Float[np.ndarray, " gene"]:
    """Logarithm of each gene's counts per ten thousand over all cells; half a count where there is none."""
    return np.log(np.maximum(np.asarray(counts.sum(axis=0)).ravel(), 0.5) / totals.sum() * 1e4)
