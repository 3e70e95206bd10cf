"""Which tokens of a cell are learned from, and how often in an epoch.

With w_t = log1p(10^4 count_t / total), where count_t is the count of token t's gene in its cell and total that of the
cell, and n the number of the cell's present tokens with w_t > 0, token t is expected in an epoch

- ``present``: once, if it is present;
- ``expressed``: once, if it is present and w_t > 0;
- ``weighted``: n w_t / sum_t' w_t' times, so that a cell gives as many tokens as it expresses genes, in proportion to
  their value.

Notable choices

- The counts decide, not what a model makes of them: models that read ranks or bins have no values to compare.
- ``weighted`` draws with repeats. Drawing n of n expressed tokens without repeats would be ``expressed`` again.
"""

from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellprism.errors import ConfigError
from cellprism.types import CellBatch, CellModel

Policy = Literal["present", "expressed", "weighted"]


class TokenPolicy:
    """A policy for one model and the columns of one AnnData."""

    def __init__(self, kind: Policy, model: CellModel, adata: AnnData):
        self.kind: Policy = kind
        self._model = model.name
        if kind != "present":
            self._column = torch.from_numpy(adata.var_names.get_indexer(pd.Index(model.genes)))

    def used(self, batch: CellBatch, part: AnnData) -> Bool[Tensor, "cell token"]:
        """Tokens that are learned from at all.

        Args:
            batch: cells of ``part``; ``batch.cell`` are its rows.
            part: raw counts.

        Raises:
            ConfigError: tokens are to be chosen by their genes' counts, but no token is a gene.
        """
        return batch.present if self.kind == "present" else self._values(batch, part) > 0

    def times(self, batch: CellBatch, part: AnnData) -> Float[Tensor, "cell token"] | None:
        """Expected times of each token in an epoch; None where it is once for all that are used."""
        if self.kind != "weighted":
            return None
        values = self._values(batch, part)
        used = (values > 0).sum(dim=1, keepdim=True)
        return values * used / values.sum(dim=1, keepdim=True).clamp(min=1e-12)

    def _values(self, batch: CellBatch, part: AnnData) -> Float[Tensor, "cell token"]:
        """log1p of counts per ten thousand of each token's gene; 0 where it is absent, or no gene."""
        gene = batch.gene.cpu().expand(batch.values.shape)
        if not (gene >= 0).any():
            raise ConfigError(
                f"tokens is {self.kind!r}, which goes by the counts of genes, but the tokens of {self._model!r} are no "
                "genes; use tokens = 'present'"
            )
        rows = batch.cell.cpu().numpy()
        counts = sp.csr_matrix(part.X)[rows]
        totals = np.asarray(part.obs["total_counts"])[rows] if "total_counts" in part.obs else counts.sum(axis=1)
        share = counts.toarray() / np.asarray(totals, dtype=np.float64).reshape(-1, 1)
        values = torch.from_numpy(np.log1p(1e4 * share).astype(np.float32))
        column = torch.where(gene >= 0, self._column[gene.clamp(min=0)], -1)
        values = torch.where(column >= 0, values.gather(1, column.clamp(min=0)), 0)
        return values.to(batch.present.device) * batch.present


def systematic(times: Float[np.ndarray, " token"], total: int, at: float) -> Int[np.ndarray, " drawn"]:
    """Each token t drawn floor(times_t) or ceil(times_t) times, in order; ``total`` tokens in all.

    Formula: token t is drawn floor(S_t + u) - floor(S_{t-1} + u) times with S the cumulative sum of ``times`` and u
    uniform in [0, 1): its expectation is times_t (systematic sampling, Madow 1949).

    Args:
        times: expected number of draws; they add up to ``total``.
        total: number of draws.
        at: u.
    """
    ends = np.floor(np.cumsum(times) + at).clip(max=total).astype(np.int64)
    ends[-1:] = total  # a sum of many shares misses the whole number by rounding
    return np.repeat(np.arange(len(times)), np.diff(ends, prepend=0))
