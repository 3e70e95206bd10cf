"""Which cell types can be read from the model's inner state at the run's site, on cells of the run."""

import numpy as np

from cellprism.cells.expression import log1p_cp10k
from cellprism.models.simple_predictors import pooled_residuals, types_read
from cellprism.studies.assess.split import Split
from cellprism.studies.assess.tables import Measure
from cellprism.types import CellModel, MovesToDevice, Reinitialises

READ = 200
"""Cells that a reader learns from; more change it little and take time."""


def cell_types_read(model: CellModel, split: Split, layer: int, seed: int, size: int) -> dict[str, Measure]:
    """Share of test cells whose type is read rightly, from the model and from what has not learned; none without
    types."""
    if split.labels is None:
        return {}
    rng = np.random.default_rng([seed, 34])
    some = np.sort(rng.permutation(split.fit)[:READ])
    rows = np.concatenate([some, split.test])
    cells, labels = split.cells[rows], split.labels[rows]
    train, test = np.arange(len(some)), np.arange(len(some), len(rows))
    kinds = np.unique(labels[train])
    if len(kinds) < 2:
        return {}
    sources = {
        "vectors" if model.tokens == "cells" else "residuals": pooled_residuals(model, cells, layer, size),
        "raw expression": log1p_cp10k(cells).toarray(),
    }
    if isinstance(model, Reinitialises):
        untrained = model.reinitialised(seed)
        if isinstance(untrained, MovesToDevice):
            untrained.to(next(iter(model.batches(cells[:1], 1))).values.device)
        sources["untrained network"] = pooled_residuals(untrained, cells, layer, size)
    read = types_read(sources, labels, train, test, rng)
    found = {name: Measure(row["accuracy"], (row["interval"][0], row["interval"][1])) for name, row in read.items()}
    largest = max(float(np.mean(labels[test] == kind)) for kind in kinds)
    return {**found, "largest type": Measure(largest)}
