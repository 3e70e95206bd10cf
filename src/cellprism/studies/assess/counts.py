"""Counts hidden from a model that reads a cell as a whole, and predicted, beside methods fitted on other cells.

- Each cell's counts are dealt into two halves (binomial thinning); the vector comes from one, and the other is
  predicted. A vector that memorises noise gains nothing.
- Shares are recentred per gene on cells that are not judged, as predictions of hidden genes are, and so are those of
  the untrained network.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float

from cellprism.cells.columns import columns_of
from cellprism.equations.agreement import recentred_shares
from cellprism.equations.likelihood import nats_per_count
from cellprism.models.latent.assess import both_counted, halves, type_shares
from cellprism.studies.assess.split import Split
from cellprism.studies.assess.tables import Gain
from cellprism.types import MovesToDevice, PredictsShares, Reinitialises

DRAWS = 2_000
PLACES = 6  # kept of every number, so that rounding errors are never judged
Shares = Float[np.ndarray, "cell gene"]


def hidden_counts(model: PredictsShares, split: Split, seed: int, size: int) -> dict[str, Gain]:
    """Nats per hidden count gained over the gene means, by method; differences are paired by cell."""
    counts = sp.csr_matrix(split.cells.X, dtype=np.float32)
    rows = np.concatenate([split.asked, split.test])
    seen, kept = halves(counts[rows], seed)
    both = both_counted(seen, kept)
    seen, kept, rows = seen[both], kept[both], rows[both]
    half = AnnData(seen, var=pd.DataFrame(index=split.cells.var_names))
    judged = rows >= len(split.fit)
    total = np.asarray(counts[split.fit].sum(axis=0), dtype=np.float64).ravel() + 1  # 1: no gene has probability 0
    overall = total / total.sum()
    depth = np.asarray(kept[~judged].sum(axis=1), dtype=np.float64).ravel()

    def put_right(shares: Shares) -> Float[np.ndarray, "judged_cell gene"]:
        return recentred_shares(shares[judged], np.average(shares[~judged], axis=0, weights=depth), overall)

    as_it_is = _shares(model, half, size)
    predictions = {"model": put_right(as_it_is), "model as it is": as_it_is[judged]}
    if split.labels is not None:
        test = rows[judged]
        predictions["type mean"] = type_shares(counts, split.fit, split.labels[test], split.labels, overall)
    predictions["gene mean"] = np.broadcast_to(overall, as_it_is[judged].shape)
    if isinstance(model, Reinitialises):
        untrained = model.reinitialised(seed)
        if isinstance(untrained, MovesToDevice):
            untrained.to(model.log_shares(torch.zeros(1, model.d_model)).device)
        assert isinstance(untrained, PredictsShares), "the same architecture"
        predictions["untrained network"] = put_right(_shares(untrained, half, size))
    truth = torch.from_numpy(kept[judged].toarray()).double()
    nats = {
        name: nats_per_count(truth, torch.from_numpy(np.array(p)).double().log()).numpy()
        for name, p in predictions.items()
    }
    n = int(judged.sum())
    return paired_gains(nats, np.random.default_rng([seed, 33]).integers(n, size=(DRAWS, n)))


def paired_gains(nats: dict[str, Float[np.ndarray, " cell"]], draws: np.ndarray) -> dict[str, Gain]:
    """Gains over the gene means, and how far each method lies behind the model, from the same draws of cells."""
    found = {}
    for name, loss in nats.items():
        gain, behind = nats["gene mean"] - loss, loss - nats["model"]
        edges = [np.quantile(values[draws].mean(axis=1), [0.025, 0.975]) for values in (gain, behind)]
        interval, apart = ((round(float(low), PLACES), round(float(high), PLACES)) for low, high in edges)
        found[name] = Gain(round(float(gain.mean()), PLACES), interval, apart)
    return found


@torch.no_grad()
def _shares(model: PredictsShares, cells: AnnData, size: int) -> Shares:
    """Each gene's share of a cell's counts in the columns at hand."""
    columns = torch.from_numpy(columns_of(cells, model.gene_table, model.name))
    parts = []
    for batch in model.batches(cells, size):
        log_shares = model.log_shares(model.residual(batch, 0)[:, 0])
        parts.append(log_shares[:, columns.to(log_shares.device)].double().softmax(dim=1).cpu().numpy())
    return np.concatenate(parts)
