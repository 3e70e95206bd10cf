"""How good is a pretrained cell model, beside what simpler methods reach on the same held-out cells and the same masks.

- Masked error: one random 30 % of the genes is hidden at a time, the same genes in every held-out cell, so that a ridge
  regression from the remaining genes can be fitted to exactly this task. Its penalty is chosen on training cells.
- The mean of the cell's own type uses labels, which the model never sees: a strong yardstick, not a fair fight.
- Cell types: a logistic regression from mean-pooled residuals, trained on training cells, read on held-out ones, beside
  the same from raw expression and from the same network untrained.
- Intervals are bootstraps over held-out cells. Cells of one donor are no replicates of donors.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float
from torch.nn import functional as F

from cellprism.equations.agreement import gene_correlations
from cellprism.equations.ratio import is_spread, share
from cellprism.models.aido.model import AidoCell
from cellprism.models.simple_predictors import pooled_residuals, ridge_prediction, type_means, types_read

READOUT_CELLS = 1_000  # training cells behind the cell-type readout; more change it little and take minutes
UNLABELLED = "unlabelled"
Matrix = Float[np.ndarray, "cell gene"]


@dataclass(frozen=True)
class Assessment:
    """Results as plain JSON values; see ``assess``."""

    masked: dict[str, Any]
    cell_types: dict[str, Any]
    neighbours: dict[str, list[str]]
    neighbours_at_start: dict[str, list[str]]


def expression_of(model: AidoCell, adata: AnnData, size: int = 64) -> Matrix:
    """log1p(counts per ten thousand) exactly as the model reads it."""
    return np.concatenate([batch.values[:, batch.gene >= 0].cpu().numpy() for batch in model.batches(adata, size)])


def assess(
    model: AidoCell,
    adata: AnnData,
    train: np.ndarray,
    test: np.ndarray,
    *,
    start: AidoCell | None = None,
    markers: tuple[str, ...] = (),
    share: float = 0.3,
    masks: int = 3,
    seed: int = 0,
) -> Assessment:
    """Measure ``model`` on the rows ``test`` of ``adata``; yardsticks are fitted on the rows ``train``.

    ``adata.obs["cell_type"]``, where given, adds the type mean and the cell-type readout. ``start`` is the model before
    its first step: what it has from the start is no merit of training. ``markers`` are genes whose nearest gene
    embeddings (cosine, centred) are listed.
    """
    labels = np.asarray(adata.obs["cell_type"], dtype=str) if "cell_type" in adata.obs else None
    if labels is not None:
        train, test = (rows[labels[rows] != UNLABELLED] for rows in (train, test))
    expression = expression_of(model, adata)
    masked = _masked_errors(model, adata, expression, train, test, labels, share, masks, seed)
    types = {} if labels is None else _cell_type_readout(model, start, adata, train, test, labels, seed)
    before = {} if start is None else nearest_genes(start, markers)
    return Assessment(masked, types, nearest_genes(model, markers), before)


def _masked_errors(
    model: AidoCell, adata: AnnData, expression: Matrix, train: np.ndarray, test: np.ndarray,
    labels: np.ndarray | None, hide: float, masks: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Errors on hidden genes as JSON; nothing where these do not vary, so that their means make no error."""
    rng = np.random.default_rng([seed, 1])
    n_genes = expression.shape[1]
    errors: dict[str, list[Matrix]] = {}
    squares: list[Matrix] = []
    correlations = []
    for _ in range(masks):
        hidden = np.zeros(n_genes, dtype=bool)
        hidden[rng.choice(n_genes, round(hide * n_genes), replace=False)] = True
        truth = expression[np.ix_(test, hidden)]
        predictions = {
            "model": predict_masked(model, adata[test], hidden)[:, hidden],
            "ridge": ridge_prediction(expression, train, test, hidden, rng),
            "gene mean": np.broadcast_to(expression[np.ix_(train, hidden)].mean(0, dtype=np.float64), truth.shape),
        }
        if labels is not None:
            predictions["type mean"] = type_means(expression, train, test, hidden, labels)
        for name, predicted in predictions.items():
            errors.setdefault(name, []).append((predicted - truth) ** 2)
        squares.append(truth**2)
        correlations.append(_correlation(predictions["model"], truth))
    per_cell = {name: np.concatenate(e, axis=1).mean(1) for name, e in errors.items()}
    size = np.concatenate(squares, axis=1).mean(1)
    floor = per_cell["gene mean"]
    if not is_spread(floor.mean(), size.mean()):
        return {}
    draws = rng.integers(len(test), size=(2000, len(test)))
    figures = {}
    for name, error in per_cell.items():
        ratio = share(*(values[draws].mean(1) for values in (error, floor, size)))
        lower = error[draws].mean(1) - per_cell["model"][draws].mean(1)
        figures[name] = {
            "mse": float(error.mean()),
            "of_gene_mean": float(error.mean() / floor.mean()),
            "interval": [float(q) for q in np.nanquantile(ratio, [0.025, 0.975])],
            "minus_model": [float(q) for q in np.quantile(lower, [0.025, 0.975])],
        }
    return {"methods": figures, "correlation": float(np.mean(correlations)), "share_hidden": hide, "masks": masks,
            "test_cells": len(test), "train_cells": len(train), "genes": n_genes}  # fmt: skip


