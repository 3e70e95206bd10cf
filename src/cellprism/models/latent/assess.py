"""How good is a latent model, beside what simpler methods reach on the same held-out cells.

- Reconstruction: each held-out cell's counts are split at random, every count going to one of two halves. The vector
  comes from one half, and where the counts of the other half fall is predicted from it. Given a cell's expression the
  halves of Poisson counts are independent, so a vector that memorises noise gains nothing. Source: Batson, Royer and
  Webber 2019, Molecular cross-validation for single-cell RNA-seq. A half is half as deep as the cells that a model was
  trained on, which an encoder may mind.
- The mean of the cell's own type uses labels, which the model never sees: a strong yardstick, not a fair fight.
- Cell types: a logistic regression on the vectors, beside the same on raw expression and on the same network untrained.
- Intervals are bootstraps over held-out cells. Cells of one donor are no replicates of donors.
"""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.labels import UNLABELLED
from cellprism.equations.likelihood import nats_per_count
from cellprism.models.latent.counts_model import CountsModel
from cellprism.models.simple_predictors import types_read

DRAWS = 2_000
READOUT_CELLS = 1_000  # training cells behind the cell-type readout; more change it little and take minutes
TYPE_PRIOR = 100.0  # counts of the gene mean added to each type's, so that rare types are not wild
Shares = Float[np.ndarray, "cell gene"]


@torch.no_grad()
def assess(
    model: CountsModel, adata: AnnData, train: np.ndarray, test: np.ndarray, *, seed: int = 0, size: int = 256
) -> dict[str, Any]:
    """Measure ``model`` on the rows ``test`` of ``adata``; yardsticks are fitted on the rows ``train``.

    Args:
        model: trained on the rows ``train``.
        adata: raw counts; the columns are the model's genes, in its order. ``obs["cell_type"]``, where given, adds the
            type mean and the cell-type readout.
        train: rows.
        test: rows.
        seed: seed of the split of counts, the untrained network and the bootstraps.
        size: cells per forward pass.

    Returns:
        ``reconstruction``: nats per count of each method, its difference from the gene mean and 95 % intervals.
        ``cell_types``: accuracies with intervals (empty without labels).
    """
    labels = np.asarray(adata.obs["cell_type"], dtype=str) if "cell_type" in adata.obs else None
    if labels is not None:
        train, test = (rows[labels[rows] != UNLABELLED] for rows in (train, test))
    untrained = model.reinitialised(seed).to(model.device)
    types = {} if labels is None else _readout(model, untrained, adata, train, test, labels, seed, size)
    return {
        "reconstruction": _reconstruction(model, untrained, adata, train, test, labels, seed, size),
        "cell_types": types,
        "test_cells": len(test),
        "train_cells": len(train),
        "genes": adata.n_vars,
    }


def latent_vectors(model: CountsModel, adata: AnnData, size: int = 256) -> Float[np.ndarray, "cell d_model"]:
    """Every cell's vector."""
    return np.concatenate([model.residual(batch, 0)[:, 0].cpu().numpy() for batch in model.batches(adata, size)])


def halves(counts: sp.csr_matrix, seed: int) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Two halves of the cells' counts: every count goes to one of them by the toss of a coin."""
    return thinned(counts, 0.5, np.random.default_rng([seed, 5]))


def thinned(counts: sp.csr_matrix, share: float, rng: np.random.Generator) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """A share of the cells' counts, each drawn by itself (binomial thinning), and the rest."""
    drawn = counts.copy()
    drawn.data = rng.binomial(counts.data.astype(np.int64), share).astype(np.float32)
    return drawn, sp.csr_matrix(counts - drawn)


def both_counted(one: sp.csr_matrix, other: sp.csr_matrix) -> Bool[np.ndarray, " cell"]:
    """Cells that have counts in either part."""
    return np.minimum(*(np.asarray(part.sum(axis=1)).ravel() for part in (one, other))) > 0


def type_shares(
    counts: sp.csr_matrix,
    train: np.ndarray,
    wanted: np.ndarray,
    labels: np.ndarray,
    overall: Float[np.ndarray, " gene"],
) -> Shares:
    """Each gene's share of the counts of the rows ``train`` of the wanted types, a little of ``overall`` mixed in."""

    def share(kind: str) -> np.ndarray:
        total = np.asarray(counts[train[labels[train] == kind]].sum(axis=0)).ravel() + TYPE_PRIOR * overall
        return total / total.sum()

    means = {kind: share(kind) for kind in np.unique(wanted)}
    return np.stack([means[kind] for kind in wanted])


def _reconstruction(
    model: CountsModel, untrained: CountsModel, adata: AnnData, train: np.ndarray, test: np.ndarray,
    labels: np.ndarray | None, seed: int, size: int,
) -> dict[str, Any]:  # fmt: skip
    counts = sp.csr_matrix(adata.X, dtype=np.float32)
    seen, kept = halves(counts[test], seed)
    both = both_counted(seen, kept)
    seen, kept, test = seen[both], kept[both], test[both]
    half = AnnData(seen, var=pd.DataFrame(index=adata.var_names))
    total = np.asarray(counts[train].sum(axis=0), dtype=np.float64).ravel() + 1  # 1: no gene has probability 0
    overall = total / total.sum()
    shares = {
        "model": _predicted(model, half, size),
        "untrained network": _predicted(untrained, half, size),
        "gene mean": np.tile(overall, (len(test), 1)),
    }
    if labels is not None:
        shares["type mean"] = type_shares(counts, train, labels[test], labels, overall)
    truth = torch.from_numpy(kept.toarray()).double()
    nats = {name: nats_per_count(truth, torch.from_numpy(p).double().log()).numpy() for name, p in shares.items()}
    draws = np.random.default_rng([seed, 6]).integers(len(test), size=(DRAWS, len(test)))
    figures = {}
    for name, values in nats.items():
        gain = nats["gene mean"] - values
        interval = [float(q) for q in np.quantile(gain[draws].mean(axis=1), [0.025, 0.975])]
        figures[name] = {"nats_per_count": float(values.mean()), "gain": float(gain.mean()), "interval": interval}
    return figures


def _predicted(model: CountsModel, adata: AnnData, size: int) -> Shares:
    vectors = torch.from_numpy(latent_vectors(model, adata, size)).to(model.device)
    return model.log_shares(vectors).cpu().double().exp().numpy()


def _readout(
    model: CountsModel, untrained: CountsModel, adata: AnnData, train: np.ndarray, test: np.ndarray,
    labels: np.ndarray, seed: int, size: int,
) -> dict[str, Any]:  # fmt: skip
    train = np.random.default_rng([seed, 8]).permutation(train)[:READOUT_CELLS]
    adata, labels = adata[np.concatenate([train, test])], labels[np.concatenate([train, test])]
    train, test = np.arange(len(train)), np.arange(len(train), len(labels))
    sources = {
        "vectors": latent_vectors(model, adata, size),
        "raw expression": log1p_cp10k(adata).toarray(),
        "untrained network": latent_vectors(untrained, adata, size),
    }
    accuracy = types_read(sources, labels, train, test, np.random.default_rng([seed, 7]))
    majority = max(float(np.mean(labels[test] == kind)) for kind in np.unique(labels[train]))
    return {"readout": accuracy, "largest_type": majority}
