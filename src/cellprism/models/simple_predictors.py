"""What a cell model has to beat: simpler methods fitted on some cells and judged on others.

- Ridge regression predicts hidden genes from the genes that are left, the same in all cells, so that it is fitted to
  exactly the task that the model is given. Its penalty is chosen on a fifth of the cells that it is fitted on.
- The mean of the cell's own type uses labels, which the model never sees: a strong baseline, not a fair fight.
- Cell types are read by a logistic regression on standardised values.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cellprism.types import CellModel

PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0)
WIDE = 500
"""Columns above which the reader of cell types is held back more."""
Matrix = Float[np.ndarray, "cell gene"]
Predicted = Float[np.ndarray, "test_cell hidden_gene"]


def ridge_prediction(
    expression: Matrix,
    train: np.ndarray,
    test: np.ndarray,
    hidden: Bool[np.ndarray, " gene"],
    rng: np.random.Generator,
) -> Predicted:
    """Hidden genes of the rows ``test`` from their other genes, by a ridge regression fitted on the rows ``train``."""
    order = rng.permutation(train)
    inner, validation = order[len(order) // 5 :], order[: len(order) // 5]
    seen = expression[:, ~hidden]
    target = expression[:, hidden]

    def error(penalty: float) -> float:
        fitted = Ridge(alpha=penalty).fit(seen[inner], target[inner])
        return float(((fitted.predict(seen[validation]) - target[validation]) ** 2).mean())

    best = min(PENALTIES, key=error)
    found = Ridge(alpha=best).fit(seen[train], target[train]).predict(seen[test])
    return found.reshape(len(test), -1)  # one target alone comes back without its axis


def type_means(
    expression: Matrix, train: np.ndarray, test: np.ndarray, hidden: Bool[np.ndarray, " gene"], labels: np.ndarray
) -> Predicted:
    """Hidden genes' means over the rows ``train`` of each test cell's type; over all of them where there is none."""
    overall = expression[np.ix_(train, hidden)].mean(0, dtype=np.float64)
    means = {t: expression[np.ix_(train[labels[train] == t], hidden)].mean(0) for t in np.unique(labels[train])}
    return np.stack([means.get(t, overall) for t in labels[test]])


@torch.no_grad()
def pooled_residuals(model: CellModel, adata: AnnData, layer: int, size: int = 32) -> Float[np.ndarray, "cell d_model"]:
    """Residual stream after block ``layer``, averaged over each cell's present tokens."""
    pooled = []
    for batch in model.batches(adata, size):
        weight = batch.present[..., None].float()
        pooled.append(((model.residual(batch, layer) * weight).sum(1) / weight.sum(1)).cpu().numpy())
    return np.concatenate(pooled)


def types_read(
    sources: Mapping[str, Float[np.ndarray, "cell _"]],
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    rng: np.random.Generator,
    draws: int = 2_000,
) -> dict[str, dict[str, Any]]:
    """Share of the rows ``test`` whose type is read rightly from each source, and its 95 % bootstrap interval."""
    chosen = rng.integers(len(test), size=(draws, len(test)))
    accuracy = {}
    for name, x in sources.items():
        held_back = 0.05 if x.shape[1] > WIDE else 1.0
        reader = make_pipeline(StandardScaler(), LogisticRegression(C=held_back, max_iter=2000))
        right = reader.fit(x[train], labels[train]).predict(x[test]) == labels[test]
        interval = [float(q) for q in np.quantile(right[chosen].mean(axis=1), [0.025, 0.975])]
        accuracy[name] = {"accuracy": float(right.mean()), "interval": interval}
    return accuracy