def _correlation(one: Matrix, other: Matrix) -> float:
    """Over all cells and genes; 0 where one of them is the same everywhere."""
    x, y = (values.reshape(-1, 1).astype(np.float64) for values in (one, other))
    found = gene_correlations(x, y, np.full((1, one.size), 1 / one.size))
    return float(np.nan_to_num(found[0, 0]))


def predict_masked(model: AidoCell, adata: AnnData, hidden: np.ndarray, size: int = 32) -> Matrix:
    """Predicted expression, as it would be counted, when the genes marked in ``hidden`` (columns of ``adata``) are
    masked in every cell."""
    predicted = []
    last = model.n_layers - 1
    columns = torch.from_numpy(hidden)
    for batch in model.batches(adata, size):
        chosen = F.pad(columns.to(batch.values.device), (0, batch.values.shape[1] - len(columns)))
        masked = model.mask(batch, chosen.expand(batch.values.shape))
        expression = model.resume(masked, last, model.residual(masked, last)).expression
        assert expression is not None, "resume of this family predicts expression or raises"
        predicted.append(model.as_counted(masked, expression).cpu().numpy())
    return np.concatenate(predicted)


def _cell_type_readout(
    model: AidoCell, start: AidoCell | None, adata: AnnData, train: np.ndarray, test: np.ndarray, labels: np.ndarray,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    layer = model.n_layers // 2
    train = np.random.default_rng([seed, 3]).permutation(train)[:READOUT_CELLS]
    adata, labels = adata[np.concatenate([train, test])], labels[np.concatenate([train, test])]
    train, test = np.arange(len(train)), np.arange(len(train), len(labels))
    sources = {
        "residuals": pooled_residuals(model, adata, layer),
        "raw expression": expression_of(model, adata),
        "untrained network": pooled_residuals(model.reinitialised(seed).to(model.device), adata, layer),
    }
    if start is not None:
        sources["start of training"] = pooled_residuals(start, adata, layer)
    accuracy = types_read(sources, labels, train, test, np.random.default_rng([seed, 2]))
    majority = max(np.mean(labels[test] == t) for t in np.unique(labels[train]))
    return {"layer": layer, "readout": accuracy, "largest_type": float(majority), "test_cells": len(test),
            "train_cells": len(train)}  # fmt: skip


def nearest_genes(model: AidoCell, markers: tuple[str, ...], count: int = 5) -> dict[str, list[str]]:
    """For each marker the genes with the most similar learned embedding: cosine after centring, nearest first."""
    table = model.position_embedding.weight[: len(model.genes)]
    table = F.normalize(table - table.mean(0), dim=1)
    index = {gene: i for i, gene in enumerate(model.genes)}
    found = {}
    for marker in (m for m in markers if m in index):
        order = (table @ table[index[marker]]).argsort(descending=True).tolist()
        found[marker] = [model.genes[i] for i in order if i != index[marker]][:count]
    return found
