"""What the model says of genes when the inner state is pushed along a direction, the same push at every token.

Notable choices

- Every token is pushed alike, wherever a direction fires, so that the genes which rise are the model's answer and not
  the place of the edit.
- To first order the answer is linear in the push: one pair of passes for each dimension of the inner state answers for
  all directions of all sources, however many they are. A dimension is pushed by as much as the inner state varies.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.enrich.membership import Terms, list_table
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.model_output import NOTHING, expressing_mean
from cellprism.steering.site_cache import SiteCache, read_site_cache
from cellprism.studies.adds.halves import Halves
from cellprism.studies.programs.gene_lists import Lists
from cellprism.studies.workbench import Workbench

CELLS = 16
PASSES = 32  # rows that go through the model at once


@torch.no_grad()
def gene_response(bench: Workbench, halves: Halves, genes: tuple[str, ...]) -> Float[np.ndarray, "gene d_model"] | None:
    """Change of each gene per unit of push along each dimension, a mean over cells of the second half.

    Formula: (y(x + h_i e_i) - y(x - h_i e_i)) / 2 h_i, with h_i the standard deviation of dimension i over tokens, y
    the mean over the cells that express a gene. NaN for genes that too few of them express; None of a model that says
    nothing of genes.
    """
    if bench.model.predicts == NOTHING:
        return None
    cells = halves.cells[np.flatnonzero(~halves.first)[:CELLS]].copy()
    cache = read_site_cache(bench.model, bench.sae, cells, bench.config.layer, PASSES)
    rows = np.arange(cache.n_cells)
    every = torch.cat([part.x[part.batch.present] for part in cache.take(rows)])
    heights = every.double().std(dim=0).to(every)
    found = [_moved(cache, rows, i, float(h)) if h > 0 else np.zeros(len(cache.genes)) for i, h in enumerate(heights)]
    place = cache.genes.get_indexer(list(genes))
    return np.where(place[:, None] >= 0, np.stack(found, axis=1)[place], np.nan)


def _moved(cache: SiteCache, rows: Int[np.ndarray, " cell"], dimension: int, height: float) -> np.ndarray:
    """Mean change of the genes per unit along one dimension."""

    def mean(h: float) -> Float[np.ndarray, " gene"]:
        pushed = ((part.batch, _pushed(part.x, part.batch.present, dimension, h)) for part in cache.take(rows))
        return expressing_mean(cache.predict_from(pushed).values)

    return (mean(height) - mean(-height)) / (2 * height)


def _pushed(
    x: Float[Tensor, "row token d_model"], present: Bool[Tensor, "row token"], dimension: int, height: float
) -> Float[Tensor, "row token d_model"]:
    pushed = x.clone()
    pushed[..., dimension] += height * present
    return pushed


def agreement(
    sae: SparseAutoencoder, response: Float[np.ndarray, "gene d_model"], lists: Lists, terms: Terms, size: int
) -> float:
    """Share of a direction's list among the genes that it raises most, less that of other directions' lists.

    Formula: mean over f of |L_f and R_f| / size, less the mean over pairs f, h of |L_h and R_f| / size, with L the
    lists and R_f the ``size`` genes with the largest response along w_f.
    """
    rows, told = [int(name) for name in lists], ~np.isnan(response).any(axis=1)
    along = np.where(told, sae.W_dec[rows].double().cpu().numpy() @ np.nan_to_num(response).T, -np.inf)
    raised = np.zeros(along.shape, dtype=bool)
    np.put_along_axis(raised, np.argpartition(-along, size - 1, axis=1)[:, :size], True, axis=1)
    listed = list_table(lists.values(), terms).member.toarray() > 0
    own = (listed & raised).sum(axis=1).mean()
    n = len(rows)
    every = float(listed.sum(axis=0, dtype=np.float64) @ raised.sum(axis=0, dtype=np.float64))
    others = (every - n * own) / (n * (n - 1)) if n > 1 else 0.0
    return float((own - others) / size)
